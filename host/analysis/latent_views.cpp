#include "host/analysis/latent_views.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "host/train/generation.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

/// Returns Φ^-1(probability), by bisection.
double normal_quantile(double probability) {
  double low = -10.0, high = 10.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    const double cdf = 0.5 * std::erfc(-middle / std::numbers::sqrt2);
    (cdf < probability ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

double LatentSpace::quantile(size_t j, double probability) const {
  if (prior) return normal_quantile(probability);
  std::vector<double> values;
  for (size_t i = j; i < codes.size(); i += latent) values.push_back(codes[i]);
  const auto place = std::llround(probability * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + place);
  return values[static_cast<size_t>(place)];
}

double LatentSpace::centre(size_t j) const {
  if (prior) return 0.0;
  double sum = 0.0;
  for (size_t i = j; i < codes.size(); i += latent) sum += codes[i];
  return sum / static_cast<double>(rows());
}

Traversals traverse(const Model& model, const LatentSpace& space, std::vector<size_t> dimensions) {
  constexpr size_t kMostRows = 16;
  constexpr double kDeviations = 3.0, kTail = 0.01;
  dimensions.resize(std::min(kMostRows, dimensions.size()));
  Traversals result;
  std::vector<float> centre, z;
  for (size_t j = 0; j < space.latent; ++j) centre.push_back(static_cast<float>(space.centre(j)));
  for (const size_t j : dimensions) {
    const double low = space.prior ? -kDeviations : space.quantile(j, kTail);
    const double high = space.prior ? kDeviations : space.quantile(j, 1.0 - kTail);
    for (size_t i = 0; i < Traversals::kColumns; ++i) {
      const double part = static_cast<double>(i) / (Traversals::kColumns - 1);
      result.values.push_back(low + part * (high - low));
      z.insert(z.end(), centre.begin(), centre.end());
      z[z.size() - space.latent + j] = static_cast<float>(result.values.back());
    }
  }
  result.means = decode(model, z);
  result.dimensions = std::move(dimensions);
  return result;
}

Interpolations interpolate(const Model& model, const Split& split, const LatentSpace& space) {
  constexpr size_t kMostPairs = 8;
  const size_t pairs = std::min(kMostPairs, space.rows() / 2);
  Interpolations result;
  if (pairs == 0) return result;
  Split chosen = split;
  chosen.index.clear();
  std::vector<float> codes;
  for (size_t i = 0; i < 2 * pairs; ++i) {
    const size_t row = i * space.rows() / (2 * pairs);
    (i % 2 == 0 ? result.from : result.to).push_back(row);
    chosen.index.push_back(split.index.empty() ? static_cast<uint32_t>(row) : split.index[row]);
    for (size_t j = 0; j < space.latent; ++j)
      codes.push_back(static_cast<float>(space.codes[row * space.latent + j]));
  }
  const std::vector<float> rows =
      Evaluator(model, chosen).reconstruct(static_cast<int64_t>(2 * pairs)).inputs;
  result.pictures = interpolate(model, rows, codes, Interpolations::kSteps);
  return result;
}

Manifold decode_plane(const Model& model, const LatentSpace& space) {
  ELBO_ASSERT(space.latent == 2);
  Manifold result;
  for (size_t i = 0; i < Manifold::kSide; ++i) {
    const double probability = (static_cast<double>(i) + 0.5) / Manifold::kSide;
    result.z0.push_back(space.quantile(0, probability));
    result.z1.push_back(space.quantile(1, probability));
  }
  std::vector<float> z;
  for (size_t row = Manifold::kSide; row-- > 0;)
    for (const double z0 : result.z0) {
      z.push_back(static_cast<float>(z0));
      z.push_back(static_cast<float>(result.z1[row]));
    }
  result.means = decode(model, z);
  return result;
}

}  // namespace elbo

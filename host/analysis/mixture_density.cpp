#include "host/analysis/mixture_density.hpp"

#include <omp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/math/elementary.hpp"
#include "kernels/math/philox.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo {
namespace {

// A block of draws is evaluated on a tile of rows that stays in the caches. kTile is a multiple of
// kLanes.
constexpr size_t kTile = 256, kBlock = 16, kLanes = 8;
using Tile = std::array<double, kTile>;

/// Returns e^x for x < 709 with a relative error of 1e-14; x below -708 is clamped to -708. It has
/// no branches or calls, so that loops over it are vectorized on every x86-64.
[[gnu::always_inline]] inline double exponential(double x) {
  constexpr double kShift = 0x1.8p52;  // adding it rounds a double to an integer
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;
  x = x < -708.0 ? -708.0 : x;
  const double shifted = x * kLog2E + kShift;
  const double k = shifted - kShift;
  const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| <= log(2) / 2
  // Taylor polynomial; the first omitted term is below (log(2) / 2)^12 / 12! = 7e-15.
  double p = 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // k is in the lowest bits of `shifted`; adding them to the exponent multiplies by 2^k.
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) +
                               (std::bit_cast<uint64_t>(shifted) << 52));
}

/// Returns the sum of `term(i)` over a tile, always in the same order.
template <class Term>
[[gnu::always_inline]] inline double sum_tile(Term&& term) {
  std::array<double, kLanes> lanes{};
  for (size_t i = 0; i < kTile; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// Evaluates a tile of the components of one dimension at z: adds their log-densities to
/// `together`, writes their densities to `density`, and returns the sum of the densities. The
/// factor common to all densities is omitted.
[[gnu::always_inline]] inline double evaluate_tile(double z, const double* mean,
                                                   const double* half_precision,
                                                   const double* half_log_variance, Tile& together,
                                                   Tile& density) {
  for (size_t i = 0; i < kTile; ++i) {
    const double distance = z - mean[i];
    const double log_density = -(distance * distance * half_precision[i] + half_log_variance[i]);
    together[i] += log_density;
    density[i] = exponential(log_density);
  }
  return sum_tile([&](size_t i) { return density[i]; });
}

// This loop takes nearly all the time, so it is compiled for wider registers too. Both versions
// perform the same operations, so results are identical.
using EvaluateTile = double (*)(double, const double*, const double*, const double*, Tile&, Tile&);

double evaluate_narrow(double z, const double* mean, const double* half_precision,
                       const double* half_log_variance, Tile& together, Tile& density) {
  return evaluate_tile(z, mean, half_precision, half_log_variance, together, density);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] double evaluate_wide(double z, const double* mean,
                                             const double* half_precision,
                                             const double* half_log_variance, Tile& together,
                                             Tile& density) {
  return evaluate_tile(z, mean, half_precision, half_log_variance, together, density);
}

EvaluateTile evaluate_on_this_machine() {
  return __builtin_cpu_supports("avx2") ? evaluate_wide : evaluate_narrow;
}
#else
EvaluateTile evaluate_on_this_machine() { return evaluate_narrow; }
#endif

/// The components of the mixture, contiguous per dimension. Rows are padded to whole tiles; padding
/// has density 0.
struct Components {
  size_t rows, latent;
  std::vector<double> mean, half_precision, half_log_variance;  // [latent, rows]

  explicit Components(const PosteriorRows& q)
      : rows((q.rows() + kTile - 1) / kTile * kTile),
        latent(q.latent),
        mean(rows * latent),
        half_precision(rows * latent),
        half_log_variance(rows * latent, std::numeric_limits<double>::infinity()) {
    for (size_t i = 0; i < q.mean.size(); ++i) {
      const size_t at = i % latent * rows + i / latent;
      mean[at] = q.mean[i];
      half_precision[at] = 0.5 * std::exp(-q.log_variance[i]);
      half_log_variance[at] = 0.5 * q.log_variance[i];
    }
  }
};

/// log of a sum of exponentials of numbers, computed tile by tile.
struct LogSum {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;

  void add(const Tile& x) {
    const double tile_largest = *std::ranges::max_element(x);
    if (tile_largest > largest) {
      sum *= std::exp(largest - tile_largest);
      largest = tile_largest;
    }
    sum += sum_tile([&](size_t i) { return exponential(x[i] - largest); });
  }
};

/// One grouping. Group numbers are doubles, so that they fit vector registers beside densities.
struct Groups {
  std::vector<double> of_row;       // [rows]
  std::vector<double> group_sizes;  // [groups]

  Groups(std::span<const int32_t> numbers, size_t padded) : of_row(padded, -1.0) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto group = static_cast<size_t>(numbers[i]);
      if (group >= group_sizes.size()) group_sizes.resize(group + 1);
      ++group_sizes[group];
      of_row[i] = numbers[i];
    }
  }
};

}  // namespace

CodeDraws draw_codes(const PosteriorRows& q, size_t count) {
  // The noise of a step that no training or evaluation reaches.
  constexpr uint64_t kSeed = 1, kStep = (uint64_t{1} << 55) + 1;
  const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::epsilon, kStep);
  const size_t rows = q.rows();
  count = std::min(count, rows);
  CodeDraws draws;
  draws.z.reserve(count * q.latent);
  for (size_t m = 0; m < count; ++m) {
    const size_t row = m * rows / count;
    draws.rows.push_back(row);
    for (size_t j = 0; j < q.latent; ++j) {
      const math::Float4 noise = math::normal4(
          kSeed, subsequence,
          math::noise_group(static_cast<uint32_t>(row), static_cast<uint32_t>(j / 4)));
      const size_t at = row * q.latent + j;
      draws.z.push_back(
          math::reparameterize<double>(q.mean[at], q.log_variance[at], noise.value[j % 4]));
    }
  }
  return draws;
}

MixtureDensities mixture_densities(const PosteriorRows& q, const CodeDraws& draws,
                                   std::span<const std::vector<int32_t>> groupings, int threads) {
  const Components components(q);
  const size_t latent = q.latent, padded = components.rows, count = draws.rows.size();
  std::vector<Groups> groups;
  for (const std::vector<int32_t>& numbers : groupings) groups.emplace_back(numbers, padded);
  const size_t ways = groups.size();

  MixtureDensities result;
  result.own.resize(count * latent);
  result.joint.resize(count);
  result.marginal.resize(count * latent);
  result.conditional.resize(count * latent * ways);
  const EvaluateTile evaluate = evaluate_on_this_machine();
  const auto blocks = static_cast<int64_t>((count + kBlock - 1) / kBlock);
#pragma omp parallel for schedule(dynamic) \
    num_threads(threads > 0 ? threads : omp_get_max_threads())
  for (int64_t block = 0; block < blocks; ++block) {
    const size_t first = static_cast<size_t>(block) * kBlock;
    const size_t last = std::min(first + kBlock, count);
    std::array<LogSum, kBlock> joint;
    for (size_t tile = 0; tile < padded; tile += kTile)
      for (size_t m = first; m < last; ++m) {
        Tile together{}, density;
        for (size_t j = 0; j < latent; ++j) {
          const size_t at = j * padded + tile;
          // Densities of one dimension can be summed without scaling: the draw's own density is at
          // least e^(-8 - 6.7^2 / 2), and no density exceeds e^8.
          result.marginal[m * latent + j] += evaluate(
              draws.z[m * latent + j], &components.mean[at], &components.half_precision[at],
              &components.half_log_variance[at], together, density);
          for (size_t k = 0; k < ways; ++k) {
            const double* of_row = &groups[k].of_row[tile];
            const double group = groups[k].of_row[draws.rows[m]];
            result.conditional[(m * latent + j) * ways + k] +=
                sum_tile([&](size_t i) { return of_row[i] == group ? density[i] : 0.0; });
          }
        }
        joint[m - first].add(together);
      }
    for (size_t m = first; m < last; ++m) {
      const LogSum& sum = joint[m - first];
      result.joint[m] = sum.largest + std::log(sum.sum);
    }
  }

  // Applies the common factor of all densities, and the weights of the mixtures.
  const double scale = 0.5 * math::kLogTwoPi, rows = static_cast<double>(q.rows());
  for (size_t m = 0; m < count; ++m) {
    const size_t row = draws.rows[m];
    result.joint[m] -= static_cast<double>(latent) * scale + std::log(rows);
    for (size_t j = 0; j < latent; ++j) {
      const size_t at = m * latent + j, own = row * latent + j;
      const double distance = draws.z[at] - q.mean[own];
      result.own[at] =
          -0.5 * (distance * distance * std::exp(-q.log_variance[own]) + q.log_variance[own]) -
          scale;
      result.marginal[at] = std::log(result.marginal[at] / rows) - scale;
      for (size_t k = 0; k < ways; ++k) {
        const auto group = static_cast<size_t>(groups[k].of_row[row]);
        double& density = result.conditional[at * ways + k];
        density = std::log(density / groups[k].group_sizes[group]) - scale;
      }
    }
  }
  return result;
}

}  // namespace elbo

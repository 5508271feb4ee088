#include "host/analysis/decoder_variance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"
#include "kernels/math/likelihood/all.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo {
namespace {

class Collector {
 public:
  Collector(DecoderVariance::Scope scope, size_t elements) : sums_(elements), at_floor_(elements) {
    result_.scope = scope;
    result_.smallest.assign(elements, std::numeric_limits<float>::infinity());
    result_.largest.assign(elements, 0.0f);
  }

  /// log_variances [elements]
  void add(std::span<const float> log_variances) {
    for (size_t i = 0; i < log_variances.size(); ++i) {
      const float raw = log_variances[i];
      if (!std::isfinite(raw))
        throw DataError(
            formatted("decoder's log-variances: element {} is {:f}, expected finite ones", i, raw));
      const float deviation = math::posterior_deviation(raw);
      sums_[i] += deviation;
      result_.smallest[i] = std::min(result_.smallest[i], deviation);
      result_.largest[i] = std::max(result_.largest[i], deviation);
      at_floor_[i] += raw <= math::kMinLogVariance ? 1 : 0;
    }
    ++rows_;
  }

  DecoderVariance take() {
    const auto rows = static_cast<double>(rows_);
    const auto elements = static_cast<double>(sums_.size());
    for (size_t i = 0; i < sums_.size(); ++i) {
      result_.mean.push_back(static_cast<float>(sums_[i] / rows));
      result_.floor_part.push_back(static_cast<double>(at_floor_[i]) / rows);
      result_.total_mean += sums_[i] / rows / elements;
      result_.total_floor_part += result_.floor_part[i] / elements;
      if (at_floor_[i] == rows_) result_.always_at_floor.push_back(i);
    }
    return std::move(result_);
  }

 private:
  DecoderVariance result_;
  std::vector<double> sums_;
  std::vector<int64_t> at_floor_;
  int64_t rows_ = 0;
};

}  // namespace

double smallest_deviation() { return std::exp(0.5 * math::kMinLogVariance); }

std::optional<DecoderVariance> decoder_variance(const Model& model, Evaluator& evaluator) {
  const Architecture& architecture = model.architecture;
  if (!architecture.has(Part::decoder)) return std::nullopt;
  if (const Parameter* shared = architecture.layout().find("likelihood.log_variance")) {
    const auto channels = static_cast<size_t>(shared->count());
    Collector collector(
        channels == 1 ? DecoderVariance::Scope::all : DecoderVariance::Scope::channel, channels);
    collector.add(model.arena.weights.download(static_cast<size_t>(shared->offset), channels));
    return collector.take();
  }
  if (architecture.decoder().likelihood().name() != math::Gaussian::name) return std::nullopt;
  const auto dim = static_cast<size_t>(architecture.dim());
  Collector collector(DecoderVariance::Scope::element, dim);
  evaluator.decode_rows([&](std::span<const float> outputs) {  // means, then log-variances
    for (size_t first = dim; first < outputs.size(); first += 2 * dim)
      collector.add(outputs.subspan(first, dim));
  });
  return collector.take();
}

}  // namespace elbo

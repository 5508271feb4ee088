// The standard deviations that a decoder predicts, and whether they are at the floor to which the
// engine clamps them. At the floor, only this clamp bounds the density of constant elements.
#pragma once

#include <optional>
#include <vector>

#include "host/train/evaluator.hpp"

namespace elbo {

/// Statistics of sigma in N(x; mean, sigma^2) at z = mu(x), in units of the data as the model sees
/// them.
struct DecoderVariance {
  /// The unit with a separate sigma: all elements together, each channel of a picture, or each
  /// element.
  enum class Scope { all, channel, element };
  Scope scope = Scope::all;
  /// Over rows: [1], [channels] or [dim].
  std::vector<float> smallest, mean, largest;
  std::vector<double> floor_part;       // same shape: fraction of rows with sigma at its floor
  std::vector<size_t> always_at_floor;  // channels or elements with floor_part 1
  double total_floor_part = 0.0;        // fraction of all (row, element) pairs
  double total_mean = 0.0;              // mean of sigma over all (row, element) pairs
};

/// Returns the smallest possible sigma: exp of half the floor of log-variances.
double smallest_deviation();

/// Returns nothing if the model has no decoder, or its likelihood has no learned variance. Throws
/// DataError if a log-variance is not finite.
std::optional<DecoderVariance> decoder_variance(const Model& model, Evaluator& evaluator);

}  // namespace elbo

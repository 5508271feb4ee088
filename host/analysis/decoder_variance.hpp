// The standard deviations that a decoder gives to data, and if they lie at the floor that the
// engine clamps them to: there the density of constant elements has no other bound.
#pragma once

#include <optional>
#include <vector>

#include "host/train/evaluator.hpp"

namespace elbo {

/// Of N(x; mean, sigma^2) with sigma at z = mu(x), in units of the data as the model sees them.
struct DecoderVariance {
  /// What has a sigma of its own: all elements one, each channel of the pictures, or each element.
  enum class Scope { all, channel, element };
  Scope scope = Scope::all;
  /// Over the rows: [1], [channels] or [dim].
  std::vector<float> smallest, mean, largest;
  std::vector<double> floor_part;       // like those: the part of rows where sigma is at its floor
  std::vector<size_t> always_at_floor;  // the channels or elements where that is 1
  double total_floor_part = 0.0;        // the part of all (row, element)
  double total_mean = 0.0;              // of sigma over all (row, element)
};

/// The smallest sigma, exp of half the floor of log-variances.
double smallest_deviation();

/// Nothing where the model has no decoder, or its likelihood no variance that was learned. Throws
/// DataError if a log-variance is not finite.
std::optional<DecoderVariance> decoder_variance(const Model& model, Evaluator& evaluator);

}  // namespace elbo

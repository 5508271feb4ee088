// Decodes selected codes: along dimensions, between rows, and over the plane.
//
// If training made codes similar to N(0, I), distances are in standard deviations of this prior;
// otherwise ranges are computed from the codes.
#pragma once

#include <optional>
#include <vector>

#include "host/train/evaluator.hpp"

namespace elbo {

/// The distribution of a split's codes.
struct LatentSpace {
  size_t latent = 0;
  bool prior = false;              // the value of has_prior()
  std::vector<double> codes;       // [rows, latent]: mu, or z if it is deterministic
  std::vector<double> importance;  // [latent]: KL in nats, or the variance of z
  std::vector<size_t> order;       // dimensions by decreasing importance

  size_t rows() const { return codes.size() / latent; }
  /// Returns a quantile of the prior, or of the codes' dimension j without a prior.
  double quantile(size_t j, double probability) const;
  /// Returns the centre of traversals: 0, or the mean of the codes without a prior.
  double centre(size_t j) const;
};

/// Decoded codes that differ from the centre in one dimension; one row of pictures per dimension.
struct Traversals {
  static constexpr size_t kColumns = 13;
  std::vector<size_t> dimensions;  // rows
  std::vector<double> values;      // [rows, kColumns]: -3 to 3, or the codes' quantiles 1 % to 99 %
  std::vector<float> means;        // [rows, kColumns, dim], E[x|z]
};

/// Decoded codes between pairs of rows, from interpolate() of generation.hpp.
struct Interpolations {
  static constexpr size_t kSteps = 9;
  std::vector<size_t> from, to;  // [pairs], rows of the split
  std::vector<float> pictures;   // [pairs, 1 + kSteps + 1, dim]: x, E[x|z] from one code to the
                                 // other, both included, x'
};

/// Decoded codes on a grid whose lines are equally probable: quantiles (i + 1/2) / kSide.
struct Manifold {
  static constexpr size_t kSide = 20;
  std::vector<double> z0, z1;  // [kSide], ascending
  std::vector<float> means;    // [kSide, kSide, dim], the largest z1 first, the smallest z0 first
};

/// Traverses the first 16 of `dimensions`. Throws ConfigError if the model has no decoder, as the
/// functions below do.
Traversals traverse(const Model& model, const LatentSpace& space, std::vector<size_t> dimensions);

/// Interpolates between 8 pairs of rows (fewer if the split is smaller), spread evenly over the
/// split.
Interpolations interpolate(const Model& model, const Split& split, const LatentSpace& space);

/// Decodes a grid for a code of two dimensions.
Manifold decode_plane(const Model& model, const LatentSpace& space);

}  // namespace elbo

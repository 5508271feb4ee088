// What a decoder makes of chosen codes: along dimensions, between rows, over the plane.
//
// Where training made codes look like N(0, I), distances are in standard deviations of that prior;
// elsewhere ranges come from the codes themselves.
#pragma once

#include <optional>
#include <vector>

#include "host/train/evaluator.hpp"

namespace elbo {

/// Where a split's codes lie.
struct LatentSpace {
  size_t latent = 0;
  bool prior = false;              // whether has_prior()
  std::vector<double> codes;       // [rows, latent]: mu, or z where it is deterministic
  std::vector<double> importance;  // [latent]: KL in nats, or the variance of z
  std::vector<size_t> order;       // dimensions by importance, the largest first

  size_t rows() const { return codes.size() / latent; }
  /// Of dimension j: the prior's, or the codes' own.
  double quantile(size_t j, double probability) const;
  /// Where traversals start: 0, or the codes' mean.
  double centre(size_t j) const;
};

/// Decoded codes that differ from the centre in one dimension: a row of pictures each.
struct Traversals {
  static constexpr size_t kColumns = 13;
  std::vector<size_t> dimensions;  // rows
  std::vector<double> values;      // [rows, kColumns]: -3 to 3, or the codes' quantiles 1 % to 99 %
  std::vector<float> means;        // [rows, kColumns, dim], E[x|z]
};

/// Decoded codes between those of two rows, as generation.hpp's interpolate() has them.
struct Interpolations {
  static constexpr size_t kSteps = 9;
  std::vector<size_t> from, to;  // [pairs], rows of the split
  std::vector<float> pictures;   // [pairs, 1 + kSteps + 1, dim]: x, E[x|z] from one code to the
                                 // other, both included, x
};

/// Decoded codes of a grid whose lines are equally likely: quantiles (i + 1/2) / kSide.
struct Manifold {
  static constexpr size_t kSide = 20;
  std::vector<double> z0, z1;  // [kSide], ascending
  std::vector<float> means;    // [kSide, kSide, dim], the largest z1 first, the smallest z0 first
};

/// The first of `dimensions` at most 16 rows. Throws ConfigError if there is no decoder, as the
/// others do.
Traversals traverse(const Model& model, const LatentSpace& space, std::vector<size_t> dimensions);

/// Of 8 pairs of rows, fewer where there are fewer rows, spread evenly over the split.
Interpolations interpolate(const Model& model, const Split& split, const LatentSpace& space);

/// Of a code of two dimensions.
Manifold decode_plane(const Model& model, const LatentSpace& space);

}  // namespace elbo

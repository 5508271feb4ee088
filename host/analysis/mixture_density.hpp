// Exact densities of the aggregate posterior q(z) = 1/N sum over rows n of q(z|x_n), a mixture of
// one diagonal Gaussian per row: jointly and for each dimension alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace elbo {

/// q(z|x) of rows, as diagonal Gaussians.
struct PosteriorRows {
  std::vector<double> mean, log_variance;  // [rows, latent]
  size_t latent = 0;

  size_t rows() const { return mean.size() / latent; }
};

/// Codes z ~ q(z|x), one for each of some rows.
struct CodeDraws {
  std::vector<size_t> rows;  // the rows, ascending
  std::vector<double> z;     // [rows.size(), latent]
};

/// Returns one draw from each of `count` rows that are spread evenly, or from all rows if there are
/// fewer. Noise is indexed by row and dimension, so the draw of a row is always the same.
CodeDraws draw_codes(const PosteriorRows& q, size_t count);

/// Logarithms of densities at draws z.
struct MixtureDensities {
  std::vector<double> own;          // [draws, latent], log q(z_j|x) for the row x of the draw
  std::vector<double> joint;        // [draws], log q(z)
  std::vector<double> marginal;     // [draws, latent], log q(z_j)
  std::vector<double> conditional;  // [draws, latent, groupings], log q(z_j | group of the row)
};

/// Each grouping divides the rows into groups: [rows] group numbers. A conditional density is the
/// density of the mixture of all rows in the draw's own group. `threads` 0 uses all threads;
/// results do not depend on it. Computes rows * draws * latent exponentials.
MixtureDensities mixture_densities(const PosteriorRows& q, const CodeDraws& draws,
                                   std::span<const std::vector<int32_t>> groupings = {},
                                   int threads = 0);

}  // namespace elbo

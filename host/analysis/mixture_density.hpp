// Densities of the aggregate posterior q(z) = 1/N sum over rows n of q(z|x_n), a mixture of as many
// diagonal Gaussians as there are rows: exact, of all dimensions together and of each alone.
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
  std::vector<size_t> rows;  // which, ascending
  std::vector<double> z;     // [rows.size(), latent]
};

/// One draw from each of `count` rows that are spread evenly (all of them, where there are no
/// more). Noise is addressed by row and dimension: a row's draw is always the same.
CodeDraws draw_codes(const PosteriorRows& q, size_t count);

/// Logarithms of densities at draws z.
struct MixtureDensities {
  std::vector<double> own;          // [draws, latent], log q(z_j|x) of the row z was drawn from
  std::vector<double> joint;        // [draws], log q(z)
  std::vector<double> marginal;     // [draws, latent], log q(z_j)
  std::vector<double> conditional;  // [draws, latent, groupings], log q(z_j | the row's group)
};

/// `groupings` divide the rows in groups, [rows] group numbers each; conditional densities are
/// those of the mixture of the rows in the same group as the draw's own. `threads` 0: all there
/// are; results do not depend on it. Takes rows * draws * latent exponentials.
MixtureDensities mixture_densities(const PosteriorRows& q, const CodeDraws& draws,
                                   std::span<const std::vector<int32_t>> groupings = {},
                                   int threads = 0);

}  // namespace elbo

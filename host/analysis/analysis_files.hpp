// Writes an analysis as a directory of files: numbers for programs, pictures for people.
//
//   codes.npy [rows, latent]       z of every row: mu, or z itself if it is deterministic
//   log_variances.npy              of q(z|x), for a Gaussian bottleneck, [rows, latent]
//   kl.png                         KL by dimension, for a Gaussian bottleneck
//   codes.png                      the two dimensions with most KL (or variance), by label
//   traversals.{npy,png}           E[x|z] along a dimension, [dimensions, values, sample shape]
//   interpolations.{npy,png}       between the codes of two rows, [pairs, pictures, sample shape]
//   manifold.{npy,png}             over the plane, if z has two dimensions
//   deviations.{npy,png}           the decoder's standard deviation of each element, if it has one
//                                  per element: smallest, mean, largest over rows,
//                                  [3, sample shape]
//   analysis.json                  to_json(), written last
#pragma once

#include <filesystem>

#include "host/analysis/analysis.hpp"

namespace elbo {

/// Writes the files that apply to the model into an existing directory; `analysis` must belong to
/// this model and split. Throws DataError if a file cannot be written.
void write_analysis(const std::filesystem::path& directory, const Model& model, const Split& split,
                    const Analysis& analysis);

}  // namespace elbo

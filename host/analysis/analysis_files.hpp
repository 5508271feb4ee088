// An analysis as a directory of files: numbers for programs, pictures for people.
//
//   codes.npy [rows, latent]       z of every row: mu, or z itself where it is deterministic
//   log_variances.npy              of q(z|x), of a Gaussian bottleneck, [rows, latent]
//   kl.png                         KL by dimension, of a Gaussian bottleneck
//   codes.png                      the two dimensions of most KL (or variance), by label
//   traversals.{npy,png}           E[x|z] along a dimension, [dimensions, values, sample shape]
//   interpolations.{npy,png}       between the codes of two rows, [pairs, pictures, sample shape]
//   manifold.{npy,png}             over the plane, where z has two dimensions
//   deviations.{npy,png}           the decoder's standard deviation of each element, where it gives
//                                  one: smallest, mean, largest over rows, [3, sample shape]
//   analysis.json                  last: to_json()
#pragma once

#include <filesystem>

#include "host/analysis/analysis.hpp"

namespace elbo {

/// Writes what the model has into an existing directory; `analysis` is of this model and split.
/// Throws DataError if a file cannot be written.
void write_analysis(const std::filesystem::path& directory, const Model& model, const Split& split,
                    const Analysis& analysis);

}  // namespace elbo

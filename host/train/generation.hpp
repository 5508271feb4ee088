// Applies a model's networks to codes and rows in memory, without a data set.
#pragma once

#include <span>
#include <vector>

#include "host/model/model.hpp"

namespace elbo {

/// Returns E[x | z] for codes z [count, latent], as [count, dim]. Throws ConfigError if the model
/// has no decoder.
std::vector<float> decode(const Model& model, std::span<const float> z);

/// Returns E[x | z] for `count` draws z from the prior, determined by `seed`, as [count, dim].
/// Throws ConfigError if the model has no decoder or no prior from which to draw.
std::vector<float> sample(const Model& model, int64_t count, uint64_t seed);

/// Returns `steps` codes from one code to another, both included. Spherical interpolation uses
/// equal angles on the great circle through both codes; their distance from 0 is then typical of a
/// normal distribution (White 2016, "Sampling generative networks"). Otherwise the codes lie on a
/// straight line.
std::vector<float> codes_between(std::span<const float> from, std::span<const float> to,
                                 int64_t steps, bool spherical);

/// Interpolates between rows: for each pair of rows x and x' returns x, E[x | z] at `steps` codes
/// from the code of x to the code of x', and x': [pairs, 1 + steps + 1, dim]. Codes of a Gaussian
/// bottleneck are interpolated spherically. The pairs are adjacent in `rows` [2 pairs, dim] and in
/// `codes` [2 pairs, latent]. Throws ConfigError if the model has no decoder.
std::vector<float> interpolate(const Model& model, std::span<const float> rows,
                               std::span<const float> codes, int64_t steps);

/// Returns true if training makes the decoder produce data from draws of N(0, I).
bool has_prior(const ModelSettings& settings);

/// Returns D of rows [count, dim], or of codes [count, latent] if the discriminator reads codes, as
/// [count]. Throws ConfigError if the model has no discriminator.
std::vector<float> discriminate(const Model& model, std::span<const float> rows);

}  // namespace elbo

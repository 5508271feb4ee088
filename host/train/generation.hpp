// What a model's networks make of codes and of rows from memory, without a data set.
#pragma once

#include <span>
#include <vector>

#include "host/model/model.hpp"

namespace elbo {

/// E[x | z] for codes z [count, latent]: [count, dim]. Throws ConfigError if there is no
/// decoder.
std::vector<float> decode(const Model& model, std::span<const float> z);

/// E[x | z] for `count` draws z from the prior, by `seed`: [count, dim].
/// Throws ConfigError if the model has no prior to draw from.
std::vector<float> sample(const Model& model, int64_t count, uint64_t seed);

/// `steps` codes from one code to another, both included. Spherical: at equal angles on the great
/// circle through both, where codes are as far from 0 as a normal distribution's are (White 2016,
/// "Sampling generative networks"); else on the straight line.
std::vector<float> codes_between(std::span<const float> from, std::span<const float> to,
                                 int64_t steps, bool spherical);

/// What lies between rows: x, E[x | z] at `steps` codes from its code to that of x', and x', of
/// each pair of rows: [pairs, 1 + steps + 1, dim]. Codes of a Gaussian bottleneck are interpolated
/// spherically. rows [2 pairs, dim] and their codes [2 pairs, latent] lie pair by pair. Throws
/// ConfigError if there is no decoder.
std::vector<float> interpolate(const Model& model, std::span<const float> rows,
                               std::span<const float> codes, int64_t steps);

/// Whether training has made draws from N(0, I) codes of this model.
bool has_prior(const ModelSettings& settings);

/// D of rows [count, dim], or of codes [count, latent] where those are what is judged: [count].
/// Throws ConfigError if there is no discriminator.
std::vector<float> discriminate(const Model& model, std::span<const float> rows);

}  // namespace elbo

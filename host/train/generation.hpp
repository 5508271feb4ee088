// What a model's networks make of codes and of rows from memory, without a data set.
#pragma once

#include <span>
#include <vector>

#include "host/model/model.hpp"

namespace elbo {

/// E[x | z] for codes z [count, latent]: [count, dim]. Throws ConfigError where there is no
/// decoder.
std::vector<float> decode(const Model& model, std::span<const float> z);

/// E[x | z] for `count` draws z from the prior, by `seed`: [count, dim].
/// Throws ConfigError where the model has no prior to draw from.
std::vector<float> sample(const Model& model, int64_t count, uint64_t seed);

/// Whether training has made draws from N(0, I) codes of this model.
bool has_prior(const Config& config);

/// D of rows [count, dim], or of codes [count, latent] where those are what is judged: [count].
/// Throws ConfigError where there is no discriminator.
std::vector<float> discriminate(const Model& model, std::span<const float> rows);

}  // namespace elbo

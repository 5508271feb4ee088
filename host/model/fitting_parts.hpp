// Which parts of a model go together.
#pragma once

#include "host/data/dataset.hpp"
#include "host/model/config.hpp"
#include "kernels/math/likelihood/terms.hpp"

namespace elbo {

/// Throws ConfigError naming the first two settings that contradict each other, and what would fit.
void require_fitting_parts(const Config& config);

/// Throws DataError where values are out of [0, 1] and a likelihood or corruption wants them there.
void require_fitting_data(const Config& config, const Dataset& dataset);

/// The values that the likelihood is over; any where there is none.
math::DataRange likelihood_range(const Config& config);

}  // namespace elbo

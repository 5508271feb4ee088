// Explains the results of an analysis in words, with advice.
#pragma once

#include <string>
#include <vector>

#include "host/analysis/analysis.hpp"
#include "host/model/model_settings.hpp"

namespace elbo {

/// Returns the findings by decreasing importance: a collapsed posterior, a variance at its floor,
/// unused units, a split that is too small. Advice names the flags of settings; flags whose current
/// value causes the problem come first.
std::vector<Finding> findings_of(const Analysis& analysis, const ModelSettings& settings);

}  // namespace elbo

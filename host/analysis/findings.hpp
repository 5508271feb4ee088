// What an analysis means in words, and what can be done about it.
#pragma once

#include <string>
#include <vector>

#include "host/analysis/analysis.hpp"
#include "host/model/model_settings.hpp"

namespace elbo {

/// In the order of their weight: a collapsed posterior, a variance at its floor, unused units, a
/// split too small. Remedies are named by the settings' flags, those first that stand against it.
std::vector<Finding> findings_of(const Analysis& analysis, const ModelSettings& settings);

}  // namespace elbo

// Converts an analysis to JSON. docs/analyze.md explains every key.
#pragma once

#include <string>

#include "host/analysis/analysis.hpp"

namespace elbo {

/// Returns one JSON object. Parts that the model does not have are omitted. Infinite and missing
/// numbers become null, because JSON has neither. `split` is the name of the split; `indent` -1
/// writes a single line.
std::string to_json(const Analysis& analysis, const std::string& split, int indent = -1);

}  // namespace elbo

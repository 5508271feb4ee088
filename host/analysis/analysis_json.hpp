// An analysis as JSON, for programs. docs/analyze.md explains every key.
#pragma once

#include <string>

#include "host/analysis/analysis.hpp"

namespace elbo {

/// One object. A part that the model has not got is left out; a number that is infinite or not
/// there is null, for JSON knows neither. `split` is the name of the rows; `indent` -1 gives one
/// line.
std::string to_json(const Analysis& analysis, const std::string& split, int indent = -1);

}  // namespace elbo

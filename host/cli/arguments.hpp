// Checks the arguments of a command line before their values are read.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

/// Throws ConfigError for arguments that `app` would reject or misinterpret: unknown commands,
/// options and further arguments, options without a value, values of options that take none, and
/// options given twice. Returns the arguments in the form that the parser expects: an empty value,
/// written as "--name=", becomes a separate argument.
std::vector<std::string> checked_arguments(const CLI::App& app,
                                           const std::vector<std::string>& arguments);

/// Returns the full name of a command, for example "elbo generate shapes".
std::string full_name(const CLI::App& command);

}  // namespace elbo::cli

// What is on a command line, before its values are read.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

/// Throws ConfigError for arguments that `app` would refuse or misread: unknown commands, options
/// and further arguments, options without their value, values of options that take none, and
/// options given twice. Returns the arguments as the parser understands them: an empty value that
/// was written "--name=" is an argument of its own.
std::vector<std::string> checked_arguments(const CLI::App& app,
                                           const std::vector<std::string>& arguments);

/// "elbo generate shapes"
std::string full_name(const CLI::App& command);

}  // namespace elbo::cli

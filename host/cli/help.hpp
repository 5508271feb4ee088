// How --help looks: names on the left, explanations beside them, 80 columns, defaults at the end.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace elbo::cli {

class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace elbo::cli

#include "host/io/formatted.hpp"

namespace elbo {

std::string format_values(fmt::string_view pattern, fmt::format_args values) {
  return fmt::vformat(pattern, values);
}

}  // namespace elbo

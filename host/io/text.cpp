#include "host/io/text.hpp"

#include "host/io/formatted.hpp"

namespace elbo {

std::string format_number(double value) { return formatted("{:g}", value); }

}  // namespace elbo

// Numbers as text.
#pragma once

#include <charconv>
#include <string>

namespace elbo {

/// The number in up to six digits: "0.5", "1e-06".
std::string format_number(double value);

/// The shortest text that parses to the same number.
template <class T>
std::string exact_text(T value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace elbo

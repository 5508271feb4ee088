// Sizes as text, "128x784".
#pragma once

#include <initializer_list>
#include <string>

#include "kernels/core/feature_map.hpp"

namespace elbo {

inline std::string sizes_text(std::initializer_list<int64_t> sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

/// Rows of maps and the rows of maps computed from them: "128x28x28x3-14x14x32".
inline std::string sizes_text(int64_t rows, const FeatureMap& in, const FeatureMap& out) {
  return sizes_text({rows, in.height, in.width, in.channels}) + "-" +
         sizes_text({out.height, out.width, out.channels});
}

}  // namespace elbo

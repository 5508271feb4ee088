// Names in the settings and what they stand for.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "kernels/core/error.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// The place of `name`, which has been validated, in a list of names.
template <size_t kCount>
size_t index_in(const std::array<std::string_view, kCount>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  ELBO_ASSERT(found != names.end());
  return static_cast<size_t>(found - names.begin());
}

inline math::Activation activation_of(std::string_view name) {
  return {math::Activations::find(name)};
}

}  // namespace elbo

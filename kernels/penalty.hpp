// Contract: the L1 penalty on a code, with its gradient in the same pass.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// norm[r] = sum over c of |x[r, c]|. With grad_x, grad_x = (weight / active rows) sign(x) ∘
/// φ'(saved), the gradient of weight * sum(norm) / active rows at the pre-activation of the layer
/// that computed x; sign(0) = 0. `saved` is the operand of φ', null if x had no φ.
struct L1Terms {
  static constexpr std::string_view name = "l1_terms";
  Rows rows;
  int32_t columns = 0;
  float weight = 1.0f;
  math::Activation activation = {};
  ConstReals x;           // [rows, columns]
  ConstReals saved = {};  // [rows, columns], like x
  float* norm = nullptr;  // [rows]
  Reals grad_x = {};      // [rows, columns], or null

  AccessList accesses() const {
    const int64_t r = rows.capacity(), elements = r * columns;
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, elements)
        .reads(saved, grad_x ? elements : 0)
        .writes(norm, r)
        .writes(grad_x, elements);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), columns}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo

// Contract: the sum of several gradients of one value.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"

namespace elbo {

/// out[r, c] = sum of the terms' [r, c], in the terms' order: the gradient of a value that was used
/// several times. A term with fewer columns than out adds nothing to the others. `out` may alias a
/// term of the same width and format.
struct GradientSum {
  static constexpr std::string_view name = "gradient_sum";
  static constexpr int kMostTerms = 4;
  struct Term {
    ConstReals data;  // [rows, columns], or null
    int32_t columns = 0;
  };
  Rows rows;
  int32_t columns = 0;
  Term terms[kMostTerms] = {};
  Reals out;  // [rows, columns]

  AccessList accesses() const {
    const int64_t r = rows.capacity();
    AccessList list;
    list.reads(rows.state, 1);
    for (const Term& term : terms) list.reads(term.data, r * term.columns);
    return list.writes(out, r * columns);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), columns}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo

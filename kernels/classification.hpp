// Contract: the loss of a classifier, its gradient and correct predictions, in one pass.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/classification.hpp"

namespace elbo {

/// loss[r] of p = softmax(logits[r, :]) and the label of row r's input; correct[r] = 1 if the first
/// of the largest logits is the label's, else 0.
///
/// With `gradients`, the gradient of weight * sum(loss) / active rows overwrites logits, or is
/// written to grad_logits in bfloat16 if there is one. Labels must be in [0, classes).
struct CategoricalTerms {
  static constexpr std::string_view name = "categorical_terms";
  math::ClassLoss loss_kind;
  bool gradients = true;
  float weight = 1.0f;  // of this loss in the sum of losses
  Rows rows;
  int32_t classes = 0;
  const int32_t* labels = nullptr;  // [label_count], of all rows of the data set
  int64_t label_count = 0;
  const uint32_t* row_ids = nullptr;      // [inputs] the data set's rows in this batch
  float* logits = nullptr;                // [rows, classes]
  float* loss = nullptr;                  // [rows]
  float* correct = nullptr;               // [rows]
  math::Bfloat16* grad_logits = nullptr;  // as logits, or null

  AccessList accesses() const {
    const int64_t r = rows.capacity(), scores = r * classes;
    AccessList list;
    list.reads(rows.state, 1)
        .reads(row_ids, rows.inputs)
        .gathers(labels, label_count, rows.inputs)
        .reads(logits, scores)
        .writes(loss, r)
        .writes(correct, r)
        .writes(grad_logits, scores);
    if (gradients && grad_logits == nullptr) list.writes(logits, scores);
    return list;
  }
  std::string sizes() const { return sizes_text({rows.capacity(), classes}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo

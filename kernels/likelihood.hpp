// Contract: the likelihood's negative log-density and every gradient, in one pass, in place.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/likelihood/all.hpp"

namespace elbo {

/// nll[r] = -log p(x[r / samples, :] | output[r, :]) in nats, summed over the columns.
///
/// With `gradients`, the gradient of weight * sum(row_weight * nll) / (active rows * samples)
/// overwrites output, or is written to grad_output in bfloat16 if there is one;
/// grad_log_variance[r, :] receives row r's part of the gradient of the shared log-variances (if
/// any). output[r, :] contains the likelihood's parameters in blocks: all means, then all
/// log-variances. A shared log-variance is a single one or, in a likelihood with one per channel,
/// belongs to channel e / channel_step % channels for element e of a row.
struct LikelihoodTerms {
  static constexpr std::string_view name = "likelihood_terms";
  static constexpr int32_t kMostChannels = 4;
  math::Likelihood likelihood;
  bool gradients = true;
  float weight = 1.0f;  // of this loss in the sum of losses
  Rows inputs;
  int32_t samples = 1;
  int32_t columns = 0;
  int32_t channels = 1;                   // at most kMostChannels
  int32_t channel_step = 1;               // consecutive elements of one channel
  const float* x = nullptr;               // [inputs, columns]
  float* output = nullptr;                // [inputs * samples, parameters * columns]
  const float* log_variance = nullptr;    // [channels], or null
  const float* row_weight = nullptr;      // [inputs * samples], or null: 1
  float* nll = nullptr;                   // [inputs * samples]
  float* grad_log_variance = nullptr;     // [inputs * samples, channels], or null
  math::Bfloat16* grad_output = nullptr;  // as output, or null

  int parameters() const {
    int n = 0;
    likelihood.visit([&](auto l) { n = decltype(l)::parameters; });
    return n;
  }
  AccessList accesses() const {
    const int64_t b = inputs.capacity(), rows = b * samples;
    const int64_t outputs = rows * parameters() * columns;
    AccessList list;
    list.reads(inputs.state, 1)
        .reads(x, b * columns)
        .reads(output, outputs)
        .reads(log_variance, channels)
        .reads(row_weight, rows)
        .writes(nll, rows)
        .writes(grad_log_variance, rows * channels)
        .writes(grad_output, outputs);
    if (gradients && grad_output == nullptr) list.writes(output, outputs);
    return list;
  }
  std::string sizes() const {
    return sizes_text({int64_t{inputs.capacity()} * samples, int64_t{parameters()} * columns});
  }
  double flops() const { return 0.0; }
};

/// mean[r, :] = E[x] under the likelihood with parameters output[r, :].
struct LikelihoodMean {
  static constexpr std::string_view name = "likelihood_mean";
  math::Likelihood likelihood;
  Rows rows;
  int32_t columns = 0;
  const float* output = nullptr;  // [rows, parameters * columns]
  float* mean = nullptr;          // [rows, columns]

  AccessList accesses() const {
    const int64_t elements = int64_t{rows.capacity()} * columns;
    int64_t parameters = 0;
    likelihood.visit([&](auto l) { parameters = decltype(l)::parameters; });
    return AccessList()
        .reads(rows.state, 1)
        .reads(output, parameters * elements)
        .writes(mean, elements);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), columns}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo

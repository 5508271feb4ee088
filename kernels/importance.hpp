// Contract: the weights of importance-weighted training.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"

namespace elbo {

/// From the samples z of each input b, their bound on log p(x), in nats, and the weight of each in
/// its gradient:
///
///   bound[b]  = log 1/samples sum_l w_l,                log w_l = log_ratio_l - nll_l
///   weight[l] = samples * v_l / sum of the input's v,   log v_l = beta * log_ratio_l - nll_l
///
/// With beta 1, v is w, and -sum_l weight[l] / samples * grad log w_l is the gradient of -bound[b]
/// (Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", 2016, equations 8
/// and 14). Any other beta tempers the weights.
struct ImportanceWeights {
  static constexpr std::string_view name = "importance_weights";
  Rows inputs;
  int32_t samples = 1;
  const float* nll = nullptr;        // [inputs * samples], -log p(x|z)
  const float* log_ratio = nullptr;  // [inputs * samples], log p(z) - log q(z|x)
  float* bound = nullptr;            // [inputs]
  float* weight = nullptr;           // [inputs * samples], 1 on average, or null

  AccessList accesses() const {
    const int64_t b = inputs.capacity();
    return AccessList()
        .reads(inputs.state, 1)
        .reads(nll, b * samples)
        .reads(log_ratio, b * samples)
        .writes(bound, b)
        .writes(weight, b * samples);
  }
  std::string sizes() const { return sizes_text({inputs.capacity(), samples}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo

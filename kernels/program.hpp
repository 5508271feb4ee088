// A program is a list of ops, and an op is plain data: the host records a training step once, and a
// device runs it any number of times. The variant below is the only list of kernels; devices,
// tests, benchmarks and `elbo_bench plan` iterate over it.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/batch.hpp"
#include "kernels/classification.hpp"
#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"
#include "kernels/gradient_sum.hpp"
#include "kernels/group_norm.hpp"
#include "kernels/importance.hpp"
#include "kernels/latent.hpp"
#include "kernels/likelihood.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/penalty.hpp"
#include "kernels/random.hpp"
#include "kernels/reduce.hpp"
#include "kernels/resample.hpp"
#include "kernels/swap_axes.hpp"

namespace elbo {

using Op =
    std::variant<RandomFill, PermutationFill, GatherBatch, DenseForward, DenseBackwardInput,
                 DenseBackwardWeights, ConvolutionForward, ConvolutionBackwardInput,
                 ConvolutionBackwardWeights, ResampleForward, ResampleBackward, GroupNormForward,
                 GroupNormBackward, SwapAxes, LatentForward, KlWeights, LatentBackward,
                 LikelihoodTerms, ImportanceWeights, LikelihoodMean, CategoricalTerms, L1Terms,
                 GradientSum, ColumnSum, SquaredDistance, SquaredNorm, OptimizerUpdate>;

using Program = std::vector<Op>;

inline std::string_view name_of(const Op& op) {
  return std::visit([](const auto& o) { return o.name; }, op);
}
/// The memory that an op accesses.
inline AccessList accesses_of(const Op& op) {
  return std::visit([](const auto& o) { return o.accesses(); }, op);
}
/// The op's sizes as text: rows x in x out for a product, rows x map before - map after for a
/// convolution or resampling, rows x columns for ops on rows, otherwise the number of elements.
inline std::string sizes_of(const Op& op) {
  return std::visit([](const auto& o) { return o.sizes(); }, op);
}
/// Bytes that must move between memory and processor for this op at full batch.
inline double bytes_of(const Op& op) { return accesses_of(op).bytes(); }
/// Floating-point operations of the op's matrix products at full batch.
inline double flops_of(const Op& op) {
  return std::visit([](const auto& o) { return o.flops(); }, op);
}

}  // namespace elbo

// Helpers that the source files of the reference share.
#pragma once

#include <cmath>
#include <vector>

#include "bench/reference.hpp"

namespace elbo::reference {

/// Tolerance of a few operations per element, in float roundings.
inline constexpr double kElementwise = 32.0;
/// Returns the tolerance of a float sum of `terms` numbers. Its rounding error grows with the
/// square root of `terms` (Higham and Mary 2019). The factor 8 is generous, yet far below the
/// effect of a missing term.
inline double sum_of(double terms) { return kElementwise + 8.0 * std::sqrt(terms); }
/// One rounding to bfloat16 (2^-8), in float roundings (2^-24).
inline constexpr double kBfloat16Rounding = 0x1p16;

inline float as_float(double value) { return static_cast<float>(value); }

inline double at(const ConstReals& numbers, int64_t i) {
  return numbers.format == Format::f32 ? numbers.f32()[i]
                                       : math::to_float(numbers.as<math::Bfloat16>()[i]);
}
inline void put(const Reals& numbers, int64_t i, double value) {
  if (numbers.format == Format::f32)
    numbers.f32()[i] = as_float(value);
  else
    numbers.as<math::Bfloat16>()[i] = math::to_bfloat16(as_float(value));
}

/// Returns element `i` as an operand of a product in `precision`. A TF32 operand is not rounded
/// here: the tolerance of product() covers its rounding.
inline double factor(const ConstReals& numbers, int64_t i, Precision precision) {
  const double value = at(numbers, i);
  if (precision != Precision::bf16) return value;
  return math::to_float(math::to_bfloat16(as_float(value)));
}

/// Returns an output that may be in bfloat16. If it is, the tolerance allows for one rounding to
/// bfloat16 by the reference and `stored` roundings by the execution.
inline Output output(std::string_view name, const Reals& numbers, int64_t count, double roundings,
                     double stored = 1.0) {
  if (numbers.format == Format::bf16) roundings += (1.0 + stored) * kBfloat16Rounding;
  return {name, numbers.data, count, roundings, numbers.format};
}

/// The operands of a product whose sums have `depth` terms (K). If `right` is null, the result is
/// sums of `left` alone.
struct Factors {
  ConstReals left, right;
  int64_t left_count, right_count, depth;
  Precision precision;
};

/// Returns an output of a matrix product, with these tolerances:
///   - Tensor cores add groups of eight or more products to the accumulator at a time. They may
///     truncate each sum instead of rounding it: up to two roundings per group.
///   - A TF32 operand has 11 significant bits. Its relative error is up to 2^-11 if it is rounded,
///     and up to 2^-10, on average half of that, if it is truncated. A product of two truncated
///     operands is therefore too small by up to 2^-10 of itself on average, and so is the sum.
///     The deviations from that average are independent and at most 2^-10 of each product. By
///     Hoeffding's inequality, their sum exceeds 8 sqrt(depth) times the largest possible
///     deviation only once in 10^13 sums.
///   - bfloat16 operands are exact. A library may store the product before its epilogue is applied,
///     which is one more rounding to bfloat16.
Output product(std::string_view name, const Reals& result, int64_t count, const Factors& f);

/// Returns elements `first` to `first + count - 1` as operands of a product in `precision`.
std::vector<double> doubles(const ConstReals& numbers, int64_t first, int64_t count,
                            Precision precision = Precision::fp32);

void run_op(const DenseForward& op);
void run_op(const DenseBackwardInput& op);
void run_op(const DenseBackwardWeights& op);
void run_op(const ConvolutionForward& op);
void run_op(const ConvolutionBackwardInput& op);
void run_op(const ConvolutionBackwardWeights& op);
void run_op(const ResampleForward& op);
void run_op(const ResampleBackward& op);
void run_op(const GroupNormForward& op);
void run_op(const GroupNormBackward& op);
void run_op(const SwapAxes& op);
void run_op(const LikelihoodTerms& op);
void run_op(const LikelihoodMean& op);
void run_op(const CategoricalTerms& op);
void run_op(const L1Terms& op);
void run_op(const ImportanceWeights& op);
void run_op(const OptimizerUpdate& op);
std::vector<Output> outputs_of(const DenseForward& op);
std::vector<Output> outputs_of(const DenseBackwardInput& op);
std::vector<Output> outputs_of(const DenseBackwardWeights& op);
std::vector<Output> outputs_of(const ConvolutionForward& op);
std::vector<Output> outputs_of(const ConvolutionBackwardInput& op);
std::vector<Output> outputs_of(const ConvolutionBackwardWeights& op);
std::vector<Output> outputs_of(const ResampleForward& op);
std::vector<Output> outputs_of(const ResampleBackward& op);
std::vector<Output> outputs_of(const GroupNormForward& op);
std::vector<Output> outputs_of(const GroupNormBackward& op);
std::vector<Output> outputs_of(const SwapAxes& op);
std::vector<Output> outputs_of(const LikelihoodTerms& op);
std::vector<Output> outputs_of(const LikelihoodMean& op);
std::vector<Output> outputs_of(const CategoricalTerms& op);
std::vector<Output> outputs_of(const L1Terms& op);
std::vector<Output> outputs_of(const ImportanceWeights& op);
std::vector<Output> outputs_of(const OptimizerUpdate& op);

}  // namespace elbo::reference

// Inside the reference: what its files share.
#pragma once

#include <cmath>
#include <vector>

#include "bench/reference.hpp"

namespace elbo::reference {

/// A handful of operations per element.
inline constexpr double kElementwise = 32.0;
/// Float sums of `terms` numbers: their rounding errors grow like the square root (Higham and
/// Mary 2019); with room, and far below what one missing term would be.
inline double sum_of(double terms) { return kElementwise + 8.0 * std::sqrt(terms); }
/// A rounding to bfloat16 (2^-8), in roundings to float.
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

/// As a product of that precision takes it, but for TF32, whose rounding is an error here.
inline double factor(const ConstReals& numbers, int64_t i, Precision precision) {
  const double value = at(numbers, i);
  if (precision != Precision::bf16) return value;
  return math::to_float(math::to_bfloat16(as_float(value)));
}

/// An output that may be in bfloat16: then both sides have rounded to it, the execution up to
/// `stored` times.
inline Output output(std::string_view name, const Reals& numbers, int64_t count, double roundings,
                     double stored = 1.0) {
  if (numbers.format == Format::bf16) roundings += (1.0 + stored) * kBfloat16Rounding;
  return {name, numbers.data, count, roundings, numbers.format};
}

/// The factors of a product whose sums have `depth` terms. Without a right one: sums of the left.
struct Factors {
  ConstReals left, right;
  int64_t left_count, right_count, depth;
  Precision precision;
};

/// An output of a product. On tensor cores, a sum of eight or more products is added to the others
/// at a time, perhaps cut off where a float would be rounded. A factor in TF32 has 11 significant
/// bits: rounded, it is off by up to 2^-11 of itself, cut off by up to 2^-10, on average by half of
/// that. A product of two is then on average short of up to 2^-10 of itself, and so is their sum;
/// the rest is independent from product to product, 2^-10 of it at most, and by Hoeffding's
/// inequality exceeds 8 sqrt(depth) times the largest such once in 10^13. Factors in bfloat16 are
/// exact, and a library may store the product before it is finished: one more rounding.
Output product(std::string_view name, const Reals& result, int64_t count, const Factors& f);

/// `count` of the numbers, from the `first`-th on, as factors.
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

// Convolutions on CUDA in float, TF32 and bfloat16: sums of random products are compared with sums
// in double, exact sums with the CPU's.
#include <cmath>

#include "tests/batch_shapes.hpp"
#include "tests/convolution_shapes.hpp"

namespace elbo {
namespace {

/// Relative rounding error of an operand in each format: half a unit in the last place.
constexpr double kTf32Rounding = 0x1p-11, kBf16Rounding = 0x1p-8;

/// Cases for every tile size, with whole and partial 16-byte chunks, in one slice and in several.
std::vector<ConvolutionCase> products() {
  return {{"halving", 2, 2, {{8, 6, 8}, {4, 3, 16}, 4, 2, 1, 1}},
          {"broken", 2, 2, {{5, 4, 3}, {5, 4, 6}, 3, 1, 1, 3}},
          {"slices", 4, 4, {{17, 16, 4}, {17, 16, 8}, 1, 1, 0, 1}},
          {"tiles of 32", 3, 3, {{32, 32, 8}, {32, 32, 8}, 1, 1, 0, 1}},
          {"tiles of 64", 6, 6, {{32, 32, 2}, {32, 32, 36}, 1, 1, 0, 1}}};
}

struct Method {
  Format format;
  Precision precision;
  double rounding;  // relative, of an operand
};
constexpr Method kFloat = {Format::f32, Precision::fp32, 0.0},
                 kTf32 = {Format::f32, Precision::tf32, kTf32Rounding},
                 kBf16 = {Format::bf16, Precision::bf16, kBf16Rounding};

/// Sums in double, with the sum of the absolute terms and the number of terms of each.
struct Sums {
  std::vector<double> sum, magnitude, terms;

  explicit Sums(size_t count) : sum(count), magnitude(count), terms(count) {}
  void add(size_t index, double term) {
    sum[index] += term;
    magnitude[index] += std::abs(term);
    terms[index] += 1.0;
  }
  /// Expects `got` within `roundings` (relative, per term) plus the rounding of a float sum.
  void expect(const std::vector<float>& got, double roundings) const {
    std::vector<float> want;
    std::vector<double> bound;
    for (size_t i = 0; i < sum.size(); ++i) {
      want.push_back(static_cast<float>(sum[i]));
      bound.push_back(roundings * magnitude[i] + sum_bound(terms[i] + 1.0, magnitude[i]));
    }
    EXPECT_TRUE(within(got, want, bound));
  }
  /// Returns the largest error relative to the sum of the absolute terms.
  double error(const std::vector<float>& got) const {
    double largest = 0.0;
    for (size_t i = 0; i < sum.size(); ++i)
      if (magnitude[i] > 0.0) largest = std::max(largest, std::abs(got[i] - sum[i]) / magnitude[i]);
    return largest;
  }
};

class ConvolutionPrecision : public CudaTest {
 protected:
  static ConstReals put(Workspace& w, const std::vector<float>& values, Format format) {
    if (format == Format::f32) return w.put(values);
    return w.put(rounded(values));
  }
  static Rows rows_of(Workspace& w, const ConvolutionCase& c) {
    StepState state;
    state.rows = c.active;
    return {w.put(std::vector{state}), c.capacity, 1};
  }

  /// Compares the ops of a layer on random operands with sums in double; the bias is zero.
  void expect_products(const Method& method) {
    double largest_error = 0.0;
    for (const ConvolutionCase& c : products())
      for (const bool transposed : {false, true}) {
        SCOPED_TRACE(testing::Message() << c << (transposed ? ", transposed" : ""));
        largest_error = std::max(largest_error, expect_layer(method, c, transposed));
      }
    EXPECT_GE(largest_error, method.rounding / 8) << "the operands were not rounded";
  }

 private:
  /// Returns the largest relative error of the layer's three products.
  double expect_layer(const Method& method, const ConvolutionCase& c, bool transposed) {
    const size_t wides = c.wide(c.capacity), narrows = c.narrow(c.capacity);
    const std::vector<float> wide = uniform_floats(wides, -1.0f, 1.0f, 1),
                             narrow = uniform_floats(narrows, -1.0f, 1.0f, 2),
                             weight = uniform_floats(c.weights(), -1.0f, 1.0f, 3);
    const auto channels =
        static_cast<size_t>((transposed ? c.shape.wide : c.shape.narrow).channels);
    Workspace w(cuda_);
    const Rows rows = rows_of(w, c);
    const ConstReals wide_in = put(w, wide, method.format),
                     narrow_in = put(w, narrow, method.format),
                     weight_in = put(w, weight, method.format);
    const ConstReals x = transposed ? narrow_in : wide_in, grad = transposed ? wide_in : narrow_in;
    float *to_narrow = w.output<float>(narrows), *to_wide = w.output<float>(wides);
    float* grad_weight = w.output<float>(c.weights());
    float* grad_bias = w.output<float>(channels);
    w.run({ConvolutionForward{.rows = rows,
                              .shape = c.shape,
                              .transposed = transposed,
                              .activation = {},
                              .x = x,
                              .weight = weight_in,
                              .bias = w.put(std::vector<float>(channels)),
                              .y = transposed ? to_wide : to_narrow,
                              .preactivation = {},
                              .precision = method.precision},
           ConvolutionBackwardInput{.rows = rows,
                                    .shape = c.shape,
                                    .transposed = transposed,
                                    .activation = {},
                                    .grad_y = grad,
                                    .weight = weight_in,
                                    .saved = {},
                                    .grad_x = transposed ? to_narrow : to_wide,
                                    .precision = method.precision},
           ConvolutionBackwardWeights{.rows = rows,
                                      .shape = c.shape,
                                      .transposed = transposed,
                                      .grad_y = grad,
                                      .x = x,
                                      .grad_weight = grad_weight,
                                      .grad_bias = grad_bias,
                                      .precision = method.precision}});
    Sums narrow_sums(narrows), wide_sums(wides), weight_sums(c.weights()), bias_sums(channels);
    for_convolution_products(c.shape, c.capacity, [&](int64_t iw, int64_t in, int64_t ik) {
      const auto i = static_cast<size_t>(iw), j = static_cast<size_t>(in),
                 k = static_cast<size_t>(ik);
      narrow_sums.add(j, static_cast<double>(wide[i]) * weight[k]);
      wide_sums.add(i, static_cast<double>(narrow[j]) * weight[k]);
      weight_sums.add(k, static_cast<double>(wide[i]) * narrow[j]);
    });
    const std::vector<float>& summed = transposed ? wide : narrow;
    for (size_t i = 0; i < summed.size(); ++i)
      bias_sums.add(i % channels, method.format == Format::f32
                                      ? summed[i]
                                      : math::to_float(math::to_bfloat16(summed[i])));
    const double roundings = 2.01 * method.rounding;
    double largest_error = 0.0;
    const auto check = [&](const float* got, const Sums& want) {
      const std::vector<float> values = w.get(got, want.sum.size());
      want.expect(values, roundings);
      largest_error = std::max(largest_error, want.error(values));
    };
    check(to_narrow, narrow_sums);
    check(to_wide, wide_sums);
    check(grad_weight, weight_sums);
    bias_sums.expect(w.get(grad_bias, channels), 0.0);  // of unrounded operands
    return largest_error;
  }
};
ELBO_INSTANTIATE_CUDA_TEST(ConvolutionPrecision);

TEST_P(ConvolutionPrecision, MatchesDoubleInFloat) { expect_products(kFloat); }
TEST_P(ConvolutionPrecision, MatchesDoubleInTf32) { expect_products(kTf32); }
TEST_P(ConvolutionPrecision, MatchesDoubleInBf16) { expect_products(kBf16); }

// TF32 and bfloat16 represent these operands exactly, so only storing the results rounds.
TEST_P(ConvolutionPrecision, ExactOperandsGiveExactSums) {
  struct Result {
    std::vector<float> y, preactivation, grad_x;
  };
  for (const ConvolutionCase& c : few_convolutions())
    for (const bool transposed : {false, true}) {
      const size_t in = transposed ? c.narrow(c.active) : c.wide(c.active),
                   out = transposed ? c.wide(c.active) : c.narrow(c.active);
      const auto run = [&](const std::shared_ptr<Device>& device, Format format,
                           Precision precision) {
        ConvolutionCase whole = c;
        whole.capacity = c.active;
        Workspace w(device);
        const auto output = [&](size_t count) {
          return format == Format::f32 ? Reals(w.output<float>(count))
                                       : Reals(w.output<math::Bfloat16>(count));
        };
        const auto get = [&](const Reals& numbers, size_t count) {
          return format == Format::f32 ? w.get(numbers.f32(), count)
                                       : widened(w.get(numbers.as<math::Bfloat16>(), count));
        };
        const Rows rows = rows_of(w, whole);
        const ConstReals weight = put(w, odd_eighths(c.weights(), 1), format);
        const Reals y = output(out), preactivation = output(out), grad_x = output(in);
        w.run({ConvolutionForward{.rows = rows,
                                  .shape = c.shape,
                                  .transposed = transposed,
                                  .activation = math::Activation::of<math::Silu>(),
                                  .x = put(w, odd_eighths(in, 2), format),
                                  .weight = weight,
                                  .bias = w.put(odd_eighths(64, 3)),
                                  .y = y,
                                  .preactivation = preactivation,
                                  .precision = precision},
               ConvolutionBackwardInput{.rows = rows,
                                        .shape = c.shape,
                                        .transposed = transposed,
                                        .activation = math::Activation::of<math::Tanh>(),
                                        .grad_y = put(w, odd_eighths(out, 4), format),
                                        .weight = weight,
                                        .saved = put(w, odd_eighths(in, 5), format),
                                        .grad_x = grad_x,
                                        .precision = precision}});
        return Result{get(y, out), get(preactivation, out), get(grad_x, in)};
      };
      const Result want = run(cpu_, Format::f32, Precision::fp32);
      const Result tf32 = run(cuda_, Format::f32, Precision::tf32);
      EXPECT_TRUE(same_bits(tf32.y, want.y)) << c;
      EXPECT_TRUE(same_bits(tf32.preactivation, want.preactivation)) << c;
      EXPECT_TRUE(same_bits(tf32.grad_x, want.grad_x)) << c;
      const Result bf16 = run(cuda_, Format::bf16, Precision::bf16);
      EXPECT_TRUE(same_bits(bf16.y, widened(rounded(want.y)))) << c;
      EXPECT_TRUE(same_bits(bf16.preactivation, widened(rounded(want.preactivation)))) << c;
      EXPECT_TRUE(same_bits(bf16.grad_x, widened(rounded(want.grad_x)))) << c;
    }
}

}  // namespace
}  // namespace elbo

// Reduced precision on CUDA: products of factors in TF32 and bfloat16 against sums in double, and
// whole models against float, likelihood by likelihood.
#include <cmath>
#include <cstdint>

#include "kernels/dense.hpp"
#include "tests/batch_shapes.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// Relative rounding unit of an operand.
constexpr double kTf32Rounding = 0x1p-11, kBf16Rounding = 0x1p-8;

struct Size {
  int32_t rows, in, out;
};

std::ostream& operator<<(std::ostream& out, const Size& s) {
  return out << s.rows << 'x' << s.in << 'x' << s.out;
}

/// In one step and in several, through every size of tile, in whole and broken pieces of 16 bytes.
constexpr Size kProducts[] = {{16, 8, 32},    {5, 72, 9},     {33, 130, 50},
                              {320, 24, 320}, {640, 16, 640}, {2, 300, 3}};

/// Factors on the device, as floats or in bfloat16.
ConstReals put(Workspace& w, const std::vector<float>& values, Format format) {
  if (format == Format::f32) return w.put(values);
  return w.put(rounded(values));
}

/// A product's sums and the sums of its terms' magnitudes, in double.
struct Sums {
  std::vector<float> sum;
  std::vector<double> magnitude;
};

template <class Left, class Right>
Sums sums(size_t rows, size_t columns, size_t depth, Left left, Right right) {
  Sums result;
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) {
      double sum = 0.0, magnitude = 0.0;
      for (size_t k = 0; k < depth; ++k) {
        const double term = static_cast<double>(left(i, k)) * right(k, j);
        sum += term;
        magnitude += std::abs(term);
      }
      result.sum.push_back(static_cast<float>(sum));
      result.magnitude.push_back(magnitude);
    }
  return result;
}

/// Two factors rounded in each term, and the rounding of a float sum.
std::vector<double> bounds(const Sums& want, double factor_rounding, size_t depth) {
  std::vector<double> bound;
  for (const double magnitude : want.magnitude)
    bound.push_back(2.01 * factor_rounding * magnitude +
                    sum_bound(static_cast<double>(depth), magnitude));
  return bound;
}

class ProductsCuda : public CudaTest {
 protected:
  static Rows full(Workspace& w, int32_t rows) {
    StepState state;
    state.rows = rows;
    return {w.put(std::vector{state}), rows, 1};
  }

  /// All three products of a layer on random factors, the first with a bias of zero.
  void expect_products(Format format, double factor_rounding) {
    double largest_error = 0.0;
    for (const Size& s : kProducts) {
      SCOPED_TRACE(testing::Message() << s);
      const auto m = static_cast<size_t>(s.rows), n = static_cast<size_t>(s.out),
                 k = static_cast<size_t>(s.in);
      const std::vector<float> x = uniform_floats(m * k, -1.0f, 1.0f, 1),
                               weight = uniform_floats(n * k, -1.0f, 1.0f, 2),
                               grad = uniform_floats(m * n, -1.0f, 1.0f, 3);
      Workspace w(cuda_);
      const Rows rows = full(w, s.rows);
      const ConstReals x_in = put(w, x, format), weight_in = put(w, weight, format),
                       grad_in = put(w, grad, format);
      const Precision precision = format == Format::f32 ? Precision::tf32 : Precision::bf16;
      float *y = w.output<float>(m * n), *grad_x = w.output<float>(m * k),
            *grad_weight = w.output<float>(n * k), *grad_bias = w.output<float>(n);
      const float* bias = w.put(std::vector<float>(n));
      w.run({DenseForward{.rows = rows,
                          .in = s.in,
                          .out = s.out,
                          .activation = {},
                          .x = x_in,
                          .weight = weight_in,
                          .bias = bias,
                          .y = y,
                          .preactivation = {},
                          .precision = precision},
             DenseBackwardInput{.rows = rows,
                                .in = s.in,
                                .out = s.out,
                                .activation = {},
                                .grad_y = grad_in,
                                .weight = weight_in,
                                .saved = {},
                                .grad_x = grad_x,
                                .precision = precision},
             DenseBackwardWeights{.rows = rows,
                                  .in = s.in,
                                  .out = s.out,
                                  .grad_y = grad_in,
                                  .x = x_in,
                                  .grad_weight = grad_weight,
                                  .grad_bias = grad_bias,
                                  .precision = precision}});
      const auto check = [&](const std::vector<float>& got, const Sums& want, size_t depth) {
        EXPECT_TRUE(within(got, want.sum, bounds(want, factor_rounding, depth)));
        for (size_t i = 0; i < got.size(); ++i)
          largest_error =
              std::max(largest_error, std::abs(got[i] - want.sum[i]) / want.magnitude[i]);
      };
      check(w.get(y, m * n),
            sums(
                m, n, k, [&](size_t i, size_t d) { return x[i * k + d]; },
                [&](size_t d, size_t j) { return weight[j * k + d]; }),
            k);
      check(w.get(grad_x, m * k),
            sums(
                m, k, n, [&](size_t i, size_t d) { return grad[i * n + d]; },
                [&](size_t d, size_t j) { return weight[d * k + j]; }),
            n);
      check(w.get(grad_weight, n * k),
            sums(
                n, k, m, [&](size_t i, size_t d) { return grad[d * n + i]; },
                [&](size_t d, size_t j) { return x[d * k + j]; }),
            m);
      const std::vector<float> summed = format == Format::f32 ? grad : widened(rounded(grad));
      const Sums column = sums(
          1, n, m, [](size_t, size_t) { return 1.0f; },
          [&](size_t d, size_t j) { return summed[d * n + j]; });
      EXPECT_TRUE(within(w.get(grad_bias, n), column.sum, bounds(column, 0.0, m)))
          << "bias gradients are sums of the gradients as they are stored";
    }
    EXPECT_GT(largest_error, factor_rounding / 8) << "the factors were not rounded at all";
  }
};
ELBO_INSTANTIATE_CUDA_TEST(ProductsCuda);

TEST_P(ProductsCuda, InTf32) { expect_products(Format::f32, kTf32Rounding); }
TEST_P(ProductsCuda, InBf16) { expect_products(Format::bf16, kBf16Rounding); }

// Factors that TF32 and bfloat16 hold exactly, so that nothing but the storing of results rounds.
TEST_P(ProductsCuda, ExactFactorsGiveExactProducts) {
  constexpr int32_t kRows = 21, kIn = 40, kOut = 24;
  const auto tanh = math::Activation::of<math::Tanh>();
  const std::vector<float> x = odd_eighths(kRows * kIn, 1), weight = odd_eighths(kOut * kIn, 2),
                           bias = odd_eighths(kOut, 3);
  const auto run = [&](const std::shared_ptr<Device>& device, Precision precision) {
    Workspace w(device);
    float* y = w.output<float>(kRows * kOut);
    w.run({DenseForward{.rows = full(w, kRows),
                        .in = kIn,
                        .out = kOut,
                        .activation = tanh,
                        .x = w.put(x),
                        .weight = w.put(weight),
                        .bias = w.put(bias),
                        .y = y,
                        .preactivation = {},
                        .precision = precision}});
    return w.get(y, kRows * kOut);
  };
  const std::vector<float> want = run(cpu_, Precision::fp32);
  EXPECT_TRUE(same_bits(run(cuda_, Precision::tf32), want));

  Workspace w(cuda_);
  auto *y = w.output<math::Bfloat16>(kRows * kOut), *pre = w.output<math::Bfloat16>(kRows * kOut);
  w.run({DenseForward{.rows = full(w, kRows),
                      .in = kIn,
                      .out = kOut,
                      .activation = tanh,
                      .x = put(w, x, Format::bf16),
                      .weight = put(w, weight, Format::bf16),
                      .bias = w.put(bias),
                      .y = y,
                      .preactivation = pre}});
  EXPECT_TRUE(same_bits(w.get(y, kRows * kOut), rounded(want)));
}

/// The gradients of a model's first step, and its loss after some steps more.
struct Outcome {
  std::vector<float> gradients;
  double loss;
};

Outcome train(const std::shared_ptr<Device>& device, std::string_view likelihood,
              const char* precision) {
  Config config = small_config();
  config.hidden = {24, 16};
  apply_setting(config, "likelihood", likelihood);
  apply_setting(config, "precision", precision);
  config.learning_rate = 0.01;
  SmallTraining training(config, small_data(32), device);
  training.step();
  Outcome outcome = {training.gradients(), 0.0};
  constexpr int kSteps = 12, kAveraged = 4;
  for (int i = 0; i < kSteps; ++i) {
    const StepRecord record = training.step();
    if (i >= kSteps - kAveraged)
      outcome.loss += (record.terms[0] + record.beta * record.terms[1]) / kAveraged;
  }
  return outcome;
}

double relative_difference(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0.0, size = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(difference / size);
}

// A gradient of the first layer has come through ten products, each with two rounded factors that
// are stored rounded in bf16: in the 2-norm, where roundings are independent, sqrt(30) of them,
// times three for what activations amplify.
TEST(PrecisionCuda, ModelsAgreeWithFloat) {
  const std::shared_ptr<Device> cuda = device_under_test(), cpu = make_cpu_device(1);
  const double roundings = 3.0 * std::sqrt(30.0);
  math::Likelihoods::for_each([&](auto l) {
    const std::string_view likelihood = decltype(l)::name;
    const Outcome want = train(cpu, likelihood, "fp32");
    for (const auto& [precision, rounding] :
         {std::pair{"tf32", kTf32Rounding}, std::pair{"bf16", kBf16Rounding}}) {
      SCOPED_TRACE(testing::Message() << likelihood << " in " << precision);
      const Outcome got = train(cuda, likelihood, precision);
      const double difference = relative_difference(got.gradients, want.gradients);
      EXPECT_LT(difference, roundings * rounding);
      EXPECT_GT(difference, rounding / 16) << "as if nothing had been rounded";
      EXPECT_NEAR(got.loss, want.loss, 0.01 * std::max(1.0, std::abs(want.loss)));
    }
  });
}

}  // namespace
}  // namespace elbo

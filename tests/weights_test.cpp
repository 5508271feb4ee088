// Weights of samples, latent dimensions and rows: each op against its contract, in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "kernels/math/posterior.hpp"
#include "kernels/program.hpp"
#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

constexpr BatchShape kShape = {7, 5, 301, 3, 0};
constexpr double kRounding = 0x1p-24;

std::shared_ptr<Device> device() { return make_cpu_device(2); }

TEST(ImportanceWeights, IsItsContract) {
  constexpr int32_t kSamples = 5;
  const size_t inputs = kShape.inputs(), active = static_cast<size_t>(kShape.active);
  std::vector<float> nll = uniform_floats(inputs * kSamples, 80.0f, 90.0f, 1);
  std::vector<float> log_ratio = uniform_floats(inputs * kSamples, -30.0f, -25.0f, 2);
  nll[2] = 1e30f;  // a sample that has no part in its bound
  for (size_t l = 0; l < kSamples; ++l) nll[kSamples + l] = 1e5f;  // nor do exponents overflow
  for (const float beta : {1.0f, 0.25f, 0.0f}) {
    StepState state = kShape.state();
    state.beta = beta;
    Workspace w(device());
    ImportanceWeights op;
    op.inputs = {w.put(std::vector{state}), kShape.capacity, 1};
    op.samples = kSamples;
    op.nll = w.put(nll);
    op.log_ratio = w.put(log_ratio);
    op.bound = w.output<float>(inputs);
    op.weight = w.output<float>(inputs * kSamples);
    w.run({op});
    const auto bound = w.get(op.bound, active), weight = w.get(op.weight, active * kSamples);
    for (size_t b = 0; b < active; ++b) {
      const auto log_w = [&](size_t l, double with) {
        return with * log_ratio[b * kSamples + l] - nll[b * kSamples + l];
      };
      double largest = log_w(0, 1.0), sum = 0.0, tempered = 0.0;
      for (size_t l = 1; l < kSamples; ++l) largest = std::max(largest, log_w(l, 1.0));
      for (size_t l = 0; l < kSamples; ++l) {
        sum += std::exp(log_w(l, 1.0) - largest) / kSamples;
        tempered += std::exp(log_w(l, beta) - log_w(0, beta)) / kSamples;
      }
      // An exponent is off by the roundings of its two sums, below 121 but for one input's.
      const double exponent = 2.0 * kRounding * (b == 1 ? 1e5 + 31.0 : 121.0);
      ASSERT_NEAR(bound[b], largest + std::log(sum), 2.0 * exponent + 8.0 * kRounding) << b;
      for (size_t l = 0; l < kSamples; ++l) {
        const double want = std::exp(log_w(l, beta) - log_w(0, beta)) / tempered;
        // e^-86.6 is the least that an exponential comes to.
        ASSERT_NEAR(weight[b * kSamples + l], want,
                    (2.0 * exponent + 32.0 * kRounding) * want + kSamples * std::exp(-86.6))
            << b << ' ' << l;
      }
    }
  }
}

TEST(ImportanceWeights, ShowsWhatIsNoNumber) {
  const float quiet = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& nll : {std::vector{quiet, 1.0f}, {1.0f, quiet}}) {
    Workspace w(device());
    ImportanceWeights op;
    op.inputs = {w.put(std::vector{StepState{.rows = 1}}), 1, 1};
    op.samples = 2;
    op.nll = w.put(nll);
    op.log_ratio = w.put(std::vector<float>(2));
    op.bound = w.output<float>(1);
    op.weight = w.output<float>(2);
    w.run({op});
    EXPECT_TRUE(std::isnan(w.get(op.bound, 1)[0]));
    for (const float weight : w.get(op.weight, 2)) EXPECT_TRUE(std::isnan(weight));
  }
}

TEST(KlWeights, IsItsContract) {
  const size_t codes = kShape.inputs() * kShape.width();
  const std::vector<float> mu = uniform_floats(codes, -1.0f, 1.0f, 1);
  const std::vector<float> logvar = uniform_floats(codes, -1.0f, 1.0f, 2);
  std::vector<double> kl(kShape.width());
  double total = 0.0;
  for (size_t i = 0; i < static_cast<size_t>(kShape.active) * kShape.width(); ++i) {
    const double value = math::gaussian_kl<double>(mu[i], logvar[i]) / kShape.active;
    kl[i % kShape.width()] += value;
    total += value;
  }
  struct Case {
    float free_bits, capacity;
  };
  for (const Case& c :
       {Case{0.0f, 0.0f}, Case{0.25f, 0.0f}, Case{0.0f, static_cast<float>(total) - 0.1f},
        Case{0.0f, static_cast<float>(total) + 0.1f}}) {
    StepState state = kShape.state();
    state.capacity = c.capacity;
    Workspace w(device());
    KlWeights op;
    op.inputs = {w.put(std::vector{state}), kShape.capacity, 1};
    op.latent = kShape.columns;
    op.posterior = {w.put(mu), w.put(logvar), kShape.columns, kShape.columns};
    op.free_bits = c.free_bits;
    op.capacity = c.capacity > 0.0f;
    op.weight = w.output<float>(kShape.width());
    w.run({op});
    const auto weight = w.get(op.weight, kShape.width());
    size_t free = 0;
    for (size_t j = 0; j < kShape.width(); ++j) {
      float want = 0.25f;  // beta
      if (op.capacity && c.capacity > static_cast<float>(total)) want = -want;
      if (!op.capacity && kl[j] <= c.free_bits) want = 0.0f, ++free;
      ASSERT_GT(std::abs(kl[j] - c.free_bits), 1e-5) << "too near to tell";
      ASSERT_EQ(weight[j], want) << j;
    }
    if (c.free_bits > 0.0f) {
      EXPECT_GT(free, 10u);
      EXPECT_LT(free, kShape.width() - 10u);
    }
  }
}

// Weights of powers of two scale a row's gradients exactly; the nll has no weight.
TEST(LikelihoodTerms, WeighsRows) {
  const auto run = [](const std::vector<float>& row_weight) {
    Workspace w(device());
    LikelihoodTerms op;
    op.likelihood = math::Likelihood::of<math::GaussianShared>();
    op.inputs = kShape.put_rows(w, false);
    op.samples = kShape.samples;
    op.columns = kShape.columns;
    op.x = w.put(uniform_floats(kShape.inputs() * kShape.width(), 0.0f, 1.0f, 1));
    op.output = w.put(uniform_floats(kShape.elements(), -1.0f, 1.0f, 2));
    op.log_variance = w.put(std::vector{-0.5f});
    if (!row_weight.empty()) op.row_weight = w.put(row_weight);
    op.nll = w.output<float>(kShape.rows());
    op.grad_log_variance = w.output<float>(kShape.rows());
    w.run({op});
    return std::tuple(w.get(op.output, kShape.active_elements()),
                      w.get(op.grad_log_variance, kShape.active_rows()),
                      w.get(op.nll, kShape.active_rows()));
  };
  std::vector<float> row_weight(kShape.rows());
  for (size_t r = 0; r < row_weight.size(); ++r)
    row_weight[r] = r % 4 == 3 ? 0.0f : std::ldexp(1.0f, static_cast<int>(r % 4));
  const auto [grad, grad_log_variance, nll] = run(row_weight);
  const auto [plain, plain_log_variance, plain_nll] = run({});
  EXPECT_TRUE(same_bits(nll, plain_nll));
  for (size_t r = 0; r < kShape.active_rows(); ++r) {
    ASSERT_EQ(grad_log_variance[r], row_weight[r] * plain_log_variance[r]);
    for (size_t i = r * kShape.width(); i < (r + 1) * kShape.width(); ++i)
      ASSERT_EQ(grad[i], row_weight[r] * plain[i]) << i;
  }
}

}  // namespace
}  // namespace elbo

// The CPU execution of small ops satisfies their contracts: each is compared with a direct
// transcription of the contract, element by element in double.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/program.hpp"
#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

constexpr BatchShape kShape = {7, 5, 301, 3, 0};
constexpr double kRounding = 0x1p-24;

std::shared_ptr<Device> device() { return make_cpu_device(2); }

TEST(L1Terms, SatisfiesContract) {
  std::vector<float> x = uniform_floats(kShape.elements(), -1.0f, 1.0f, 1);
  for (size_t i = 0; i < x.size(); i += 7) x[i] = 0.0f;
  const std::vector<float> saved = uniform_floats(kShape.elements(), 0.1f, 0.9f, 2);
  for (const bool activated : {true, false}) {
    Workspace w(device());
    L1Terms op;
    op.rows = kShape.put_rows(w);
    op.columns = kShape.columns;
    op.weight = 0.7f;
    op.activation = math::Activation::of<math::Sigmoid>();
    op.x = w.put(x);
    if (activated) op.saved = w.put(saved);
    op.norm = w.output<float>(kShape.rows());
    op.grad_x = w.output<float>(kShape.elements());
    w.run({op});
    const auto norm = w.get(op.norm, kShape.active_rows());
    const auto grad = w.get(op.grad_x.f32(), kShape.active_elements());
    for (size_t r = 0; r < kShape.active_rows(); ++r) {
      double sum = 0.0;
      for (size_t c = 0; c < kShape.width(); ++c) {
        const size_t i = r * kShape.width() + c;
        sum += std::abs(x[i]);
        double want = 0.7 / static_cast<double>(kShape.active_rows());
        if (activated) want *= static_cast<double>(saved[i]) * (1.0 - saved[i]);
        if (x[i] <= 0.0f) want = x[i] == 0.0f ? 0.0 : -want;
        // Six roundings: the weight, the quotient, two of the derivative and two products.
        ASSERT_NEAR(grad[i], want, 6.0 * kRounding * std::abs(want)) << i;
      }
      ASSERT_NEAR(norm[r], sum, sum_bound(kShape.columns, sum));
    }
  }
}

TEST(L1Terms, PropagatesNan) {
  std::vector<float> x(8, 1.0f);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  Workspace w(device());
  L1Terms op;
  op.rows = {w.put(std::vector{StepState{.rows = 1}}), 1, 1};
  op.columns = 8;
  op.x = w.put(x);
  op.norm = w.output<float>(1);
  op.grad_x = w.output<float>(8);
  w.run({op});
  EXPECT_TRUE(std::isnan(w.get(op.norm, 1)[0]));
  EXPECT_TRUE(std::isnan(w.get(op.grad_x.f32(), 8)[3]));
}

// Sums of small whole numbers are exact.
TEST(GradientSum, SatisfiesContract) {
  const std::vector<float> wide(kShape.elements(), 1.0f), far(kShape.elements(), 100.0f);
  const std::vector<float> narrow(kShape.rows() * 10, 10.0f);
  for (const bool in_place : {false, true}) {
    Workspace w(device());
    GradientSum op;
    op.rows = kShape.put_rows(w);
    op.columns = kShape.columns;
    float* last = w.put(far);
    op.terms[0] = {w.put(wide), kShape.columns};
    op.terms[1] = {w.put(narrow), 10};
    op.terms[3] = {last, kShape.columns};
    op.out = in_place ? last : w.output<float>(kShape.elements());
    w.run({op});
    const auto out = w.get(op.out.f32(), kShape.active_elements());
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_EQ(out[i], i % kShape.width() < 10 ? 111.0f : 101.0f) << i;
  }
}

TEST(SquaredDistance, SatisfiesContract) {
  const std::vector<float> x = uniform_floats(kShape.inputs() * kShape.width(), -1.0f, 1.0f, 1);
  const std::vector<float> y = uniform_floats(kShape.elements(), -1.0f, 1.0f, 2);
  Workspace w(device());
  auto* distance = w.output<float>(kShape.rows());
  w.run({SquaredDistance{kShape.put_rows(w), kShape.columns, w.put(x), w.put(y), distance}});
  const auto got = w.get(distance, kShape.active_rows());
  for (size_t r = 0; r < got.size(); ++r) {
    double want = 0.0;
    for (size_t c = 0; c < kShape.width(); ++c)
      want += std::pow(
          static_cast<double>(x[r / 3 * kShape.width() + c]) - y[r * kShape.width() + c], 2.0);
    // The difference rounds once (twice that in its square) and the square once more.
    EXPECT_NEAR(got[r], want, sum_bound(kShape.columns, want) + 4.0 * kRounding * want);
  }
}

// Sums of products of eighths are exact in float.
TEST(DenseBackwardWeights, AccumulatesIfAsked) {
  constexpr int32_t kIn = 13, kOut = 37, kRows = 9, kActive = 6;
  const std::vector<float> grad = odd_eighths(kRows * kOut, 1), x = odd_eighths(kRows * kIn, 2);
  const std::vector<float> weight = odd_eighths(kIn * kOut, 3), bias = odd_eighths(kOut, 4);
  for (const bool accumulate : {false, true}) {
    Workspace w(device());
    DenseBackwardWeights op;
    op.rows = {w.put(std::vector{StepState{.rows = kActive}}), kRows, 1};
    op.in = kIn;
    op.out = kOut;
    op.grad_y = w.put(grad);
    op.x = w.put(x);
    op.grad_weight = w.put(weight);
    op.grad_bias = w.put(bias);
    op.accumulate = accumulate;
    w.run({op});
    std::vector<float> want_weight = weight, want_bias = bias;
    if (!accumulate) {
      want_weight.assign(weight.size(), 0.0f);
      want_bias.assign(bias.size(), 0.0f);
    }
    for (size_t r = 0; r < kActive; ++r)
      for (size_t o = 0; o < kOut; ++o) {
        want_bias[o] += grad[r * kOut + o];
        for (size_t i = 0; i < kIn; ++i)
          want_weight[o * kIn + i] += grad[r * kOut + o] * x[r * kIn + i];
      }
    EXPECT_TRUE(same_bits(w.get(op.grad_weight, weight.size()), want_weight)) << accumulate;
    EXPECT_TRUE(same_bits(w.get(op.grad_bias, bias.size()), want_bias)) << accumulate;
  }
}

// With mu = logvar = 0 for every input, z equals the epsilon of the requested noise stream.
TEST(LatentForward, DrawsFromTheRequestedStream) {
  const auto draw = [](math::NoiseStream stream) {
    Workspace w(device());
    const float* zeros = w.put(std::vector<float>(kShape.width()));
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < kShape.inputs(); ++i) ids.push_back(40 - 2 * i);
    LatentForward op;
    op.inputs = kShape.put_rows(w, false);
    op.samples = kShape.samples;
    op.latent = kShape.columns;
    op.posterior = {zeros, zeros, 0, 0};
    op.epsilon = {.seed = 9, .row_ids = w.put(ids), .stream = stream};
    op.z = w.output<float>(kShape.elements());
    w.run({op});
    return w.get(op.z.f32(), kShape.active_elements());
  };
  std::vector<float> want;
  for (uint32_t r = 0; r < kShape.active_rows(); ++r)
    for (uint32_t c = 0; c < kShape.width(); ++c) {
      const uint32_t quads = 76;  // of 301 columns
      want.push_back(math::normal4(9, math::noise_subsequence(math::NoiseStream::prior, 7),
                                   math::noise_group(40 - r / 3 * 2, r % 3 * quads + c / 4))
                         .value[c % 4]);
    }
  EXPECT_TRUE(same_bits(draw(math::NoiseStream::prior), want));
  EXPECT_FALSE(same_bits(draw(math::NoiseStream::epsilon), want));
}

struct Draws {
  std::vector<float> z, log_ratio;
};

/// Draws `samples` codes for each of kShape's inputs; their sample numbers start at `first`.
Draws draw(int32_t samples, uint64_t first) {
  Workspace w(device());
  StepState state = kShape.state();
  state.first_sample = first;
  LatentForward op;
  op.inputs = {w.put(std::vector{state}), kShape.capacity, 1};
  op.samples = samples;
  op.latent = kShape.columns;
  const size_t codes = kShape.inputs() * kShape.width();
  std::vector<float> logvar = uniform_floats(codes, -3.0f, 2.0f, 2);
  logvar.front() = -20.0f;  // beyond the clamp
  op.posterior = {w.put(uniform_floats(codes, -2.0f, 2.0f, 1)), w.put(logvar), kShape.columns,
                  kShape.columns};
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < kShape.inputs(); ++i) ids.push_back(40 - 2 * i);
  op.epsilon = {.seed = 9, .row_ids = w.put(ids)};
  const size_t rows = kShape.inputs() * static_cast<size_t>(samples);
  op.z = w.output<float>(rows * kShape.width());
  op.log_ratio = w.output<float>(rows);
  w.run({op});
  const size_t active = static_cast<size_t>(kShape.active * samples);
  return {w.get(op.z.f32(), active * kShape.width()), w.get(op.log_ratio, active)};
}

// Compares the float log-ratio with the densities in double, at the noise that belongs to each
// sample number. A sample of 301 columns uses 76 noise groups, and the last sample that
// most_samples() allows uses the last groups of the 32-bit range.
TEST(LatentForward, LogRatioIsPriorOverPosterior) {
  const size_t codes = kShape.inputs() * kShape.width();
  const std::vector<float> mu = uniform_floats(codes, -2.0f, 2.0f, 1);
  std::vector<float> logvar = uniform_floats(codes, -3.0f, 2.0f, 2);
  logvar.front() = -16.0f;
  constexpr int32_t kSamples = 3;
  for (const int64_t first_sample : {int64_t{0}, int64_t{5}, most_samples(301) - kSamples}) {
    const Draws got = draw(kSamples, static_cast<uint64_t>(first_sample));
    for (size_t r = 0; r < got.log_ratio.size(); ++r) {
      const size_t b = r / kSamples;
      const auto sample = static_cast<uint64_t>(first_sample) + r % kSamples;
      double ratio = 0.0, magnitude = 0.0;
      for (size_t c = 0; c < kShape.width(); ++c) {
        const uint64_t quad = sample * 76 + c / 4;
        ASSERT_LT(quad, uint64_t{1} << 32);
        const double epsilon =
            math::normal4(
                9, math::noise_subsequence(math::NoiseStream::epsilon, 7),
                math::noise_group(40 - 2 * static_cast<uint32_t>(b), static_cast<uint32_t>(quad)))
                .value[c % 4];
        const size_t i = b * kShape.width() + c;
        const double deviation = std::exp(0.5 * logvar[i]), z = mu[i] + deviation * epsilon;
        EXPECT_NEAR(got.z[r * kShape.width() + c], z, 8.0 * kRounding * (2.0 + std::abs(z)));
        ratio += -0.5 * z * z + 0.5 * std::pow((z - mu[i]) / deviation, 2.0) + std::log(deviation);
        magnitude += 0.5 * (z * z + epsilon * epsilon + std::abs(logvar[i]));
      }
      // z has up to five roundings, its square twice as many, and the product three more.
      EXPECT_NEAR(got.log_ratio[r], ratio,
                  sum_bound(kShape.columns, magnitude) + 16.0 * kRounding * magnitude)
          << first_sample << ' ' << r;
    }
  }
}

TEST(LatentForward, SampleDependsOnlyOnItsNumber) {
  const Draws whole = draw(7, 20);
  for (const auto& [first, samples] : {std::pair{0, 3}, std::pair{3, 3}, std::pair{6, 1}}) {
    const Draws part = draw(samples, 20 + static_cast<uint64_t>(first));
    for (int b = 0; b < kShape.active; ++b)
      for (int l = 0; l < samples; ++l) {
        const auto one = static_cast<size_t>(b * samples + l);
        const auto other = static_cast<size_t>(b * 7 + first + l);
        EXPECT_EQ(part.log_ratio[one], whole.log_ratio[other]) << b << ' ' << first + l;
        EXPECT_EQ(part.z[one * kShape.width() + 300], whole.z[other * kShape.width() + 300]);
      }
  }
}

// At mu = logvar = 0: z = epsilon, dz/dlogvar = epsilon / 2, and the gradient of the KL is zero.
// With grad_z = 1, the gradient of logvar therefore equals z / 2.
TEST(LatentBackward, DrawsTheSamplesOfTheForwardPass) {
  Workspace w(device());
  StepState state = kShape.state();
  state.first_sample = 13;
  const Rows inputs = {w.put(std::vector{state}), kShape.capacity, 1};
  const float* zeros = w.put(std::vector<float>(kShape.width()));
  std::vector<uint32_t> ids(kShape.inputs(), 8);
  const EpsilonSource epsilon = {.seed = 9, .row_ids = w.put(ids)};
  auto* z = w.output<float>(kShape.inputs() * kShape.width());
  auto* grad_mu = w.output<float>(kShape.inputs() * kShape.width());
  auto* grad_logvar = w.output<float>(kShape.inputs() * kShape.width());
  const float* ones = w.put(std::vector<float>(kShape.inputs() * kShape.width(), 1.0f));
  const PosteriorView prior = {zeros, zeros, 0, 0};
  w.run({LatentForward{.inputs = inputs,
                       .latent = kShape.columns,
                       .posterior = prior,
                       .epsilon = epsilon,
                       .z = z},
         LatentBackward{.inputs = inputs,
                        .latent = kShape.columns,
                        .posterior = prior,
                        .epsilon = epsilon,
                        .grad_z = ones,
                        .grad_mu = grad_mu,
                        .grad_logvar = grad_logvar,
                        .grad_mu_stride = kShape.columns,
                        .grad_logvar_stride = kShape.columns}});
  const size_t active = static_cast<size_t>(kShape.active) * kShape.width();
  std::vector<float> half = w.get(z, active);
  for (float& value : half) value *= 0.5f;
  EXPECT_TRUE(same_bits(w.get(grad_logvar, active), half));
}

// The weights are powers of two, so gradients scale exactly. The NLL itself is not weighted.
TEST(LikelihoodTerms, WeightAppliesOnlyToGradients) {
  struct Result {
    std::vector<float> grad, grad_log_variance, nll;
  };
  const auto run = [](float weight) {
    Workspace w(device());
    LikelihoodTerms op;
    op.likelihood = math::Likelihood::of<math::GaussianShared>();
    op.weight = weight;
    op.inputs = kShape.put_rows(w, false);
    op.samples = kShape.samples;
    op.columns = kShape.columns;
    op.x = w.put(uniform_floats(kShape.inputs() * kShape.width(), 0.0f, 1.0f, 1));
    op.output = w.put(uniform_floats(kShape.elements(), -1.0f, 1.0f, 2));
    op.log_variance = w.put(std::vector{-0.5f});
    op.nll = w.output<float>(kShape.rows());
    op.grad_log_variance = w.output<float>(kShape.rows());
    w.run({op});
    return Result{w.get(op.output, kShape.active_elements()),
                  w.get(op.grad_log_variance, kShape.active_rows()),
                  w.get(op.nll, kShape.active_rows())};
  };
  const Result whole = run(1.0f);
  Result quarter = run(0.25f);
  EXPECT_TRUE(same_bits(quarter.nll, whole.nll));
  for (std::vector<float>* gradients : {&quarter.grad, &quarter.grad_log_variance})
    for (float& gradient : *gradients) gradient *= 4.0f;
  EXPECT_TRUE(same_bits(quarter.grad, whole.grad));
  EXPECT_TRUE(same_bits(quarter.grad_log_variance, whole.grad_log_variance));
}

}  // namespace
}  // namespace elbo

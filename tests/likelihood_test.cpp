// Every likelihood on the list: its gradients are those of its own negative log-density, float
// agrees with double, densities integrate to 1, and the PyTorch twin agrees.
#include "kernels/likelihood.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/finite_difference.hpp"
#include "tests/golden.hpp"
#include "tests/workspace.hpp"

namespace elbo::math {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// One element: data, the decoder's outputs, the shared log-variance.
template <int Parameters>
struct Place {
  double x;
  double output[Parameters];
  double log_variance;
};

/// Places around the clamp's ends, near 0 and far out, whose values a float holds.
template <class L>
std::vector<Place<L::parameters>> places() {
  const std::vector<double> data = L::range == DataRange::real
                                       ? std::vector<double>{0.0, 0.25, 1.0, 3.0}
                                       : std::vector<double>{0.0, 0.25, 1.0};
  constexpr double kOutputs[] = {-20.0, -15.0, -1.0, -0x1p-12, 0.25, 2.0, 15.0, 20.0};
  std::vector<Place<L::parameters>> all;
  for (const double x : data)
    for (const double last : kOutputs)
      for (const double first : kOutputs)
        for (const double log_variance : {-17.0, -3.0, 0.5, 17.0}) {
          Place<L::parameters> place{x, {}, log_variance};
          place.output[0] = first;
          place.output[L::parameters - 1] = last;
          all.push_back(place);
        }
  return all;
}

template <class L, class T>
Terms<T, L::parameters> terms(const Place<L::parameters>& place) {
  T output[L::parameters];
  for (int p = 0; p < L::parameters; ++p) output[p] = static_cast<T>(place.output[p]);
  return L::terms(static_cast<T>(place.x), output,
                  shared_variance(static_cast<T>(place.log_variance)));
}

TEST(Likelihood, GradientsAreThoseOfItsDensity) {
  Likelihoods::for_each([](auto likelihood) {
    using L = decltype(likelihood);
    static_assert(LikelihoodFormula<L>);
    for (Place<L::parameters> place : places<L>()) {
      const auto exact = terms<L, double>(place);
      const auto check = [&](double& argument, double gradient, const char* name) {
        const double at = argument;
        const auto numeric = finite_difference(
            [&](double value) {
              argument = value;
              return terms<L, double>(place).nll;
            },
            at);
        argument = at;
        EXPECT_NEAR(gradient, numeric.value, numeric.error) << L::name << ", " << name << " " << at;
        // A wrong gradient must not hide behind a vague quotient.
        EXPECT_LT(numeric.error, 1e-6 * (1.0 + std::abs(exact.nll) + std::abs(gradient)))
            << L::name;
      };
      for (int p = 0; p < L::parameters; ++p)
        check(place.output[p], exact.grad_output[p], "output");
      check(place.log_variance, exact.grad_log_variance, "log-variance");
    }
  });
}

// About six roundings in each term and an exp within 2 ulps, whose argument is exact. A
// log-variance subtracts at most 16, a logit or a 1 at most itself: that much more than the result
// can cancel.
TEST(Likelihood, FloatKeepsToDouble) {
  Likelihoods::for_each([](auto likelihood) {
    using L = decltype(likelihood);
    for (const Place<L::parameters>& place : places<L>()) {
      const auto got = terms<L, float>(place);
      const auto want = terms<L, double>(place);
      double largest = 16.0;
      for (const double output : place.output) largest = std::max(largest, std::abs(output));
      EXPECT_NEAR(got.nll, want.nll, 8.0 * kEpsilon * (std::abs(want.nll) + 4.0 * largest))
          << L::name;
      for (int p = 0; p < L::parameters; ++p)
        EXPECT_NEAR(got.grad_output[p], want.grad_output[p],
                    8.0 * kEpsilon * (std::abs(want.grad_output[p]) + std::abs(place.x) + 1.0))
            << L::name;
      EXPECT_NEAR(got.grad_log_variance, want.grad_log_variance,
                  8.0 * kEpsilon * (std::abs(want.grad_log_variance) + 1.0))
          << L::name;
    }
  });
}

TEST(Likelihood, NanIsNeverHidden) {
  Likelihoods::for_each([](auto likelihood) {
    using L = decltype(likelihood);
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    for (int p = 0; p < L::parameters; ++p) {
      float output[L::parameters] = {};
      output[p] = kNan;
      EXPECT_TRUE(std::isnan(L::terms(0.5f, output, {}).nll)) << L::name;
    }
    const float output[L::parameters] = {};
    if (L::variance != VarianceRole::none) {
      EXPECT_TRUE(std::isnan(L::terms(0.5f, output, shared_variance(kNan)).nll)) << L::name;
    }
  });
}

// A constant left out, or one half of it, would go unseen by gradients.
TEST(Likelihood, GaussiansIntegrateToOne) {
  for (const double log_variance : {-2.0, 0.0, 1.5}) {
    double gaussian = 0.0, shared = 0.0, mse = 0.0;
    const double step = 1e-2;
    for (double x = -20.0; x < 20.0; x += step) {
      const double both[] = {0.3, log_variance}, mean[] = {0.3};
      gaussian += step * ::exp(-Gaussian::terms(x, both, {}).nll);
      shared += step * ::exp(-GaussianShared::terms(x, mean, shared_variance(log_variance)).nll);
      mse += step * ::exp(-Mse::terms(x, mean, shared_variance(log_variance)).nll);
    }
    // The trapezoidal rule on a Gaussian errs by e^-(2 pi^2 variance / step^2): nothing.
    EXPECT_NEAR(gaussian, 1.0, 1e-12);
    EXPECT_NEAR(shared, 1.0, 1e-12);
    EXPECT_NEAR(mse, 1.0, 1e-12);
  }
}

TEST(Likelihood, BernoulliSumsToOne) {
  for (const double logit : {-90.0, -3.0, 0.0, 0.5, 90.0}) {
    const double output[] = {logit};
    EXPECT_NEAR(::exp(-Bernoulli::terms(0.0, output, {}).nll) +
                    ::exp(-Bernoulli::terms(1.0, output, {}).nll),
                1.0, 1e-14);
    EXPECT_NEAR(Bernoulli::Mean::value(output[0]), ::exp(-Bernoulli::terms(1.0, output, {}).nll),
                1e-14);
  }
}

// The initial E[x] if only the data's mean is known.
TEST(Likelihood, StartsAtTheMean) {
  Likelihoods::for_each([](auto likelihood) {
    using L = decltype(likelihood);
    const auto start = L::start(0.3, 0.02);
    EXPECT_NEAR(L::Mean::value(start[0]), 0.3, L::name == "poisson" ? 2e-3 : 1e-15) << L::name;
  });
  EXPECT_EQ(Gaussian::start(0.3, 0.02)[1], std::log(0.02));
  for (const double mean : {0.0, 1.0}) EXPECT_TRUE(std::isfinite(Bernoulli::start(mean, 0.0)[0]));
}

/// A golden table as columns: x, the arguments, nll and the gradients.
struct Table {
  const GoldenFile& file;
  std::string prefix;
  std::vector<float> in(const char* name) const { return file.floats(prefix + "." + name); }
  std::vector<double> out(const char* name) const { return file.values(prefix + "." + name); }
};

void expect_near(float got, double want, double magnitude, const std::string& where) {
  EXPECT_NEAR(got, want, 8.0 * kEpsilon * magnitude) << where;
}

TEST(Likelihood, GaussiansEqualTheTwin) {
  const GoldenFile golden(golden_folder() / "likelihood_points.safetensors");
  const Table table{golden, "gaussian"};
  const auto x = table.in("x"), mean = table.in("mean"), log_variance = table.in("log_variance");
  const auto nll = table.out("nll"), grad_mean = table.out("grad_mean"),
             grad_log_variance = table.out("grad_log_variance");
  ASSERT_GT(x.size(), 100u);
  for (size_t i = 0; i < x.size(); ++i) {
    const std::string where = "row " + std::to_string(i);
    const float both[] = {mean[i], log_variance[i]}, one[] = {mean[i]};
    const auto per_element = Gaussian::terms(x[i], both, {});
    const auto shared = GaussianShared::terms(x[i], one, shared_variance(log_variance[i]));
    for (const float got : {per_element.nll, shared.nll})
      expect_near(got, nll[i], std::abs(nll[i]) + 16.0, where);
    for (const float got : {per_element.grad_output[0], shared.grad_output[0]})
      expect_near(got, grad_mean[i], std::abs(grad_mean[i]), where);
    for (const float got : {per_element.grad_output[1], shared.grad_log_variance}) {
      expect_near(got, grad_log_variance[i], std::abs(grad_log_variance[i]) + 1.0, where);
      if (std::abs(log_variance[i]) > 16.0f) {
        EXPECT_EQ(got, 0.0f) << where;
      }
    }
  }
}

TEST(Likelihood, FixedVarianceEqualsTheTwin) {
  const GoldenFile golden(golden_folder() / "likelihood_points.safetensors");
  for (const auto& [name, variance] :
       {std::pair("mse-1", 1.0f), std::pair("mse-0.0625", 0.0625f)}) {
    const Table table{golden, name};
    const auto x = table.in("x"), mean = table.in("mean");
    const auto nll = table.out("nll"), grad_mean = table.out("grad_mean");
    ASSERT_GT(x.size(), 10u);
    for (size_t i = 0; i < x.size(); ++i) {
      const float output[] = {mean[i]};
      const auto got = Mse::terms(x[i], output, shared_variance(std::log(variance)));
      const std::string where = table.prefix + " row " + std::to_string(i);
      // log(1/16) rounds by an ulp of 2.77, and what it rounds by scales the precision.
      expect_near(got.nll, nll[i], 2.0 * (std::abs(nll[i]) + 3.0), where);
      expect_near(got.grad_output[0], grad_mean[i], std::abs(grad_mean[i]), where);
    }
  }
}

/// The CPU's result for a row: -log p, and gradients in place of `output` if requested.
struct TermsOfRow {
  float nll;
  std::vector<float> output;
};

template <class L>
TermsOfRow terms_of_row(const std::vector<float>& x, const std::vector<float>& output,
                        bool gradients) {
  Workspace w(make_cpu_device(1));
  StepState state;
  state.rows = 1;
  LikelihoodTerms op;
  op.likelihood = Likelihood::of<L>();
  op.gradients = gradients;
  op.inputs = {w.put(std::vector{state}), 1, 1};
  op.samples = 1;
  op.columns = static_cast<int32_t>(x.size());
  op.x = w.put(x);
  op.output = w.put(output);
  op.nll = w.output<float>(1);
  w.run({op});
  return {w.get(op.nll, 1).front(), w.get(op.output, output.size())};
}

// Several elements share a logarithm. Each of an element's factors rounds the product by an ulp or
// two of what log p is then short of; logits of 20 leave 2e-9 of an element, which must not be
// lost. Gradients are the elements' own.
TEST(Likelihood, BernoulliSumsOfElementsAreThoseOfTheirTerms) {
  for (const size_t columns : {1, 15, 16, 127, 128, 129, 255, 560, 784, 1999})
    for (const float size : {0.01f, 3.0f, 20.0f, 80.0f}) {
      SCOPED_TRACE(testing::Message() << columns << " columns, logits of " << size);
      std::vector<float> x, output = uniform_floats(columns, -size, size, 5);
      for (float& logit : output) {
        if (size == 20.0f) logit = logit < 0.0f ? -size : size;
        x.push_back(logit > 0.0f ? 1.0f : 0.0f);
      }
      if (size == 3.0f) x = uniform_floats(columns, 0.0f, 1.0f, 6);
      double want = 0.0, magnitude = 0.0;
      std::vector<float> gradients;
      for (size_t c = 0; c < columns; ++c) {
        const double logit[] = {output[c]};
        const float given[] = {output[c]};
        want += Bernoulli::terms<double>(x[c], logit, {}).nll;
        gradients.push_back(Bernoulli::terms<float>(x[c], given, {}).grad_output[0]);
        magnitude += std::log1p(std::exp(-std::abs(logit[0]))) +
                     std::abs(x[c] * logit[0]) * (x[c] < 1.0f ? 2.0 : 0.0);
      }
      const TermsOfRow got = terms_of_row<Bernoulli>(x, output, false);
      // e has two ulps, 16 roundings make a product of 8, 4 its logarithm, and sums of up to 16
      // blocks and 16 lanes the rest.
      EXPECT_NEAR(got.nll, want, (2 + 16 + 4 + 32) * kEpsilon * magnitude);
      EXPECT_EQ(got.output, output);
      const TermsOfRow with_gradients = terms_of_row<Bernoulli>(x, output, true);
      EXPECT_EQ(with_gradients.nll, got.nll);
      EXPECT_EQ(with_gradients.output, gradients);
    }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const bool gradients : {false, true})
    for (const size_t place : {0, 130}) {
      std::vector<float> output(131, 0.5f);
      output[place] = nan;
      const TermsOfRow got = terms_of_row<Bernoulli>(std::vector<float>(131), output, gradients);
      EXPECT_TRUE(std::isnan(got.nll)) << place;
      EXPECT_TRUE(std::isnan(got.output[place])) << place;
    }
}

/// One row of a picture with 3 channels, and the CPU's result.
struct ChannelRow {
  static constexpr size_t kChannels = 3;
  static constexpr float kLogVariance[] = {-3.0f, 0.5f, 17.0f};  // the last beyond the clamp
  size_t pixels;
  bool planar;
  std::vector<float> x, output, grad_output, grad_log_variance;
  float nll = 0.0f;

  ChannelRow(size_t pixels_in, bool planar_in, bool gradients)
      : pixels(pixels_in),
        planar(planar_in),
        x(uniform_floats(kChannels * pixels, 0.0f, 1.0f, 1)),
        output(uniform_floats(kChannels * pixels, -1.0f, 1.0f, 2)) {
    Workspace w(make_cpu_device(1));
    LikelihoodTerms op;
    op.likelihood = Likelihood::of<GaussianChannel>();
    op.gradients = gradients;
    op.weight = 0.5f;
    op.inputs = {w.put(std::vector{StepState{.rows = 1}}), 1, 1};
    op.columns = static_cast<int32_t>(x.size());
    op.channels = kChannels;
    op.channel_step = planar ? static_cast<int32_t>(pixels) : 1;
    op.x = w.put(x);
    op.output = w.put(output);
    op.log_variance = w.put(std::vector<float>(std::begin(kLogVariance), std::end(kLogVariance)));
    op.nll = w.output<float>(1);
    if (gradients) op.grad_log_variance = w.output<float>(kChannels);
    w.run({op});
    nll = w.get(op.nll, 1).front();
    grad_output = w.get(op.output, x.size());
    if (gradients) grad_log_variance = w.get(op.grad_log_variance, kChannels);
  }
  size_t element(size_t pixel, size_t channel) const {
    return planar ? channel * pixels + pixel : pixel * kChannels + channel;
  }
};

// Sums of n float terms in any order err by n roundings of the sum of magnitudes at most.
TEST(Likelihood, ChannelsHaveVariancesOfTheirOwn) {
  for (const size_t pixels : {1, 5, 16, 37, 256})
    for (const bool planar : {false, true})
      for (const bool gradients : {true, false}) {
        SCOPED_TRACE(testing::Message() << pixels << " pixels, planar " << planar);
        const ChannelRow row(pixels, planar, gradients);
        double nll = 0.0, magnitude = 0.0;
        for (size_t channel = 0; channel < ChannelRow::kChannels; ++channel) {
          const auto variance = shared_variance<double>(ChannelRow::kLogVariance[channel]);
          double grad_log_variance = 0.0, grad_magnitude = 0.0;
          for (size_t pixel = 0; pixel < pixels; ++pixel) {
            const size_t e = row.element(pixel, channel);
            const double mean[] = {row.output[e]};
            const auto want = GaussianShared::terms<double>(row.x[e], mean, variance);
            nll += want.nll;
            magnitude += std::abs(want.nll) + 16.0;
            grad_log_variance += 0.5 * want.grad_log_variance;
            grad_magnitude += std::abs(want.grad_log_variance) + 1.0;
            if (!gradients) continue;
            EXPECT_NEAR(row.grad_output[e], 0.5 * want.grad_output[0],
                        4.0 * kEpsilon * std::abs(want.grad_output[0]));
          }
          if (!gradients) continue;
          EXPECT_NEAR(row.grad_log_variance[channel], grad_log_variance,
                      (8.0 + static_cast<double>(pixels)) * kEpsilon * grad_magnitude)
              << channel;
        }
        EXPECT_NEAR(row.nll, nll, (8.0 + 3.0 * static_cast<double>(pixels)) * kEpsilon * magnitude);
      }
}

TEST(Likelihood, BernoulliEqualsTheTwin) {
  const GoldenFile golden(golden_folder() / "likelihood_points.safetensors");
  const Table table{golden, "bernoulli"};
  const auto x = table.in("x"), logit = table.in("logit");
  const auto nll = table.out("nll"), grad_logit = table.out("grad_logit");
  ASSERT_GT(x.size(), 10u);
  for (size_t i = 0; i < x.size(); ++i) {
    const float output[] = {logit[i]};
    const auto got = Bernoulli::terms(x[i], output, {});
    const std::string where = "row " + std::to_string(i);
    // For x = 1 the engine computes max(logit, 0) - x logit exactly, but the twin cancels in
    // double.
    const double cancels = x[i] == 1.0f ? 0.0 : x[i] * std::abs(logit[i]);
    EXPECT_NEAR(got.nll, nll[i],
                8.0 * kEpsilon * (std::abs(nll[i]) + cancels) + 0x1p-52 * std::abs(logit[i]))
        << where;
    expect_near(got.grad_output[0], grad_logit[i], 1.0, where);
  }
}

}  // namespace
}  // namespace elbo::math

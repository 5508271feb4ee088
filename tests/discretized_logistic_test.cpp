// The likelihood of 8-bit values is a probability of 256 values, of the logistic distribution's
// mean and variance; its floats keep to doubles wherever its outputs may go, and to the PyTorch
// twin.
#include "kernels/math/likelihood/discretized_logistic.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/golden.hpp"

namespace elbo::math {
namespace {

constexpr double kHalf = DiscretizedLogistic::half_bin;
constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

template <class T>
Terms<T, 2> terms(T x, T mean, T log_scale) {
  const T output[] = {mean, log_scale};
  return DiscretizedLogistic::terms(x, output, {});
}

/// What roundings of one element grow by: -log P is made of a and b, and these of x - mean, the
/// bin's half and 1 / s, all known up to a few roundings of themselves. How much of that reaches a
/// result is the slope of the result.
struct Conditioning {
  double rate;          // 1 / s
  double reach;         // (|x - mean| + h) / s: the largest that a and b may be
  double above, below;  // sigma(-a) and sigma(b); 0 where there is no such edge
  double slope_above, slope_below;

  Conditioning(double x, double mean, double log_scale) {
    constexpr double kLimit = DiscretizedLogistic::log_scale_limit;
    rate = std::exp(-clamp(log_scale, -kLimit, kLimit).value);
    reach = (std::abs(x - mean) + kHalf) * rate;
    above = x > 1.0 - kHalf ? 0.0 : sigmoid(-(x - mean + kHalf) * rate);
    below = x < kHalf ? 0.0 : sigmoid((x - mean - kHalf) * rate);
    slope_above = above * (1.0 - above);
    slope_below = below * (1.0 - below);
  }
};

/// Bounds on the errors of terms in arithmetic of this epsilon: e^-log_s is right to two epsilons
/// and each of a, b and the width takes at most four roundings, so that they are right to 4 epsilon
/// `reach`; everything made of them is sums of what has one sign and at most eight operations long.
Terms<double, 2> error_bounds(const Terms<double, 2>& exact, const Conditioning& c,
                              double epsilon) {
  const double tiny = 1e-36;  // what float's exponential does not come below
  return {
      8.0 * epsilon * (exact.nll + c.reach * std::min(1.0, exact.nll)) + tiny,
      {8.0 * epsilon * c.rate * (c.above + c.below + c.reach * (c.slope_above + c.slope_below)) +
           tiny * c.rate,
       8.0 * epsilon *
               (1.0 + c.reach * (c.above + c.below + c.reach * (c.slope_above + c.slope_below))) +
           tiny},
      0.0};
}

TEST(DiscretizedLogistic, SumsToOneOverAllValues) {
  for (double mean = -2.0; mean < 3.0; mean += 0.0371)
    for (double log_scale = -10.5; log_scale < 10.6; log_scale += 0.173) {
      double sum = 0.0, bound = 0.0;
      for (int v = 0; v < 256; ++v) {
        const double x = v / 255.0;
        const auto got = terms(x, mean, log_scale);
        const double p = std::exp(-got.nll);
        const Conditioning conditioning(x, mean, log_scale);
        sum += p;
        bound += p * (error_bounds(got, conditioning, 0x1p-52).nll + 0x1p-52 * 256);
      }
      EXPECT_NEAR(sum, 1.0, bound) << "mean " << mean << ", log-scale " << log_scale;
    }
}

// Sheppard's correction for bins: their variance, and nothing else for scales well above them.
TEST(DiscretizedLogistic, StartsAtMeanAndVariance) {
  constexpr double kVariance = 0.002;
  for (const double mean : {0.5, 0.4}) {
    const auto [first, second] = DiscretizedLogistic::start(mean, kVariance);
    double sum = 0.0, squares = 0.0;
    for (int v = 0; v < 256; ++v) {
      const double p = std::exp(-terms(v / 255.0, first, second).nll);
      sum += p * v / 255.0;
      squares += p * (v / 255.0 - mean) * (v / 255.0 - mean);
    }
    // e^(-0.4 / s) = 9e-8 of the mass lies beyond an end, by s = 0.025 more.
    EXPECT_NEAR(sum, mean, 1e-8);
    EXPECT_NEAR(squares, kVariance + 1.0 / (12.0 * 255.0 * 255.0), 1e-8);
  }
}

/// x, means on both sides from close by to far off, and log-scales across the clamp.
template <class Use>
void for_each_place(Use&& use) {
  for (const int v : {0, 1, 2, 77, 128, 200, 253, 254, 255})
    for (float log_scale = -11.0f; log_scale <= 11.0f; log_scale += 0.0917f)
      for (const float side : {-1.0f, 1.0f})
        for (float distance = 1e-6f; distance < 1e4f; distance *= 1.13f) {
          const float x = static_cast<float>(v) * (1.0f / 255.0f);
          use(x, x + side * distance, log_scale);
        }
}

TEST(DiscretizedLogistic, FloatKeepsToDoubleEverywhere) {
  struct Worst {
    const char* term;
    double error = 0.0;  // in bounds
    std::string place;
  } worst[] = {{"nll", 0.0, ""}, {"grad_mean", 0.0, ""}, {"grad_log_scale", 0.0, ""}};
  for_each_place([&](float x, float mean, float log_scale) {
    const auto got = terms(x, mean, log_scale);
    const auto want = terms<double>(x, mean, log_scale);
    const auto bound = error_bounds(want, Conditioning(x, mean, log_scale), kEpsilon);
    const double errors[] = {
        std::abs(got.nll - want.nll) / bound.nll,
        std::abs(got.grad_output[0] - want.grad_output[0]) / bound.grad_output[0],
        std::abs(got.grad_output[1] - want.grad_output[1]) / bound.grad_output[1]};
    for (int i = 0; i < 3; ++i) {
      if (errors[i] <= worst[i].error) continue;  // false for NaN
      worst[i].error = std::isnan(errors[i]) ? HUGE_VAL : errors[i];
      worst[i].place = "x " + std::to_string(x) + ", mean " + std::to_string(mean) +
                       ", log-scale " + std::to_string(log_scale);
    }
  });
  for (const auto& [term, error, place] : worst) {
    EXPECT_LE(error, 1.0) << term << " at " << place;
    EXPECT_GT(error, 0.02) << term << ": a bound that proves little";
  }
}

TEST(DiscretizedLogistic, EqualsTheTwin) {
  const GoldenFile golden(golden_folder() / "likelihood_points.safetensors");
  const auto in = [&](const std::string& name) {
    return golden.floats("discretized-logistic." + name);
  };
  const auto out = [&](const std::string& name) {
    return golden.values("discretized-logistic." + name);
  };
  const auto x = in("x"), mean = in("mean"), log_scale = in("log_scale");
  const auto nll = out("nll"), grad_mean = out("grad_mean"), grad_scale = out("grad_log_scale");
  ASSERT_GT(x.size(), 100u);
  for (size_t i = 0; i < x.size(); ++i) {
    const Conditioning conditioning(x[i], mean[i], log_scale[i]);
    const auto got = terms(x[i], mean[i], log_scale[i]);
    const Terms<double, 2> want = {nll[i], {grad_mean[i], grad_scale[i]}, 0.0};
    const auto bound = error_bounds(want, conditioning, kEpsilon);
    EXPECT_NEAR(got.nll, nll[i], bound.nll) << i;
    EXPECT_NEAR(got.grad_output[0], grad_mean[i], bound.grad_output[0]) << i;
    EXPECT_NEAR(got.grad_output[1], grad_scale[i], bound.grad_output[1]) << i;
    if (std::abs(log_scale[i]) > DiscretizedLogistic::log_scale_limit) {
      EXPECT_EQ(got.grad_output[1], 0.0f) << i;
    }
  }
}

// NaN at either end and inside, where different terms are left out.
TEST(DiscretizedLogistic, NanIsNeverHidden) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float x : {0.0f, 0.5f, 1.0f}) {
    EXPECT_TRUE(std::isnan(terms(x, kNan, 0.0f).nll)) << x;
    EXPECT_TRUE(std::isnan(terms(x, 0.5f, kNan).nll)) << x;
  }
}

}  // namespace
}  // namespace elbo::math

// The likelihood of 8-bit values is a probability distribution over 256 values with the mean and
// variance of the logistic distribution. Float agrees with double over the whole range of the
// decoder's outputs, and with PyTorch.
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

/// Condition numbers of one element. -log P is a function of a = (x - mean + h) / s and
/// b = (x - mean - h) / s, where h is half a bin. Their inputs are accurate to a few roundings, and
/// the slope of a result determines how much of that error reaches it.
struct Conditioning {
  double rate;          // 1 / s
  double reach;         // (|x - mean| + h) / s, a bound on |a| and |b|
  double above, below;  // sigma(-a) and sigma(b); 0 if the bin has no such edge
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

/// Bounds on the errors of terms in arithmetic of this epsilon. e^-log_s is accurate to two epsilon
/// and a, b and the width take at most four roundings each, so their error is at most 4 epsilon
/// `reach`. Results are computed from these by at most eight operations, without cancellation.
Terms<double, 2> error_bounds(const Terms<double, 2>& exact, const Conditioning& c,
                              double epsilon) {
  const double tiny = 1e-36;  // the float exponential does not go below this
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

// Sheppard's correction: if the scale is well above the bins' width, binning adds only a bin's
// variance.
TEST(DiscretizedLogistic, StartMatchesMeanAndVariance) {
  constexpr double kVariance = 0.002;
  for (const double mean : {0.5, 0.4}) {
    const auto [first, second] = DiscretizedLogistic::start(mean, kVariance);
    double sum = 0.0, squares = 0.0;
    for (int v = 0; v < 256; ++v) {
      const double p = std::exp(-terms(v / 255.0, first, second).nll);
      sum += p * v / 255.0;
      squares += p * (v / 255.0 - mean) * (v / 255.0 - mean);
    }
    // A mass of e^(-0.4 / s) = 9e-8 lies beyond an end, on average by s = 0.025.
    EXPECT_NEAR(sum, mean, 1e-8);
    EXPECT_NEAR(squares, kVariance + 1.0 / (12.0 * 255.0 * 255.0), 1e-8);
  }
}

/// Calls `use(x, mean, log_scale)` for means on both sides of x, near and far, and for log-scales
/// on both sides of the clamps.
template <class Use>
void for_each_point(Use&& use) {
  for (const int v : {0, 1, 2, 77, 128, 200, 253, 254, 255})
    for (float log_scale = -11.0f; log_scale <= 11.0f; log_scale += 0.0917f)
      for (const float side : {-1.0f, 1.0f})
        for (float distance = 1e-6f; distance < 1e4f; distance *= 1.13f) {
          const float x = static_cast<float>(v) * (1.0f / 255.0f);
          use(x, x + side * distance, log_scale);
        }
}

TEST(DiscretizedLogistic, FloatMatchesDouble) {
  struct Worst {
    const char* term;
    double error = 0.0;  // as a multiple of the bound
    std::string point;
  } worst[] = {{"nll", 0.0, ""}, {"grad_mean", 0.0, ""}, {"grad_log_scale", 0.0, ""}};
  for_each_point([&](float x, float mean, float log_scale) {
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
      worst[i].point = "x " + std::to_string(x) + ", mean " + std::to_string(mean) +
                       ", log-scale " + std::to_string(log_scale);
    }
  });
  for (const auto& [term, error, point] : worst) {
    EXPECT_LE(error, 1.0) << term << " at " << point;
    EXPECT_GT(error, 0.02) << term << ": loose error bound";
  }
}

TEST(DiscretizedLogistic, MatchesPyTorch) {
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

// NaN propagates at x = 0, x = 1 and in between, which omit different terms.
TEST(DiscretizedLogistic, PropagatesNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float x : {0.0f, 0.5f, 1.0f}) {
    EXPECT_TRUE(std::isnan(terms(x, kNan, 0.0f).nll)) << x;
    EXPECT_TRUE(std::isnan(terms(x, 0.5f, kNan).nll)) << x;
  }
}

}  // namespace
}  // namespace elbo::math

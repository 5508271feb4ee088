// For every registered activation: the derivative matches finite differences, float agrees with
// double, values and gradients match PyTorch, and NaN propagates.
#include "kernels/math/activation.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "tests/finite_difference.hpp"
#include "tests/golden.hpp"

namespace elbo::math {
namespace {

// Away from 0 and 1: some activations have a kink there.
constexpr double kPoints[] = {-80.0, -17.0, -3.0, -1.0, -0.3, -1e-2,
                              1e-2,  0.3,   0.9,  3.0,  17.0, 80.0};
constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

template <class A, class T>
T derivative_at(T x) {
  return A::derivative(A::derivative_from_input ? x : A::value(x));
}

TEST(Activation, DerivativeMatchesFiniteDifferences) {
  Activations::for_each([](auto activation) {
    using A = decltype(activation);
    static_assert(ActivationFormula<A>);
    for (const double x : kPoints) {
      const auto numeric = finite_difference([](double v) { return A::value(v); }, x);
      const double exact = derivative_at<A>(x);
      EXPECT_NEAR(exact, numeric.value, numeric.error) << A::name << " at " << x;
      EXPECT_LT(numeric.error, 1e-6 * (1.0 + std::abs(exact)))
          << A::name << ": loose error bound at " << x;
    }
  });
}

// An elementary function is within 4 ulps, and at most four operations follow it. If a 1 cancels
// (elu, the derivatives), the errors are relative to that 1.
TEST(Activation, FloatMatchesDouble) {
  Activations::for_each([](auto activation) {
    using A = decltype(activation);
    for (const double x : kPoints) {
      const double value = A::value(x), derivative = derivative_at<A>(x);
      const auto as_float = static_cast<float>(x);
      EXPECT_NEAR(A::value(as_float), A::value(static_cast<double>(as_float)),
                  6.0 * kEpsilon * (1.0 + std::abs(value)))
          << A::name << " at " << x;
      EXPECT_NEAR(derivative_at<A>(as_float), derivative_at<A>(static_cast<double>(as_float)),
                  6.0 * kEpsilon * (1.0 + std::abs(x) + std::abs(derivative)))
          << A::name << " at " << x;
    }
  });
}

TEST(Activation, MatchesPyTorch) {
  const GoldenFile golden(golden_folder() / "activation_points.safetensors");
  Activations::for_each([&](auto activation) {
    using A = decltype(activation);
    const std::string name(A::name);
    const std::vector<float> z = golden.floats(name + ".z");
    const std::vector<double> value = golden.values(name + ".value");
    const std::vector<double> gradient = golden.values(name + ".grad_z");
    ASSERT_GT(z.size(), 10u);
    for (size_t i = 0; i < z.size(); ++i) {
      EXPECT_NEAR(A::value(z[i]), value[i], 6.0 * kEpsilon * (1.0 + std::abs(value[i])))
          << name << " at " << z[i];
      EXPECT_NEAR(derivative_at<A>(z[i]), gradient[i],
                  6.0 * kEpsilon * (1.0 + std::abs(z[i]) + std::abs(gradient[i])))
          << name << " at " << z[i];
    }
  });
}

TEST(Activation, PropagatesNan) {
  Activations::for_each([](auto activation) {
    using A = decltype(activation);
    EXPECT_TRUE(std::isnan(A::value(std::numeric_limits<float>::quiet_NaN()))) << A::name;
  });
}

}  // namespace
}  // namespace elbo::math

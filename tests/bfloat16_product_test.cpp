// bfloat16 products on the CPU, with every kernel that this processor supports: rounding, sums and
// whole trainings.
#include <cmath>
#include <limits>

#include "kernels/math/bfloat16.hpp"
#include "tests/compare.hpp"
#include "tests/layer_products.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// True if the kernels add in the same order as AMX.
bool adds_in_order_of_amx(const Way& way) { return std::string(way.kernels.name) != "avx512_bf16"; }

TEST(Bfloat16Rounding, RoundsLinesToNearest) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> numbers = {0.0f,          -0.0f,      1.0f,      0x1.01p0f,    0x1.03p0f,
                                0x1.010002p0f, infinity,   -infinity, 0x1.fffp127f, -3.0e38f,
                                0x1.00fffep0f, -0x1.01p0f, 0x1p-120f, 1.0f / 3.0f};
  for (const float number : uniform_floats(90, -1000.0f, 1000.0f, 3)) numbers.push_back(number);
  for (const Way& way : ways())
    for (size_t count = 1; count <= numbers.size(); ++count) {
      SCOPED_TRACE(testing::Message() << way.kernels.name << ", " << count);
      const auto lanes = static_cast<size_t>(way.kernels.lanes);
      const size_t blocks = (count + 2 * lanes - 1) / (2 * lanes), step = lanes + 3;
      // An exact-size array, so that the address sanitizer detects reads beyond it.
      const std::vector<float> from(numbers.begin(),
                                    numbers.begin() + static_cast<std::ptrdiff_t>(count));
      std::vector<math::Bfloat16> got(2 * blocks * step, math::Bfloat16{0xa5a5}), want = got;
      way.kernels.round_line(from.data(), static_cast<int64_t>(count),
                             reinterpret_cast<float*>(got.data()), static_cast<int64_t>(step));
      for (size_t i = 0; i < 2 * blocks * lanes; ++i)
        want[i / (2 * lanes) * 2 * step + i % (2 * lanes)] =
            math::to_bfloat16(i < count ? from[i] : 0.0f);
      ASSERT_TRUE(same_bits(got, want));
    }
}

TEST(Bfloat16Rounding, RoundsPairsToNearest) {
  for (const Way& way : ways())
    for (size_t count = 1; count <= 50; ++count)
      for (const bool has_odd : {true, false}) {
        SCOPED_TRACE(testing::Message() << way.kernels.name << ", " << count << ", " << has_odd);
        const auto lanes = static_cast<size_t>(way.kernels.lanes);
        const size_t width = (count / lanes + 1) * lanes;
        const std::vector<float> even = uniform_floats(count, -1.0f, 1.0f, 1),
                                 odd = uniform_floats(count, -1.0f, 1.0f, 2);
        std::vector<math::Bfloat16> got(2 * width + 2, math::Bfloat16{0xa5a5}), want = got;
        way.kernels.round_pair(even.data(), has_odd ? odd.data() : nullptr,
                               static_cast<int64_t>(count), reinterpret_cast<float*>(got.data()),
                               static_cast<int64_t>(width));
        for (size_t i = 0; i < width; ++i) {
          want[2 * i] = math::to_bfloat16(i < count ? even[i] : 0.0f);
          want[2 * i + 1] = math::to_bfloat16(i < count && has_odd ? odd[i] : 0.0f);
        }
        ASSERT_TRUE(same_bits(got, want));
      }
}

TEST(Bfloat16Rounding, PreservesNan) {
  const std::vector<float> numbers(64, -std::numeric_limits<float>::quiet_NaN());
  for (const Way& way : ways()) {
    std::vector<math::Bfloat16> words(64);
    way.kernels.round_line(numbers.data(), 64, reinterpret_cast<float*>(words.data()),
                           way.kernels.lanes);
    for (const math::Bfloat16 word : words) EXPECT_TRUE(std::isnan(math::to_float(word)));
  }
}

/// Whole and partial tiles, panels, words, reduction blocks and groups of panels.
constexpr LayerShape kShapes[] = {{1, 1, 1, 1},        {3, 2, 5, 7},       {16, 16, 32, 16},
                                  {17, 17, 33, 17},    {20, 20, 784, 40},  {40, 33, 31, 100},
                                  {128, 128, 20, 50},  {300, 299, 48, 64}, {600, 513, 9, 33},
                                  {33, 20, 1100, 130}, {5, 0, 4, 3},       {12, 12, 2100, 260}};

TEST(Bfloat16Product, MatchesSumsOfRoundedOperands) {
  for (const LayerShape& shape : kShapes) {
    const DenseLayer layer(shape, Precision::bf16);
    for (const Way& way : ways())
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(testing::Message() << shape << ", " << way.kernels.name);
        layer.expect(layer.run(way, accumulate), accumulate ? 0.5f : 0.0f);
      }
  }
}

/// Values stay far from subnormals, which AMX flushes to zero.
TEST(Bfloat16Product, IsBitwiseEqualToAmx) {
  for (const LayerShape& shape : kShapes) {
    const DenseLayer layer(shape, Precision::bf16);
    const std::vector<Way> all = ways();
    const Products first = layer.run(all.front());
    for (const Way& way : all) {
      if (!adds_in_order_of_amx(way)) continue;
      SCOPED_TRACE(testing::Message() << shape << ", " << way.kernels.name);
      const Products other = layer.run(way);
      EXPECT_TRUE(same_bits(other.y, first.y));
      EXPECT_TRUE(same_bits(other.grad_x, first.grad_x));
      EXPECT_TRUE(same_bits(other.grad_weight, first.grad_weight));
    }
  }
}

/// Images that each show a bright rectangle.
Dataset rectangles(int64_t rows, int64_t side) {
  std::vector<float> pixels;
  const std::vector<float> corners = uniform_floats(static_cast<size_t>(4 * rows), 0.0f, 1.0f, 5);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    const auto size = static_cast<double>(side);
    const double left = 0.6 * size * corners[4 * row], top = 0.6 * size * corners[4 * row + 1];
    const double right = left + 2.0 + 0.4 * size * corners[4 * row + 2];
    const double bottom = top + 2.0 + 0.4 * size * corners[4 * row + 3];
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        const auto px = static_cast<double>(x), py = static_cast<double>(y);
        pixels.push_back(px >= left && px < right && py >= top && py < bottom ? 1.0f : 0.0f);
      }
  }
  return Dataset::from_rows(pixels, {side * side}, {.validation_fraction = 0.0});
}

Config picture_config(const std::string& precision) {
  Config config;
  config.hidden = {64};
  config.latent_dim = 8;
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  config.validation_fraction = 0.0;
  config.batch_size = 64;
  config.picture_count = 0;
  apply_setting(config, "precision", precision);
  return config;
}

/// Returns the mean loss per input, in nats, over the last quarter of 400 steps.
double final_loss(SmallTraining& training) {
  constexpr int kSteps = 400;
  double loss = 0.0;
  for (int i = 0; i < kSteps; ++i) {
    const StepRecord record = training.step();
    if (4 * i >= 3 * kSteps) loss += record.terms[0] + record.terms[1];
  }
  return 4.0 * loss / kSteps;
}

TEST(Bfloat16Training, LossIsWithinOnePercentOfFloat) {
  const Dataset data = rectangles(512, 16);
  SmallTraining floats(picture_config("fp32"), data), rounded(picture_config("bf16"), data);
  const double start = floats.step().terms[0];
  const double loss = final_loss(floats);
  EXPECT_LT(loss, 0.4 * start);  // something was learnt
  EXPECT_NEAR(final_loss(rounded), loss, 0.01 * loss);
  EXPECT_NE(floats.weights(), rounded.weights());
}

TEST(Bfloat16Training, DoesNotDependOnThreads) {
  const Dataset data = rectangles(100, 16);
  SmallTraining one(picture_config("bf16"), data, true, false, 1);
  SmallTraining three(picture_config("bf16"), data, true, false, 3);
  for (SmallTraining* training : {&one, &three}) training->pass.run(30);
  EXPECT_TRUE(same_bits(one.weights(), three.weights()));
}

}  // namespace
}  // namespace elbo

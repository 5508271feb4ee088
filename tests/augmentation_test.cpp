// Flipping and shifting images: every output is a possible augmentation of its source, each
// occurs with the right frequency, and the draws use their own noise stream. Evaluation does not
// augment.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "host/data/sample_pictures.hpp"
#include "host/train/evaluator.hpp"
#include "kernels/batch.hpp"
#include "tests/compare.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

constexpr uint64_t kSeed = 77;

GatherBatch augmenting(bool flip, int32_t shift) {
  GatherBatch op;
  op.augmentation = {flip, shift};
  return op;
}

struct Batch {
  std::vector<float> x, input;
  std::vector<uint32_t> row_ids;
};

/// Gathers all `rows` as the batch of a step.
template <class Stored>
Batch gather(const std::vector<Stored>& rows, const Shape& shape, GatherBatch op, uint64_t step) {
  const int64_t columns = element_count(shape);
  const auto count = static_cast<uint32_t>(rows.size() / static_cast<size_t>(columns));
  Workspace w(make_cpu_device(2));
  op.rows = w.put(rows);
  op.dtype = std::is_same_v<Stored, uint8_t> ? DType::u8 : DType::f32;
  op.count = count;
  op.columns = static_cast<int32_t>(columns);
  op.shuffle = true;
  op.seed = kSeed;
  op.picture = picture_layout(shape);
  op.corruption_level = 0.3f;
  const StepState state = {.step = step, .rows = static_cast<int32_t>(count)};
  op.batch = {w.put(std::vector{state}), static_cast<int32_t>(count), 1};
  op.x = w.output<float>(rows.size());
  op.input = w.output<float>(rows.size());
  op.row_ids = w.output<uint32_t>(count);
  w.run({op});
  return {w.get(op.x, rows.size()), w.get(op.input.f32(), rows.size()), w.get(op.row_ids, count)};
}

/// An image as [y][x][channel], whatever its layout in memory.
using Picture = std::vector<std::vector<std::array<float, 3>>>;

Picture read_picture(const float* row, const Shape& shape) {
  const bool grey = shape.size() == 2, planar = !grey && shape[0] == 3;
  const auto height = static_cast<size_t>(planar ? shape[1] : shape[0]);
  const auto width = static_cast<size_t>(planar ? shape[2] : shape[1]);
  Picture picture(height, std::vector<std::array<float, 3>>(width));
  for (size_t y = 0; y < height; ++y)
    for (size_t x = 0; x < width; ++x)
      for (size_t c = 0; c < (grey ? 1 : 3); ++c)
        picture[y][x][c] = grey     ? row[y * width + x]
                           : planar ? row[(c * height + y) * width + x]
                                    : row[(y * width + x) * 3 + c];
  return picture;
}

/// Returns the image with reflection padding of `margin` pixels on each side.
Picture mirrored_margins(const Picture& picture, size_t margin) {
  const auto widen = [margin](const auto& line) {
    auto wide = line;
    for (size_t i = 1; i <= margin; ++i) {
      wide.insert(wide.begin(), line[i]);
      wide.push_back(line[line.size() - 1 - i]);
    }
    return wide;
  };
  Picture lines;
  for (const auto& line : picture) lines.push_back(widen(line));
  return widen(lines);
}

Picture mirrored(Picture picture) {
  for (auto& line : picture) std::ranges::reverse(line);
  return picture;
}

/// Returns the height x width crop with its upper left corner at (y, x).
Picture frame(const Picture& wide, size_t y, size_t x, size_t height, size_t width) {
  Picture result;
  for (size_t i = y; i < y + height; ++i)
    result.emplace_back(wide[i].begin() + static_cast<std::ptrdiff_t>(x),
                        wide[i].begin() + static_cast<std::ptrdiff_t>(x + width));
  return result;
}

struct Found {
  bool flipped;
  size_t y, x;
  auto operator<=>(const Found&) const = default;
};

/// Returns every augmentation that turns `source` into `got`.
std::vector<Found> matching_augmentations(const Picture& got, const Picture& source, bool flips,
                                          size_t shift) {
  std::vector<Found> found;
  const Picture wide = mirrored_margins(source, shift);
  for (size_t y = 0; y <= 2 * shift; ++y)
    for (size_t x = 0; x <= 2 * shift; ++x) {
      const Picture candidate = frame(wide, y, x, source.size(), source[0].size());
      if (candidate == got) found.push_back({false, y, x});
      if (flips && mirrored(candidate) == got) found.push_back({true, y, x});
    }
  return found;
}

constexpr struct Setting {
  bool flip;
  int32_t shift;
} kSettings[] = {{true, 0}, {false, 1}, {true, 3}};

// Large enough that no two augmentations produce the same image.
const Shape kShapes[] = {{8, 9}, {8, 9, 3}, {3, 9, 8}};

/// Returns random bytes, so that different images and displacements are unlikely to coincide.
std::vector<uint8_t> random_bytes(size_t count) {
  std::vector<uint8_t> bytes;
  for (const float value : uniform_floats(count, 0.0f, 256.0f, 3))
    bytes.push_back(static_cast<uint8_t>(value));
  return bytes;
}

TEST(Augmentation, ProducesOneOfThePossibleImages) {
  constexpr size_t kCount = 200;
  for (const Shape& shape : kShapes)
    for (const auto& [flip, shift] : kSettings) {
      SCOPED_TRACE(testing::Message()
                   << to_string(shape) << ", flip " << flip << ", shift " << shift);
      const auto columns = static_cast<size_t>(element_count(shape));
      const std::vector<uint8_t> rows = random_bytes(kCount * columns);
      const Batch plain = gather(rows, shape, {}, 5);
      const Batch got = gather(rows, shape, augmenting(flip, shift), 5);
      ASSERT_EQ(got.row_ids, plain.row_ids);
      std::map<Found, int> counts;
      for (size_t i = 0; i < kCount; ++i) {
        const auto found = matching_augmentations(read_picture(&got.x[i * columns], shape),
                                                  read_picture(&plain.x[i * columns], shape), flip,
                                                  static_cast<size_t>(shift));
        ASSERT_EQ(found.size(), 1u) << "row " << i;
        ++counts[found.front()];
      }
      // There are at most 98 augmentations; 200 draws miss each with probability 0.13.
      const size_t all = static_cast<size_t>((flip ? 2 : 1) * (2 * shift + 1) * (2 * shift + 1));
      EXPECT_GT(counts.size(), all / 2);
      EXPECT_LE(counts.size(), all);
      EXPECT_TRUE(same_bits(got.input, got.x)) << "input and x must have the same augmentation";
    }
}

// Counts of each flip and each shift over many images, within five binomial standard deviations.
TEST(Augmentation, DrawsAreUniform) {
  constexpr int32_t kMaxShift = 2;
  constexpr uint32_t kDraws = 100000;
  std::map<int32_t, double> flips, downs, rights;
  double together = 0.0;
  for (uint32_t row = 0; row < kDraws; ++row) {
    const auto drawn = math::draw_displacement({.flip = true, .shift = kMaxShift}, kSeed, 3, row);
    flips[drawn.flipped] += 1.0, downs[drawn.down] += 1.0, rights[drawn.right] += 1.0;
    together += drawn.flipped && drawn.down == 1 && drawn.right == -2;
  }
  const auto expect = [](double count, double probability) {
    EXPECT_NEAR(count, kDraws * probability,
                5.0 * std::sqrt(kDraws * probability * (1.0 - probability)));
  };
  ASSERT_EQ(downs.size(), 5u);
  ASSERT_EQ(rights.size(), 5u);
  expect(flips[1], 0.5);
  for (int32_t shift = -kMaxShift; shift <= kMaxShift; ++shift)
    expect(downs[shift], 0.2), expect(rights[shift], 0.2);
  expect(together, 0.5 * 0.2 * 0.2);
}

// The draw depends on (row of the data set, step), not on the index in the batch, which shuffling
// changes.
TEST(Augmentation, DependsOnRowAndStep) {
  constexpr size_t kCount = 64, kColumns = 20;
  const Shape shape = {5, 4};
  const std::vector<uint8_t> rows = random_bytes(kCount * kColumns);
  const GatherBatch op = augmenting(true, 2);
  const Batch first = gather(rows, shape, op, 5), again = gather(rows, shape, op, 5),
              later = gather(rows, shape, op, 6);
  EXPECT_TRUE(same_bits(first.x, again.x));
  size_t differing = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const auto drawn = math::draw_displacement({true, 2}, kSeed, 5, first.row_ids[i]);
    const Picture source = read_picture(
        std::vector<float>(
            rows.begin() + static_cast<std::ptrdiff_t>(first.row_ids[i] * kColumns),
            rows.begin() + static_cast<std::ptrdiff_t>((first.row_ids[i] + 1) * kColumns))
            .data(),
        shape);
    Picture want = source;
    for (int32_t y = 0; y < 5; ++y)
      for (int32_t x = 0; x < 4; ++x)
        want[static_cast<size_t>(y)][static_cast<size_t>(x)][0] =
            source[static_cast<size_t>(drawn.source_y(y, 5))]
                  [static_cast<size_t>(drawn.source_x(x, 4))][0] *
            (1.0f / 255.0f);
    EXPECT_EQ(read_picture(&first.x[i * kColumns], shape), want);
    differing += !std::equal(first.x.begin() + static_cast<std::ptrdiff_t>(i * kColumns),
                             first.x.begin() + static_cast<std::ptrdiff_t>((i + 1) * kColumns),
                             later.x.begin() + static_cast<std::ptrdiff_t>(i * kColumns));
  }
  // There are 50 augmentations, so two draws agree once in 50.
  EXPECT_GT(differing, kCount / 2);
}

// A view draws its noise by the position in the output. The result is therefore the same as if the
// op without augmentation had gathered the augmented image.
TEST(Augmentation, PrecedesViewAndCorruption) {
  constexpr size_t kCount = 50;
  const Shape shape = {5, 4, 3};
  const std::vector<uint8_t> rows = random_bytes(kCount * 60);
  const Batch moved = gather(rows, shape, augmenting(true, 2), 5);
  std::vector<uint8_t> augmented(rows.size());
  for (size_t i = 0; i < kCount; ++i)
    for (size_t c = 0; c < 60; ++c)
      augmented[moved.row_ids[i] * 60 + c] =
          static_cast<uint8_t>(std::lround(255.0f * moved.x[i * 60 + c]));
  for (const DataView view : {DataView::raw, DataView::dequantized, DataView::binarized}) {
    GatherBatch op;
    op.view = view;
    op.corruption = math::Corruption::of<math::Masking>();
    const Batch want = gather(augmented, shape, op, 5);
    op.augmentation = {true, 2};
    const Batch got = gather(rows, shape, op, 5);
    EXPECT_TRUE(same_bits(got.x, want.x));
    EXPECT_TRUE(same_bits(got.input, want.input));
  }
}

TEST(Augmentation, PreservesFloatBits) {
  constexpr size_t kCount = 30;
  const Shape shape = {3, 4, 5};
  const std::vector<float> rows = uniform_floats(kCount * 60, -3.0f, 3.0f, 1);
  const Batch plain = gather(rows, shape, {}, 5), got = gather(rows, shape, augmenting(true, 1), 5);
  for (size_t i = 0; i < kCount; ++i)
    EXPECT_EQ(matching_augmentations(read_picture(&got.x[i * 60], shape),
                                     read_picture(&plain.x[i * 60], shape), true, 1)
                  .size(),
              1u);
}

Config picture_config() {
  Config config = small_config();
  config.dequantize = Dequantization::uniform;
  config.flip = Flip::horizontal;
  config.shift = 2;
  return config;
}

Dataset pictures() {
  return Dataset::from_rows(random_bytes(20 * 60), {5, 4, 3}, {.validation_fraction = 0.0});
}

// Training augments its batches; evaluation, reconstruction and encoding do not.
TEST(Augmentation, AppliesOnlyToTraining) {
  const Dataset data = pictures();
  Config plain_config = picture_config();
  plain_config.flip = Flip::none, plain_config.shift = 0;
  SmallTraining augmented(picture_config(), data), plain(plain_config, data);
  const GatherBatch& op = augmented.op<GatherBatch>();
  EXPECT_TRUE(op.augmentation.flip);
  EXPECT_EQ(op.augmentation.shift, 2);
  EXPECT_EQ(op.picture.channels, 3);
  EXPECT_FALSE(plain.op<GatherBatch>().augmentation.any());
  augmented.step(), plain.step();
  EXPECT_FALSE(
      same_bits(augmented.read(op.x, 8 * 60), plain.read(plain.op<GatherBatch>().x, 8 * 60)));
  augmented.model.set_weights(plain.weights());
  Evaluator of_augmented(augmented.model, data.split("train")),
      of_plain(plain.model, data.split("train"));
  EXPECT_EQ(of_augmented.evaluate().elbo.value, of_plain.evaluate().elbo.value);
  EXPECT_TRUE(same_bits(of_augmented.reconstruct(20).inputs, of_plain.reconstruct(20).inputs));
  EXPECT_EQ(of_augmented.encode(false), of_plain.encode(false));
}

TEST(Augmentation, DoesNotDependOnThreads) {
  const Dataset data = pictures();
  SmallTraining one(picture_config(), data, true, false, 1),
      two(picture_config(), data, true, false, 2);
  for (int i = 0; i < 5; ++i) one.step(), two.step();
  EXPECT_TRUE(same_bits(one.weights(), two.weights()));
}

}  // namespace
}  // namespace elbo

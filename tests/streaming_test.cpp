// Data that stream to the device in windows: the same bits as with resident data if a window covers
// them, otherwise an order that depends only on seed and step.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "host/train/evaluator.hpp"
#include "host/train/window_order.hpp"
#include "kernels/math/permutation.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

constexpr uint32_t kRows = 50;  // of which 37 are trained on

Config streaming_config() {
  Config config = small_config();
  config.precision = ChosenPrecision::fp32;
  config.dequantize = Dequantization::uniform;
  return config;
}

/// Bytes, so that the noise added to them has to know which row it is for.
Dataset byte_data(const Shape& shape = {kSmallDim}) {
  std::vector<uint8_t> bytes;
  const auto count = kRows * static_cast<size_t>(element_count(shape));
  for (const float value : uniform_floats(count, 0.0f, 256.0f, 3))
    bytes.push_back(static_cast<uint8_t>(value));
  return Dataset::from_rows(bytes, shape, {.validation_fraction = 0.26});
}

struct Training {
  Model model;
  TrainingPass pass;

  Training(const std::shared_ptr<Device>& device, const Dataset& data, uint32_t window,
           bool shuffle = true, const Config& config = streaming_config())
      : model(config, {data.sample_shape(), data.dtype()}, device, Model::Purpose::training),
        pass(model, data.split("train"),
             {.plan = step_plan(config, data.split("train").size()),
              .optimizer = config,
              .shuffle = shuffle,
              .window = window}) {
    model.set_weights(model.architecture.initial_weights(1, nullptr));
  }

  const GatherBatch& gather() const { return std::get<GatherBatch>(pass.program().front()); }
  template <class T>
  std::vector<T> read(const T* from, int64_t count) const {
    std::vector<T> values(static_cast<size_t>(count));
    model.device->download(values.data(), from, values.size() * sizeof(T));
    return values;
  }
  /// The data set's rows that the next step takes.
  std::vector<uint32_t> step() {
    pass.run(1);
    return read(gather().row_ids, pass.records(1).front().rows);
  }
  std::vector<uint32_t> steps(uint64_t count) {
    std::vector<uint32_t> rows;
    for (uint64_t i = 0; i < count; ++i)
      for (const uint32_t row : step()) rows.push_back(row);
    return rows;
  }
  std::vector<float> weights() const { return model.arena.weights.download(); }
};

/// The rows that `epochs` epochs should take, in order, from what windows hold and one permutation
/// each.
std::vector<uint32_t> expected_rows(const Split& split, uint32_t window, uint64_t epochs) {
  const math::Windows windows = {static_cast<uint32_t>(split.size()), window};
  const WindowOrder order(windows, 1, true);
  std::vector<uint32_t> rows;
  for (uint64_t number = 0; number < epochs * windows.per_epoch(); ++number) {
    std::vector<uint32_t> places;
    for (const RowRun& run : order.runs(number))
      for (uint32_t i = 0; i < run.count; ++i) places.push_back(run.first + i);
    const auto count = static_cast<uint32_t>(places.size());
    const math::Permutation permutation(count, 1, number);
    for (uint32_t i = 0; i < count; ++i)
      rows.push_back(split.index.empty() ? places[permutation(i)]
                                         : split.index[places[permutation(i)]]);
  }
  return rows;
}

// Windows of 8 are batches, 37 rows make 5 of them; 16 leaves 5 rows for the last one; 40 covers.
TEST(Streaming, TakesTheRowsOfTheWindowsInTheirOrder) {
  const Dataset data = byte_data();
  const Split& split = data.split("train");
  ASSERT_EQ(split.size(), 37);
  ASSERT_EQ(split.index.size(), 37u);
  for (const uint32_t window : {8u, 16u, 32u, 40u}) {
    SCOPED_TRACE(window);
    Training training(device_under_test(), data, window);
    const std::vector<uint32_t> rows = training.steps(15), want = expected_rows(split, window, 3);
    EXPECT_EQ(rows, want);
    for (const auto first : {0, 37, 74}) {
      std::vector<uint32_t> epoch(rows.begin() + first, rows.begin() + first + 37);
      std::ranges::sort(epoch);
      EXPECT_EQ(epoch, split.index);
    }
  }
}

TEST(Streaming, FindsEveryRowsValues) {
  const Dataset data = small_data(37);
  const std::vector<float> stored = uniform_floats(37 * kSmallDim, 0.0f, 1.0f, 1);
  Training training(device_under_test(), data, 16);
  for (int i = 0; i < 12; ++i) {
    const std::vector<uint32_t> rows = training.step();
    const std::vector<float> x =
        training.read(training.gather().x, static_cast<int64_t>(rows.size()) * kSmallDim);
    for (size_t r = 0; r < rows.size(); ++r)
      for (size_t c = 0; c < kSmallDim; ++c)
        ASSERT_EQ(x[r * kSmallDim + c], stored[rows[r] * kSmallDim + c]) << i << ", row " << r;
  }
}

TEST(Streaming, AWindowThatCoversTheDataTrainsToTheResidentBits) {
  const Dataset data = byte_data();
  Training resident(device_under_test(), data, 0);
  resident.pass.run(23);
  for (const uint32_t window : {40u, 64u}) {
    Training streamed(device_under_test(), data, window);
    streamed.pass.run(23);
    EXPECT_TRUE(same_bits(streamed.weights(), resident.weights())) << window;
  }
  // Else the test would pass for weights that no order changes.
  Training windowed(device_under_test(), data, 16);
  windowed.pass.run(23);
  EXPECT_FALSE(same_bits(windowed.weights(), resident.weights()));
}

// Each picture uses the draw of its own row, at any position.
TEST(Streaming, FlipsAndShiftsEveryRowAsWithoutWindows) {
  const Dataset data = byte_data({4, 5, 3});
  const auto* stored = static_cast<const uint8_t*>(data.split("train").rows);
  Config config = streaming_config();
  config.dequantize = Dequantization::none;
  config.flip = Flip::horizontal;
  config.shift = 2;
  for (const uint32_t window : {0u, 16u}) {
    Training training(device_under_test(), data, window, true, config);
    for (uint64_t step = 0; step < 7; ++step) {
      const std::vector<uint32_t> rows = training.step();
      const GatherBatch& op = training.gather();
      const std::vector<float> x = training.read(op.x, static_cast<int64_t>(rows.size()) * 60);
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto drawn = math::draw_displacement({true, 2}, op.seed, step, rows[r]);
        for (int32_t e = 0; e < 60; ++e)
          ASSERT_EQ(x[r * 60 + static_cast<size_t>(e)],
                    static_cast<float>(
                        stored[rows[r] * 60 + static_cast<uint32_t>(drawn.source(e, op.picture))]) *
                        (1.0f / 255.0f))
              << "step " << step << ", row " << r << ", element " << e;
      }
    }
  }
}

// In the middle of an epoch and of a window, with the run cut in another place.
TEST(Streaming, ResumesAtAnyStep) {
  const Dataset data = byte_data();
  Training whole(device_under_test(), data, 16);
  whole.pass.run(13);
  for (const uint64_t step : {1u, 3u, 5u, 8u}) {
    Training half(device_under_test(), data, 16), rest(device_under_test(), data, 16);
    half.pass.run(step);
    rest.model.set_weights(half.weights());
    rest.model.arena.first_moments.upload(half.model.arena.first_moments.download());
    rest.model.arena.second_moments.upload(half.model.arena.second_moments.download());
    rest.pass.seek(step);
    rest.pass.run(13 - step);
    EXPECT_TRUE(same_bits(rest.weights(), whole.weights())) << step;
  }
}

TEST(Streaming, SeeksForwardAndBack) {
  const Dataset data = byte_data();
  Training straight(device_under_test(), data, 16), jumping(device_under_test(), data, 16);
  std::vector<std::vector<uint32_t>> rows;
  for (int i = 0; i < 15; ++i) rows.push_back(straight.step());
  for (const uint64_t step : {12u, 4u, 0u, 1u, 7u, 7u, 3u, 14u, 2u}) {
    jumping.pass.seek(step);
    EXPECT_EQ(jumping.step(), rows[step]) << step;
  }
}

TEST(Streaming, TakesTheOrderOfTheCpu) {
  const Dataset data = byte_data();
  Training here(device_under_test(), data, 16), cpu(make_cpu_device(2), data, 16);
  EXPECT_EQ(here.steps(15), cpu.steps(15));
}

// Many steps at once, from windows that hold a few more: trials of the device must stay within the
// current window.
TEST(Streaming, ManyStepsAtOnceAreTheSameSteps) {
  const Dataset data = small_data(720);
  const auto weights = [&](uint64_t at_once) {
    Training training(device_under_test(), data, 160);  // 20 steps
    for (uint64_t done = 0; done < 160; done += at_once) training.pass.run(at_once);
    return training.weights();
  };
  EXPECT_TRUE(same_bits(weights(40), weights(1)));
}

TEST(Streaming, WithoutShufflingRowsComeInTheirOrder) {
  const Dataset data = byte_data();
  const std::vector<uint32_t>& index = data.split("train").index;
  Training training(device_under_test(), data, 16, false);
  EXPECT_EQ(training.steps(5), index);
  EXPECT_EQ(training.steps(5), index);
}

}  // namespace
}  // namespace elbo

// Streaming of rows: the rows of every window, the rows in memory at a time, the alternation of
// host and device, and the choice of a window by free memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <set>

#include "host/train/trainer.hpp"
#include "host/train/window_order.hpp"
#include "tests/compare.hpp"
#include "tests/file_fixture.hpp"
#include "tests/forwarding_device.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

std::vector<uint32_t> places_of(const std::vector<RowRun>& runs) {
  std::vector<uint32_t> places;
  for (const RowRun& run : runs)
    for (uint32_t i = 0; i < run.count; ++i) places.push_back(run.first + i);
  return places;
}

/// Splits and windows off every multiple and on some: of each other, of segments (a sixteenth of
/// the window, at most 256 rows), and windows that cover the split.
constexpr math::Windows kWindows[] = {{1, 1},      {1, 8},        {7, 1},        {37, 8},
                                      {37, 16},    {37, 36},      {37, 37},      {37, 40},
                                      {40, 8},     {100, 48},     {1000, 96},    {1000, 1024},
                                      {9000, 512}, {10000, 4096}, {12288, 4096}, {20001, 5000}};

TEST(WindowOrder, DealsEveryRowOnceAnEpoch) {
  for (const math::Windows& windows : kWindows)
    for (const bool shuffle : {true, false}) {
      SCOPED_TRACE(std::to_string(windows.rows) + " rows by " + std::to_string(windows.length));
      const WindowOrder order(windows, 5, shuffle);
      for (uint64_t epoch = 0; epoch < 5; ++epoch) {
        std::vector<uint32_t> dealt;
        for (uint32_t window = 0; window < windows.per_epoch(); ++window) {
          const std::vector<uint32_t> places =
              places_of(order.runs(epoch * windows.per_epoch() + window));
          EXPECT_EQ(places.size(), window + 1 < windows.per_epoch()
                                       ? windows.length
                                       : (windows.rows - 1) % windows.length + 1);
          EXPECT_TRUE(std::ranges::is_sorted(places));
          dealt.insert(dealt.end(), places.begin(), places.end());
        }
        if (!shuffle) {
          EXPECT_TRUE(std::ranges::is_sorted(dealt));
        }
        std::ranges::sort(dealt);
        ASSERT_EQ(dealt, places_of({{0, windows.rows}})) << "epoch " << epoch;
      }
    }
}

TEST(WindowOrder, AWindowThatCoversTheSplitIsTheSplit) {
  for (const math::Windows& windows : kWindows) {
    if (windows.length < windows.rows) continue;
    EXPECT_EQ(WindowOrder(windows, 5, true).runs(3), (std::vector<RowRun>{{0, windows.rows}}));
  }
}

// 157 segments, of which a window touches at most 41: 39 of its length and two cut at its ends. Two
// draws have about 10 in common, with a standard deviation of 2.4.
TEST(WindowOrder, WindowsChangeWithEpochAndSeed) {
  const math::Windows windows = {40000, 10000};
  const auto segments = [&](uint64_t seed, uint64_t number) {
    std::set<uint32_t> found;
    for (const uint32_t place : places_of(WindowOrder(windows, seed, true).runs(number)))
      found.insert(place / 256);
    return found;
  };
  const auto common = [](const std::set<uint32_t>& one, const std::set<uint32_t>& other) {
    return std::ranges::count_if(one, [&](uint32_t s) { return other.contains(s); });
  };
  const std::set<uint32_t> first = segments(1, 0);
  EXPECT_LE(first.size(), 41u);
  for (uint64_t epoch = 1; epoch < 10; ++epoch)
    EXPECT_LT(common(first, segments(1, 4 * epoch)), 25);
  for (uint64_t seed = 2; seed < 10; ++seed) EXPECT_LT(common(first, segments(seed, 0)), 25);
  EXPECT_EQ(segments(1, 0), first);
}

/// When a queue's copies reach the device: as soon, or as late, as a stream of its own might have
/// them.
enum class Copies { at_once, when_waited_for };

/// Counts what one thread does, for another to wait for.
class Counter {
 public:
  void add() {
    const std::scoped_lock lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  /// Whether the count gets there; gives up when it cannot be slowness any more.
  bool reaches(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return count_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

/// Sees to the turns of producer and consumer, and fails when told to.
class WatchedQueue : public TransferQueue {
 public:
  WatchedQueue(size_t staging_bytes, Copies copies, int fails_after, Counter& commits)
      : staging_(staging_bytes), copies_(copies), sends_left_(fails_after), commits_(commits) {}

  void acquire(int slot) override {
    turn(slot, {Turn::free}, Turn::filling);
    filling_ = slot;
  }
  std::byte* stage() override {
    std::ranges::fill(staging_, std::byte{0xee});
    return staging_.data();
  }
  void send(void* to, const std::byte* staged, size_t bytes) override {
    ASSERT_LE(staging_.data(), staged);
    ASSERT_LE(staged + bytes, staging_.data() + staging_.size());
    if (sends_left_-- == 0) throw DataError("the data set is gone");
    const std::scoped_lock lock(mutex_);
    pending_[filling_].push_back({to, {staged, staged + bytes}});
    if (copies_ == Copies::at_once) copy(filling_);
  }
  void commit(int slot) override {
    turn(slot, {Turn::filling}, Turn::filled);
    commits_.add();
  }
  void wait(int slot) override {
    turn(slot, {Turn::filled, Turn::read}, Turn::read);
    const std::scoped_lock lock(mutex_);
    copy(slot);
  }
  void release(int slot) override {
    turn(slot, {Turn::free, Turn::filling, Turn::filled, Turn::read}, Turn::free);
  }

 private:
  enum class Turn { free, filling, filled, read };
  struct Copy {
    void* to;
    std::vector<std::byte> bytes;
  };

  void turn(int slot, std::initializer_list<Turn> from, Turn to) {
    const std::scoped_lock lock(mutex_);
    ASSERT_TRUE(slot == 0 || slot == 1);
    EXPECT_TRUE(std::ranges::find(from, turns_[slot]) != from.end())
        << "slot " << slot << " from " << static_cast<int>(turns_[slot]) << " to "
        << static_cast<int>(to);
    turns_[slot] = to;
  }
  void copy(int slot) {
    for (const Copy& each : pending_[slot])
      std::memcpy(each.to, each.bytes.data(), each.bytes.size());
    pending_[slot].clear();
  }

  std::mutex mutex_;
  std::vector<std::byte> staging_;
  Copies copies_;
  int sends_left_;
  Counter& commits_;
  Turn turns_[2] = {};
  int filling_ = 0;  // the producer's slot
  std::vector<Copy> pending_[2];
};

/// The CPU as if its memory were not the host's: of a given size, and with an account of it.
class WatchedDevice : public ForwardingDevice {
 public:
  explicit WatchedDevice(size_t free = std::numeric_limits<size_t>::max(),
                         Copies copies = Copies::at_once, int fails_after = -1)
      : free_(free), copies_(copies), fails_after_(fails_after) {}

  std::string describe() const override { return "watched"; }
  bool shares_host_memory() const noexcept override { return false; }
  size_t free_memory() const override { return free_; }
  void* allocate(size_t bytes, std::string_view purpose) override {
    allocated += bytes;
    if (purpose.find("two windows") != purpose.npos) windows += bytes;
    return ForwardingDevice::allocate(bytes, purpose);
  }
  std::unique_ptr<TransferQueue> make_transfer_queue(size_t staging_bytes) override {
    staged += staging_bytes;
    return std::make_unique<WatchedQueue>(staging_bytes, copies_, fails_after_, commits);
  }

  size_t allocated = 0;  // bytes asked for in all
  size_t windows = 0;    // of them for windows
  size_t staged = 0;     // bytes of a staging buffer
  Counter commits;       // windows sent

 private:
  size_t free_;
  Copies copies_;
  int fails_after_;
};

struct Streamed {
  Model model;
  TrainingPass pass;

  Streamed(const std::shared_ptr<Device>& device, const Dataset& data, uint32_t window,
           const Config& config = small_config())
      : model(config, {data.sample_shape(), data.dtype()}, device, Model::Purpose::training),
        pass(model, data.split("train"),
             {.plan = step_plan(config, data.split("train").size()),
              .optimizer = config,
              .window = window}) {
    model.set_weights(model.architecture.initial_weights(1, nullptr));
  }
  std::vector<float> weights() const { return model.arena.weights.download(); }
};

TEST(StreamedRows, TakesTurnsWhenEverCopiesArrive) {
  const Dataset data = small_data(300);
  Streamed plain(make_cpu_device(1), data, 32);
  plain.pass.run(200);
  for (const Copies copies : {Copies::at_once, Copies::when_waited_for}) {
    const auto device = std::make_shared<WatchedDevice>(size_t{1} << 40, copies);
    Streamed watched(device, data, 32);
    watched.pass.seek(60);  // and back, with windows already fetched
    watched.pass.run(1);
    watched.model.set_weights(watched.model.architecture.initial_weights(1, nullptr));
    for (Buffer<float>* moments :
         {&watched.model.arena.first_moments, &watched.model.arena.second_moments})
      moments->upload(std::vector<float>(moments->size()));
    watched.pass.seek(0);
    for (uint64_t done = 0; done < 200; done += 25) watched.pass.run(25);
    EXPECT_TRUE(same_bits(watched.weights(), plain.weights()));
  }
}

TEST(StreamedRows, FetchesTheNextWindowWhileOneIsRead) {
  const auto device = std::make_shared<WatchedDevice>();
  Streamed training(device, small_data(300), 32);
  training.pass.run(1);
  ASSERT_TRUE(device->commits.reaches(2));
  training.pass.run(4);  // the first step of the second window
  EXPECT_TRUE(device->commits.reaches(3));
}

/// Rows of bytes, `columns` of them.
Dataset generated_bytes(int64_t rows, int64_t columns) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i / 7 % 251);
  return Dataset::from_rows(std::move(bytes), {columns}, {.validation_fraction = 0.0});
}

TEST(StreamedRows, HoldsTwoWindowsAndAStagingBufferHoweverLargeTheData) {
  std::vector<size_t> allocated;
  for (const int64_t rows : {5000, 20000}) {
    const Dataset data = generated_bytes(rows, 64);
    const auto device = std::make_shared<WatchedDevice>();
    Streamed training(device, data, 512);
    training.pass.run(800);  // more than an epoch
    EXPECT_EQ(device->windows, 2u * 512u * (64u + sizeof(uint32_t)));
    EXPECT_EQ(device->staged, 512u * (64u + sizeof(uint32_t)));
    allocated.push_back(device->allocated);
  }
  EXPECT_EQ(allocated[0], allocated[1]);
}

// 9000 rows of 4 KiB in a window: three times what is staged at once.
TEST(StreamedRows, StagesALargeWindowInParts) {
  constexpr int64_t kRows = 9001, kColumns = 4096;
  Config config = small_config();
  config.hidden = {};
  config.latent_dim = 1;
  config.samples = 1;
  config.batch_size = 3000;
  const Dataset data = generated_bytes(kRows, kColumns);
  const auto device = std::make_shared<WatchedDevice>();
  Streamed streamed(device, data, 9000, config), resident(device, data, 0, config);
  EXPECT_GT(device->staged, size_t{15} << 20);
  EXPECT_LE(device->staged, size_t{16} << 20);
  const auto& gather = std::get<GatherBatch>(streamed.pass.program().front());
  for (int step = 0; step < 4; ++step) {
    streamed.pass.run(1);
    const auto rows = static_cast<size_t>(streamed.pass.records(1).front().rows);
    for (size_t i = 0; i < rows; ++i) {
      const auto* stored = static_cast<const uint8_t*>(data.split("train").rows) +
                           static_cast<size_t>(gather.row_ids[i]) * kColumns;
      const float* x = gather.x + i * kColumns;
      for (size_t c = 0; c < kColumns; ++c)
        ASSERT_EQ(x[c], static_cast<float>(stored[c]) * (1.0f / 255.0f)) << step << ' ' << i;
    }
  }
}

TEST(StreamedRows, AFailureOfTheThreadIsTheNextRunsError) {
  const Dataset data = small_data(300);
  // Within the first window, and some windows later.
  for (const int sends : {0, 1, 9}) {
    const auto device = std::make_shared<WatchedDevice>(size_t{1} << 40, Copies::at_once, sends);
    Streamed training(device, data, 32);
    const auto train = [&] { training.pass.run(100); };
    expect_error<DataError>(train, {"the data set is gone"});
    expect_error<DataError>(train, {"the data set is gone"});
    EXPECT_LE(training.pass.step(), 4u * static_cast<uint64_t>(sends / 2));
  }
}

TEST(DataWindow, IsAllThatHalfOfTheFreeMemoryHolds) {
  const Dataset data = small_data(100);
  const Split& split = data.split("train");
  constexpr size_t kTable = 100 * kSmallDim * sizeof(float);
  constexpr size_t kBatch = 2 * 8 * (kSmallDim * sizeof(float) + sizeof(uint32_t));
  const auto window = [&](size_t free) {
    return fitting_window(WatchedDevice(free), split, kSmallDim, 8);
  };
  EXPECT_EQ(fitting_window(*make_cpu_device(1), split, kSmallDim, 8), 0u);
  EXPECT_EQ(window(2 * kTable), 0u);
  EXPECT_EQ(window(2 * kTable - 2), kTable / kBatch * 8);
  EXPECT_EQ(window(2 * 3 * kBatch), 24u);
  EXPECT_EQ(window(2 * 3 * kBatch - 2), 16u);
  EXPECT_EQ(window(2 * kBatch), 8u);
  expect_error<DeviceError>([&] { window(2 * kBatch - 2); },
                            {"train", std::to_string(kBatch), "batch size"});

  // A small part of a table that does not fit.
  Split part = split;
  part.index = {3, 5, 8, 9, 12, 30, 31, 70, 99};
  EXPECT_EQ(fitting_window(WatchedDevice(2 * 2 * kBatch), part, kSmallDim, 8), 16u);
}

// 600 rows to train on in windows of 256, because no more fit, nor in evaluations.
TEST(DataWindow, IsRememberedByTheSettingsOfATraining) {
  Config config = small_config();
  config.output_init = OutputInit::zero;
  constexpr size_t kFree = 2 * 2 * 256 * (kSmallDim * sizeof(float) + sizeof(uint32_t));
  const Dataset data = small_data(800, 0.25);
  Trainer streamed(config, data, std::make_shared<WatchedDevice>(kFree));
  EXPECT_EQ(streamed.config().data_window, 256);
  ASSERT_FALSE(streamed.pass().notes().empty());
  EXPECT_NE(streamed.pass().notes().back().find("256 rows"), std::string::npos);
  streamed.train();
  Trainer asked(streamed.config(), data, make_cpu_device(1));
  asked.train();
  EXPECT_TRUE(
      same_bits(streamed.model().arena.weights.download(), asked.model().arena.weights.download()));
  EXPECT_EQ(streamed.evaluate("train").elbo.value, asked.evaluate("train").elbo.value);
  EXPECT_EQ(streamed.evaluate("validation").elbo.value, asked.evaluate("validation").elbo.value);

  // If all rows fit, nothing is stored in the settings.
  Trainer resident(config, data, std::make_shared<WatchedDevice>());
  EXPECT_EQ(resident.config().data_window, 0);
  resident.train();
  EXPECT_FALSE(
      same_bits(resident.model().arena.weights.download(), asked.model().arena.weights.download()));
  // Nor if the request exceeds the number of rows.
  config.data_window = 1000;
  Trainer all(config, data, std::make_shared<WatchedDevice>(kFree));
  EXPECT_EQ(std::get<GatherBatch>(all.pass().program().front()).window, 0u);
  all.train();
  EXPECT_TRUE(
      same_bits(resident.model().arena.weights.download(), all.model().arena.weights.download()));
}

TEST(DataWindow, IsCutToWholeBatches) {
  Config config = small_config();
  config.data_window = 23;
  const Dataset data = small_data(60);
  Trainer trainer(config, data, make_cpu_device(1));
  EXPECT_EQ(std::get<GatherBatch>(trainer.pass().program().front()).window, 16u);
  config.data_window = 7;
  expect_error<ConfigError>([&] { Trainer(config, data, make_cpu_device(1)); },
                            {"data-window", "'7'", "batch-size", "8"});
}

// All results of an evaluation, one window at a time, twice.
TEST(Evaluation, StreamsASplitThatDoesNotFit) {
  const Dataset data = small_data(101);
  const auto device = std::make_shared<WatchedDevice>(3000);
  const auto evaluate = [&](const std::shared_ptr<Device>& on) {
    Model model(small_config(), {{kSmallDim}, DType::f32}, on, Model::Purpose::inference);
    model.set_weights(model.architecture.initial_weights(3, nullptr));
    Evaluator evaluator(model, data.split("train"), 16);
    std::vector<float> values = evaluator.encode(true);
    for (int i = 0; i < 2; ++i) {
      const Evaluation result = evaluator.evaluate();
      for (const double value : {result.elbo.value, result.kl.value, result.elbo.standard_error})
        values.push_back(static_cast<float>(value));
    }
    const Evaluator::Reconstructions pairs = evaluator.reconstruct(40);
    values.insert(values.end(), pairs.inputs.begin(), pairs.inputs.end());
    values.insert(values.end(), pairs.means.begin(), pairs.means.end());
    return values;
  };
  EXPECT_TRUE(same_bits(evaluate(device), evaluate(make_cpu_device(1))));
  EXPECT_GT(device->windows, 0u);
}

}  // namespace
}  // namespace elbo

// A million steps: memory stays constant, and growing files stay within limits.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "host/train/run_directory.hpp"
#include "tests/file_fixture.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// Memory that the process has, in KiB.
int64_t resident_kib() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

/// Looks at memory and time at each hundredth of the training.
class Watcher : public TrainingObserver {
 public:
  explicit Watcher(uint64_t total) : part_(total / 100) {}
  void on_metrics(const TrainingMetrics& m) override {
    if (m.step / part_ == memory.size()) return;
    memory.push_back(resident_kib());
    seconds.push_back(m.seconds);
  }
  std::vector<int64_t> memory;
  std::vector<double> seconds;

 private:
  uint64_t part_;
};

class Both : public TrainingObserver {
 public:
  Both(TrainingObserver& one, TrainingObserver& two) : one_(one), two_(two) {}
  void on_metrics(const TrainingMetrics& m) override { one_.on_metrics(m), two_.on_metrics(m); }
  void on_report(const TrainingReport& report, const Trainer& trainer) override {
    one_.on_report(report, trainer);
  }
  void on_checkpoint(const Trainer& trainer) override { one_.on_checkpoint(trainer); }

 private:
  TrainingObserver &one_, &two_;
};

TEST(LongRun, MemoryIsFlatAndLogsAreBounded) {
  constexpr uint64_t kSteps = 1'000'000;
  const TemporaryDirectory directory;
  Config config = small_config();
  config.hidden = {4};
  config.latent_dim = 2;
  config.samples = 1;
  config.learning_rate = 1e-5;
  config.steps = kSteps;
  config.report_epochs = 0;
  config.picture_count = 1;
  Trainer trainer(config, small_data(37, 0.2), make_cpu_device(1));
  RunDirectory run = RunDirectory::create(directory / "run", config);
  Watcher watcher(kSteps);
  Both both(run, watcher);
  EXPECT_EQ(trainer.train(&both), TrainingEnd::completed);

  ASSERT_GE(watcher.memory.size(), 90u);
  const int64_t early = watcher.memory[10], late = watcher.memory.back();
  std::printf("resident: %lld KiB after a tenth, %lld KiB at the end; seconds for each tenth:",
              static_cast<long long>(early), static_cast<long long>(late));
  for (size_t i = 10; i < watcher.seconds.size(); i += 10)
    std::printf(" %.1f", watcher.seconds[i] - watcher.seconds[i - 10]);
  std::printf("\n");
  // Two bytes a step would be 1,750 KiB more; a page here and there is the allocator's.
  EXPECT_LT(late, early + 512);

  std::ifstream metrics(directory / "run/metrics.jsonl");
  uint64_t lines = 0;
  for (std::string line; std::getline(metrics, line);) ++lines;
  EXPECT_GT(lines, 9'000u);
  EXPECT_LE(lines, 10'000u + 2 * 100u);  // and two for each report
  EXPECT_LE(
      std::distance(std::filesystem::directory_iterator(directory / "run/reconstructions"), {}),
      101);
}

// For any length of a training and any settings.
TEST(LongRun, MetricsIntervalsGrow) {
  Config config;
  EXPECT_EQ(metrics_interval(config, 1), 100u);
  EXPECT_EQ(metrics_interval(config, 1'000'000), 100u);
  EXPECT_EQ(metrics_interval(config, 1'000'001), 101u);
  EXPECT_EQ(metrics_interval(config, 5'000'000'000), 500'000u);
  config.metrics_interval = 3;
  EXPECT_EQ(metrics_interval(config, 5'000'000'000), 3u);
}

}  // namespace
}  // namespace elbo

// The host never leaves a device without work while it reads records, and writes the same metrics.
#include <gtest/gtest.h>

#include "host/train/trainer.hpp"
#include "tests/forwarding_device.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// Counts the waits for a download behind which no further runs are queued.
class CountingDevice : public ForwardingDevice {
 public:
  struct Counts {
    int64_t runs = 0, downloads = 0, idle_waits = 0;
  };

  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    ++counts_->downloads;
    return std::make_unique<CountedDownload>(ForwardingDevice::start_download(from, bytes),
                                             counts_);
  }
  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<CountedExecutable>(ForwardingDevice::prepare(std::move(program)),
                                               counts_);
  }
  const Counts& counts() const { return *counts_; }

 private:
  class CountedDownload : public Download {
   public:
    CountedDownload(std::unique_ptr<Download> download, std::shared_ptr<Counts> counts)
        : download_(std::move(download)), counts_(std::move(counts)), queued_(counts_->runs) {}
    const std::byte* wait() override {
      if (counts_->runs == queued_) ++counts_->idle_waits;
      return download_->wait();
    }

   private:
    std::unique_ptr<Download> download_;
    std::shared_ptr<Counts> counts_;
    int64_t queued_;
  };
  class CountedExecutable : public Executable {
   public:
    CountedExecutable(std::unique_ptr<Executable> executable, std::shared_ptr<Counts> counts)
        : executable_(std::move(executable)), counts_(std::move(counts)) {}
    void run(uint64_t repeats) override {
      counts_->runs += static_cast<int64_t>(repeats);
      executable_->run(repeats);
    }

   private:
    std::unique_ptr<Executable> executable_;
    std::shared_ptr<Counts> counts_;
  };

  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

class Lines : public TrainingObserver {
 public:
  void on_metrics(const TrainingMetrics& m) override { metrics.push_back(m); }
  void on_report(const TrainingReport&, const Trainer&) override { ++reports; }
  std::vector<TrainingMetrics> metrics;
  int64_t reports = 0;
};

Config config_of(int64_t interval) {
  Config config = small_config();
  config.metrics_interval = interval;
  config.epochs = 40;  // of 5 steps
  config.report_epochs = 20;
  return config;
}

TEST(Pipelining, HasWorkQueuedWhenItWaitsForRecords) {
  const auto device = std::make_shared<CountingDevice>();
  Trainer trainer(config_of(4), small_data(37), device);
  Lines lines;
  trainer.train(&lines);
  EXPECT_GT(device->counts().downloads, 40);
  EXPECT_EQ(lines.reports, 2);
  EXPECT_EQ(device->counts().idle_waits, lines.reports);
}

// Every line covers the steps since the one before it, whatever the chunks were.
TEST(Pipelining, LinesCoverTheirOwnSteps) {
  const auto lines_of = [](int64_t interval) {
    Trainer trainer(config_of(interval), small_data(37), make_cpu_device(1));
    Lines lines;
    trainer.train(&lines);
    return lines.metrics;
  };
  const std::vector<TrainingMetrics> steps = lines_of(1), lines = lines_of(7);
  ASSERT_EQ(steps.size(), 200u);
  const std::vector<uint32_t> rows = {8, 8, 8, 8, 5};
  uint64_t done = 0;
  for (const TrainingMetrics& line : lines) {
    EXPECT_TRUE(line.step % 7 == 0 || line.step % 100 == 0) << line.step;
    for (size_t v = 0; v < line.values.size(); ++v) {
      double sum = 0.0, count = 0.0;
      for (uint64_t step = done; step < line.step; ++step) {
        sum += rows[step % 5] * steps[step].values[v].value;
        count += rows[step % 5];
      }
      EXPECT_NEAR(line.values[v].value, sum / count, 1e-12 * std::abs(sum / count))
          << line.values[v].name << " at " << line.step;
    }
    done = line.step;
  }
  EXPECT_EQ(done, 200u);
}

}  // namespace
}  // namespace elbo

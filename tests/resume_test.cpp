// A training that is stopped anywhere and resumed equals an uninterrupted one: bitwise equal
// checkpoints, and equal reports.
#include <gtest/gtest.h>

#include "host/train/recipe.hpp"
#include "host/train/trainer.hpp"
#include "kernels/math/optimizer.hpp"
#include "kernels/math/schedule.hpp"
#include "tests/compositions.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

/// The reports of a training, without times.
struct Told {
  std::vector<std::pair<uint64_t, std::vector<double>>> metrics;  // by step
  std::vector<std::tuple<uint64_t, double, bool>> validations;    // epoch, score, whether the best
  std::string checkpoint;
  bool stopped_early = false;
  bool operator==(const Told&) const = default;
};

/// Records its notifications, and stops the training after a number of requests.
class Listener : public TrainingObserver {
 public:
  Listener(Told& told, int patience) : told_(told), patience_(patience) {}

  void on_metrics(const TrainingMetrics& m) override {
    std::vector<double> values = {m.learning_rate, m.beta};
    for (const Metric& metric : m.values) values.push_back(metric.value);
    told_.metrics.emplace_back(m.step, std::move(values));
  }
  void on_report(const TrainingReport& report, const Trainer&) override {
    if (report.validation)
      told_.validations.emplace_back(report.training.epoch, report.validation->score, report.best);
    on_metrics(report.training);
  }
  bool wants_stop() override { return patience_-- == 0; }

 private:
  Told& told_;
  int patience_;
};

class Resume : public testing::Test {
 protected:
  Told undisturbed(const Config& config, const Dataset& data) {
    Told told;
    Trainer trainer(config, data, make_cpu_device(1));
    Listener listener(told, -1);
    trainer.train(&listener);
    return finish(trainer, std::move(told));
  }

  /// Stops after every few steps, and goes on in a trainer that knows the checkpoint alone.
  Told interrupted(const Config& config, const Dataset& data, int patience) {
    Told told;
    const auto file = directory_ / "checkpoint";
    std::filesystem::remove(file);
    int stops = 0, between_reports = 0;
    while (true) {
      Trainer trainer(config, data, make_cpu_device(1));
      if (stops > 0) trainer.restore(file);
      Listener listener(told, patience);
      if (trainer.train(&listener) != TrainingEnd::interrupted) {
        EXPECT_GE(stops, 2);
        EXPECT_GE(between_reports, 1);
        return finish(trainer, std::move(told));
      }
      ++stops;
      between_reports += trainer.progress().since_report.rows > 0.0;
      save_checkpoint(file, trainer.config(), trainer.model(), trainer.state());
    }
  }

  void expect_equal(Config config, const Dataset& data) {
    config.metrics_interval = 4;  // 5 steps an epoch: windows end anywhere
    const Told wanted = undisturbed(config, data);
    EXPECT_GT(wanted.metrics.size(), 3u);
    for (const int patience : {0, 2}) {
      const Told told = interrupted(config, data, patience);
      EXPECT_EQ(told.metrics, wanted.metrics);
      EXPECT_EQ(told.validations, wanted.validations);
      EXPECT_TRUE(told.checkpoint == wanted.checkpoint) << "other weights";
      EXPECT_EQ(told.stopped_early, wanted.stopped_early);
    }
  }

 private:
  Told finish(const Trainer& trainer, Told told) {
    trainer.save(directory_ / "end");
    told.checkpoint = read_bytes(directory_ / "end");
    told.stopped_early = trainer.stopped_early();
    return told;
  }

  TemporaryDirectory directory_;
};

/// Pictures of 8 x 8 bytes with labels, a fifth of them to validate on.
Dataset pictures() {
  constexpr int64_t kCount = 45, kDim = 64;
  std::vector<uint8_t> bytes(kCount * kDim);
  const std::vector<float> values = uniform_floats(bytes.size(), 0.0f, 1.0f, 3);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(256 * values[i]);
  std::vector<int32_t> labels(kCount);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % kClasses);
  return Dataset::from_rows(std::move(bytes), {8, 8}, {.validation_fraction = 0.2}, labels);
}

TEST_F(Resume, EveryRecipe) {
  for (const Recipe& recipe : recipes()) {
    SCOPED_TRACE(recipe.name);
    Config config = config_for_recipe(recipe.name);
    if (!config.hidden.empty()) config.hidden = {6};
    config.latent_dim = 2;
    if (config.network == NetworkType::conv) config.channels = {4};
    if (config.discriminator != DiscriminatorKind::none) config.discriminator_hidden = {5};
    config.batch_size = 8;
    config.epochs = 3;
    config.report_epochs = 1;
    config.steps = 0;
    expect_equal(config, pictures());
  }
}

TEST_F(Resume, EveryComposition) {
  for (const Composed& parts : kCompositions) {
    SCOPED_TRACE(parts.name);
    Config config = composed_config(parts);
    config.learning_rate = 0.01;
    const bool bytes = config.likelihood == math::Likelihood::of<math::DiscretizedLogistic>();
    expect_equal(config, bytes ? labelled_bytes(37, parts.sample_shape)
                               : labelled_data(37, parts.sample_shape));
  }
}

TEST_F(Resume, EveryOptimizerAndSchedule) {
  for (const std::string_view name : math::Optimizers::names) {
    SCOPED_TRACE(name);
    Config config = small_config();
    apply_setting(config, "optimizer", name);
    config.weight_decay = 0.01;
    config.clip_norm = 0.5;
    expect_equal(config, small_data(37));
  }
  for (const std::string_view name : math::Decays::names) {
    SCOPED_TRACE(name);
    Config config = small_config();
    apply_setting(config, "learning-rate-schedule", name);
    if (name == "multistep") config.learning_rate_milestones = {0.5, 1.25};
    config.learning_rate_warmup_epochs = 0.5;
    config.kl_warmup_epochs = 2.0;
    expect_equal(config, small_data(37));
  }
}

TEST_F(Resume, InBfloat16) {
  for (const double clip_norm : {0.0, 0.5}) {
    Config config = small_config();
    config.precision = ChosenPrecision::bf16;
    config.clip_norm = clip_norm;
    expect_equal(config, small_data(37));
  }
}

TEST_F(Resume, InWindows) {
  Config config = small_config();
  config.data_window = 16;
  expect_equal(config, small_data(37));
}

// The best score, its epoch and the end they bring are those of a training without interruptions.
TEST_F(Resume, EarlyStopping) {
  Config config = small_config();
  config.hidden = {32};
  config.learning_rate = 0.02;
  config.epochs = 1000;
  config.early_stopping = 5;
  const Dataset data = small_data(80, 0.5);
  const Told wanted = undisturbed(config, data);
  ASSERT_TRUE(wanted.stopped_early);
  ASSERT_LT(wanted.validations.size(), 1000u);
  expect_equal(config, data);
}

// A training that stopped early stays stopped.
TEST_F(Resume, AfterTheEnd) {
  Config config = small_config();
  config.hidden = {32};
  config.learning_rate = 0.02;
  config.epochs = 1000;
  config.early_stopping = 5;
  const Dataset data = small_data(80, 0.5);
  Trainer trainer(config, data, make_cpu_device(1));
  EXPECT_EQ(trainer.train(), TrainingEnd::stopped_early);
  const TemporaryDirectory directory;
  trainer.save(directory / "end");
  Trainer again(config, data, make_cpu_device(1));
  again.restore(directory / "end");
  EXPECT_EQ(again.train(), TrainingEnd::stopped_early);
  EXPECT_EQ(again.progress(), trainer.progress());
}

TEST_F(Resume, TimeIsUpBetweenSteps) {
  Config config = small_config();
  config.epochs = 100'000;
  config.report_epochs = 100'000;
  config.max_minutes = 0.1 / 60.0;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  EXPECT_EQ(trainer.train(), TrainingEnd::out_of_time);
  EXPECT_GT(trainer.progress().step, 0u);
  EXPECT_LT(trainer.progress().step, trainer.total_steps());
  EXPECT_EQ(trainer.state().progress, trainer.progress());
}

// Long epochs have checkpoints too.
TEST_F(Resume, CheckpointsBetweenReports) {
  class Counter : public TrainingObserver {
   public:
    void on_checkpoint(const Trainer& trainer) override {
      EXPECT_GT(trainer.state().progress.step, last);
      last = trainer.state().progress.step;
      ++count;
    }
    bool wants_stop() override { return count == 3; }
    uint64_t last = 0;
    int count = 0;
  };
  Config config = small_config();
  config.epochs = 10'000'000;
  config.report_epochs = 10'000'000;
  config.checkpoint_minutes = 0.02 / 60.0;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  Counter counter;
  EXPECT_EQ(trainer.train(&counter), TrainingEnd::interrupted);
  EXPECT_GE(counter.count, 3);
}

}  // namespace
}  // namespace elbo

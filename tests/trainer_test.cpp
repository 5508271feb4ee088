// A whole training: the same bytes from the same seed for any number of threads, a resumed training
// equals an uninterrupted one, the best checkpoint differs from the last, and a clean end at
// divergence.
#include "host/train/trainer.hpp"

#include <gtest/gtest.h>

#include "host/io/safetensors.hpp"
#include "host/train/run_directory.hpp"
#include "tests/compare.hpp"
#include "tests/file_fixture.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// Large enough for every op to be cut into several tasks.
Config wide_config() {
  Config config = small_config();
  config.hidden = {96, 64};
  config.batch_size = 128;
  config.epochs = 2;
  config.clip_norm = 1.0;
  return config;
}

Dataset wide_data() {
  return Dataset::from_rows(uniform_floats(300 * 120, 0.0f, 1.0f, 1), {120},
                            {.validation_fraction = 0.1});
}

std::string checkpoint_bytes(const Config& config, int threads) {
  const TemporaryDirectory directory;
  Trainer trainer(config, wide_data(), make_cpu_device(threads));
  trainer.train();
  trainer.save(directory / "last.safetensors");
  return read_bytes(directory / "last.safetensors");
}

TEST(Trainer, SameSeedSameBytesWhateverTheThreads) {
  for (const char* likelihood : {"gaussian", "bernoulli"}) {
    Config config = wide_config();
    apply_setting(config, "likelihood", likelihood);
    if (config.likelihood == math::Likelihood::of<math::Bernoulli>())
      config.binarize = Binarization::dynamic;
    const std::string first = checkpoint_bytes(config, 1);
    EXPECT_EQ(first, checkpoint_bytes(config, 1));
    EXPECT_EQ(first, checkpoint_bytes(config, 2));
    EXPECT_EQ(first, checkpoint_bytes(config, 3));
  }
}

TEST(Trainer, AnotherSeedAnotherModel) {
  Config config = small_config();
  Trainer one(config, small_data(37), make_cpu_device(1));
  config.seed = 2;
  Trainer other(config, small_data(37), make_cpu_device(1));
  EXPECT_NE(one.model().arena.weights.download(), other.model().arena.weights.download());
  one.train();
  other.train();
  EXPECT_NE(one.model().arena.weights.download(), other.model().arena.weights.download());
}

// 5 steps an epoch, interrupted within the second one.
TEST(Trainer, ResumedEqualsUninterrupted) {
  for (const char* optimizer : {"sgd", "adam", "adamw"}) {
    Config config = small_config();
    apply_setting(config, "optimizer", optimizer);
    config.weight_decay = 0.01;
    config.learning_rate_schedule = math::Decay::of<math::CosineDecay>();
    config.kl_warmup_epochs = 2.0;
    config.output_init = OutputInit::zero;
    const Dataset data = small_data(37);
    Trainer whole(config, data, make_cpu_device(1));
    whole.train();

    const TemporaryDirectory directory;
    // Stops without ending: the settings say 15 steps, and the schedules know it.
    SmallTraining half(config, data);
    half.pass.run(7);
    save_checkpoint(directory / "half.safetensors", config, half.model, {.step = 7, .epoch = 1});
    Trainer resumed(config, data, make_cpu_device(1));
    resumed.restore(directory / "half.safetensors");
    EXPECT_EQ(resumed.progress().step, 7u);
    resumed.train();

    whole.save(directory / "whole.safetensors");
    resumed.save(directory / "resumed.safetensors");
    EXPECT_EQ(read_bytes(directory / "whole.safetensors"),
              read_bytes(directory / "resumed.safetensors"))
        << optimizer;
  }
}

/// Remembers every epoch.
class Listener : public TrainingObserver {
 public:
  void on_report(const TrainingReport& report, const Trainer& trainer) override {
    reports.push_back(report);
    moments.push_back(trainer.model().arena.second_moments.download());
    progress.push_back(trainer.progress());
    if (next != nullptr) next->on_report(report, trainer);
  }
  void on_metrics(const TrainingMetrics& m) override {
    if (next != nullptr) next->on_metrics(m);
  }
  std::vector<TrainingReport> reports;
  std::vector<std::vector<float>> moments;
  std::vector<TrainingProgress> progress;
  TrainingObserver* next = nullptr;
};

/// Learns its few training rows by heart, so that validation soon gets worse.
Config overfitting_config() {
  Config config = small_config();
  config.hidden = {32};
  config.learning_rate = 0.02;
  config.epochs = 1000;
  config.early_stopping = 5;
  return config;
}

TEST(Trainer, StopsEarlyAndKeepsBestAndLastApart) {
  const TemporaryDirectory directory;
  const Config config = overfitting_config();
  Trainer trainer(config, small_data(20, 0.5), make_cpu_device(1));
  RunDirectory run = RunDirectory::create(directory / "run", config);
  Listener listener;
  listener.next = &run;
  trainer.train(&listener);

  EXPECT_TRUE(trainer.stopped_early());
  const uint64_t last = listener.reports.size();
  ASSERT_LT(last, 1000u);
  size_t best = 0;
  for (size_t i = 0; i < last; ++i)
    if (listener.reports[i].validation->elbo.value > listener.reports[best].validation->elbo.value)
      best = i;
  EXPECT_EQ(last, best + 1 + 5) << "patience";
  EXPECT_EQ(trainer.progress().best_epoch, best + 1);
  EXPECT_EQ(trainer.progress().best_score, listener.reports[best].validation->elbo.value);

  const auto best_file = directory / "run/checkpoints/best.safetensors";
  const auto last_file = directory / "run/checkpoints/last.safetensors";
  EXPECT_EQ(read_checkpoint_header(best_file).progress, listener.progress[best]);
  EXPECT_EQ(read_checkpoint_header(last_file).progress, listener.progress.back());

  // The best weights with the optimizer state that belongs to them.
  Trainer restored(config, small_data(20, 0.5), make_cpu_device(1));
  restored.restore(best_file);
  EXPECT_TRUE(same_bits(restored.model().arena.second_moments.download(), listener.moments[best]));
  EXPECT_EQ(restored.evaluate("validation").elbo.value,
            listener.reports[best].validation->elbo.value);
  EXPECT_NE(listener.moments[best], listener.moments.back());

  // The best score survives a resumption.
  Trainer resumed(config, small_data(20, 0.5), make_cpu_device(1));
  resumed.restore(last_file);
  EXPECT_EQ(resumed.progress().best_epoch, best + 1);
}

TEST(Trainer, WithoutPatienceItGoesOn) {
  Config config = overfitting_config();
  config.early_stopping = 0;
  config.epochs = 60;
  Trainer trainer(config, small_data(20, 0.5), make_cpu_device(1));
  Listener listener;
  trainer.train(&listener);
  EXPECT_FALSE(trainer.stopped_early());
  EXPECT_EQ(listener.reports.size(), 60u);
}

TEST(Trainer, ReportsTheElboWithoutBeta) {
  Config config = small_config();
  config.beta = 8.0;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  Listener listener;
  trainer.train(&listener);
  ASSERT_EQ(listener.reports.size(), 3u);
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    const TrainingMetrics& m = listener.reports[epoch].training;
    EXPECT_EQ(m["elbo"], m["reconstruction"] - m["kl"]);
    EXPECT_EQ(m.epoch, epoch + 1);
    EXPECT_EQ(m.step, 5 * (epoch + 1));
    EXPECT_EQ(m.beta, 8.0);
  }
}

// The first step's loss is finite; the second's goes through six layers of weights near 1e5, and
// its square is beyond float.
TEST(Trainer, DivergenceNamesTheStep) {
  Config config = small_config();
  config.optimizer = math::Optimizer::of<math::Sgd>();
  config.learning_rate = 1e6;
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.activation = math::Activation::of<math::Identity>();
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  expect_error<DivergenceError>([&] { trainer.train(); }, {"diverged at step 2:", "learning-rate"});
}

TEST(Trainer, LearnsSomething) {
  Config config = small_config();
  config.epochs = 200;
  config.learning_rate = 0.01;
  Trainer trainer(config, small_data(64), make_cpu_device(1));
  const double before = trainer.evaluate("train").elbo.value;
  trainer.train();
  EXPECT_GT(trainer.evaluate("train").elbo.value, before + 0.05);
}

}  // namespace
}  // namespace elbo

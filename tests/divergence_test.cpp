// Training that stops being finite: the reported step and tensors, rollback, and the files written.
#include "host/train/divergence.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "host/train/run_directory.hpp"
#include "tests/compare.hpp"
#include "tests/file_fixture.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

using Json = nlohmann::json;

/// Returns settings whose first loss is finite. In the second step, the values pass through six
/// layers with weights near 1e5, and the squared error overflows float.
Config exploding_config() {
  Config config = small_config();
  config.optimizer = math::Optimizer::of<math::Sgd>();
  config.learning_rate = 1e6;
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.activation = math::Activation::of<math::Identity>();
  return config;
}

class Witness : public TrainingObserver {
 public:
  void on_divergence(const Divergence& divergence) override { seen.push_back(divergence); }
  void on_report(const TrainingReport& report, const Trainer&) override {
    reports.push_back(report);
  }
  std::vector<Divergence> seen;
  std::vector<TrainingReport> reports;
};

Divergence diverged(Trainer& trainer) {
  Witness witness;
  EXPECT_THROW(trainer.train(&witness), DivergenceError);
  EXPECT_EQ(witness.seen.size(), 1u);
  return witness.seen.at(0);
}

const Divergence::Tensor& tensor(const Divergence& divergence, std::string_view name) {
  for (const Divergence::Tensor& each : divergence.tensors)
    if (each.name == name) return each;
  throw std::logic_error("no tensor " + std::string(name));
}

TEST(Divergence, NamesStepRowsAndValues) {
  const Config config = exploding_config();
  const Dataset data = small_data(37);
  Trainer trainer(config, data, make_cpu_device(1));
  const std::vector<float> start = trainer.model().arena.weights.download();
  const Divergence found = diverged(trainer);
  EXPECT_TRUE(found.repeated);
  EXPECT_EQ(found.what, "loss");
  EXPECT_EQ(found.step.step, 2u);
  EXPECT_EQ(found.step.epoch, 1u);
  EXPECT_EQ(found.good_step, 0u);
  EXPECT_EQ(found.step.learning_rate, 1e6);
  ASSERT_EQ(found.before.size(), 1u);
  EXPECT_EQ(found.before[0].step, 1u);
  EXPECT_FALSE(found.learning_rate_factor);
  EXPECT_TRUE(same_bits(trainer.model().arena.weights.download(), start))
      << "not restored to the good state";

  // A second training gives the rows of the second batch and the weights before that step.
  SmallTraining twin(config, data);
  twin.model.set_weights(start);
  twin.step();
  const std::vector<float> weights = twin.weights();
  twin.step();
  EXPECT_EQ(found.rows, twin.pass.batch_rows());
  EXPECT_EQ(found.rows.size(), 8u);
  const auto* rows = static_cast<const float*>(data.split("train").rows);
  double largest = 0.0;
  for (const uint32_t row : found.rows)
    for (int64_t i = 0; i < kSmallDim; ++i)
      largest = std::max(largest, std::abs(static_cast<double>(rows[row * kSmallDim + i])));
  EXPECT_EQ(found.largest_value, largest);
  EXPECT_EQ(found.tensors.size(), twin.model.architecture.layout().parameters().size());
  for (const Parameter& p : twin.model.architecture.layout().parameters()) {
    float most = 0.0f;
    for (int64_t i = p.offset; i < p.offset + p.count(); ++i)
      most = std::max(most, std::abs(weights[static_cast<size_t>(i)]));
    EXPECT_EQ(tensor(found, p.name).largest_weight, most) << p.name;
    EXPECT_EQ(tensor(found, p.name).weights_not_finite, 0) << p.name;
  }
}

/// Sets weights for which the loss is finite but the gradient of the decoder's last weights is not:
/// hidden units of 1e21, multiplied by zero weights, and an output of 1e18.
void make_gradients_overflow(Trainer& trainer) {
  std::vector<float> weights(trainer.model().arena.weights.size(), 0.0f);
  const auto fill = [&](const char* name, float value) {
    const Parameter* p = trainer.model().architecture.layout().find(name);
    ASSERT_NE(p, nullptr) << name;
    std::fill_n(weights.begin() + p->offset, p->count(), value);
  };
  fill("decoder.1.bias", 1e21f);
  fill("likelihood.bias", 1e18f);
  trainer.model().set_weights(weights);
}

TEST(Divergence, IsDetectedInGradientsBeforeTheLoss) {
  Config config = exploding_config();
  config.learning_rate = 1e-3;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  make_gradients_overflow(trainer);
  const Divergence found = diverged(trainer);
  EXPECT_TRUE(found.repeated);
  EXPECT_EQ(found.what, "gradients");
  EXPECT_EQ(found.step.step, 1u);
  EXPECT_GT(tensor(found, "likelihood.weight").gradients_not_finite, 0);
  EXPECT_EQ(tensor(found, "likelihood.bias").gradients_not_finite, 0);
  EXPECT_EQ(tensor(found, "decoder.1.bias").largest_weight, 1e21f);
  EXPECT_NE(describe(found).find("its gradients are not finite"), std::string::npos);
}

// The loss of the last step is finite, but its updated weights are not and must not be saved.
TEST(Divergence, LeavesNoNonFiniteCheckpoint) {
  const TemporaryDirectory directory;
  Config config = exploding_config();
  config.learning_rate = 1e-3;
  config.steps = 1;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  make_gradients_overflow(trainer);
  RunDirectory run = RunDirectory::create(directory / "run", config);
  expect_error<DivergenceError>([&] { trainer.train(&run); },
                                {"diverged at step 1:", "gradients are not finite"});
  EXPECT_TRUE(std::filesystem::is_empty(directory / "run/checkpoints"));

  const Json json = Json::parse(read_bytes(run.divergence_file()));
  EXPECT_EQ(run.divergence_file().filename(), "divergence-1.json");
  EXPECT_EQ(json.at("step"), 1);
  EXPECT_EQ(json.at("not_finite"), "gradients");
  EXPECT_EQ(json.at("rows").size(), 8u);
  EXPECT_TRUE(json.at("largest_input").at("value").is_number());
  EXPECT_EQ(json.at("goes_on"), false);
  EXPECT_GT(json.at("tensors").size(), 4u);
}

// With clipping, the gradient norm reveals non-finite gradients in the step that computes them.
TEST(Divergence, IsDetectedByTheClippingNorm) {
  Config config = exploding_config();
  config.learning_rate = 1e-3;
  config.clip_norm = 1.0;
  config.steps = 1;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  make_gradients_overflow(trainer);
  const Divergence found = diverged(trainer);
  EXPECT_EQ(found.step.step, 1u);
  ASSERT_TRUE(found.step.gradient_norm);
  EXPECT_FALSE(std::isfinite(*found.step.gradient_norm));
  EXPECT_EQ(found.what, "loss");
}

/// Returns settings whose learning rate is far too high even after all rollbacks.
Config rolling_config() {
  Config config = exploding_config();
  config.on_divergence = OnDivergence::rollback;
  return config;
}

TEST(Divergence, RollbacksAreLimited) {
  Trainer trainer(rolling_config(), small_data(37), make_cpu_device(1));
  Witness witness;
  expect_error<DivergenceError>([&] { trainer.train(&witness); }, {"diverged at step 2:"});
  ASSERT_EQ(witness.seen.size(), kMostRollbacks + 1);
  for (size_t i = 0; i <= kMostRollbacks; ++i) {
    EXPECT_EQ(witness.seen[i].learning_rate_factor.has_value(), i < kMostRollbacks);
    EXPECT_EQ(witness.seen[i].step.learning_rate, std::ldexp(1e6, -static_cast<int>(i)));
  }
}

/// Returns settings whose learning rate is too high at first, and low enough after some rollbacks.
/// The report after 20 steps is a state to roll back to.
Config recovering_config() {
  Config config = rolling_config();
  config.learning_rate = 0.5;
  config.epochs = 8;
  config.report_epochs = 4;
  return config;
}

TEST(Divergence, ContinuesWithASmallerLearningRate) {
  const TemporaryDirectory directory;
  const Config config = recovering_config();
  const Dataset data = small_data(37);
  Trainer trainer(config, data, make_cpu_device(1));
  Witness witness;
  EXPECT_EQ(trainer.train(&witness), TrainingEnd::completed);
  ASSERT_GE(witness.seen.size(), 1u) << "it did not diverge";
  const uint64_t rollbacks = trainer.progress().rollbacks;
  EXPECT_EQ(rollbacks, witness.seen.size());
  EXPECT_EQ(witness.reports.back().training.learning_rate,
            std::ldexp(config.learning_rate, -static_cast<int>(rollbacks)));
  EXPECT_EQ(witness.reports.size(), 2u);
  EXPECT_TRUE(trainer.state().finite());

  // Interrupted at the first report and resumed, it ends in the same state.
  trainer.save(directory / "end");
  class Stopper : public TrainingObserver {
   public:
    void on_report(const TrainingReport&, const Trainer&) override { stops = true; }
    bool wants_stop() override { return stops; }
    bool stops = false;
  };
  Trainer half(config, data, make_cpu_device(1));
  Stopper stopper;
  EXPECT_EQ(half.train(&stopper), TrainingEnd::interrupted);
  save_checkpoint(directory / "half", half.config(), half.model(), half.state());
  Trainer resumed(config, data, make_cpu_device(1));
  resumed.restore(directory / "half");
  EXPECT_EQ(resumed.train(), TrainingEnd::completed);
  resumed.save(directory / "resumed");
  EXPECT_EQ(read_bytes(directory / "resumed"), read_bytes(directory / "end"));
}

// The metrics of steps that are rolled back are removed.
TEST(Divergence, RollbackRemovesMetrics) {
  const TemporaryDirectory directory;
  Config config = recovering_config();
  config.metrics_interval = 1;
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  RunDirectory run = RunDirectory::create(directory / "run", config);
  trainer.train(&run);
  std::ifstream lines(directory / "run/metrics.jsonl");
  uint64_t step = 0;
  for (std::string line; std::getline(lines, line);)
    EXPECT_EQ(Json::parse(line).at("step").get<uint64_t>(), ++step);
  EXPECT_EQ(step, trainer.total_steps());
}

// Steps are deterministic: if replaying does not reproduce an error, the training did not cause it.
TEST(Divergence, ReportsIrreproducibleSteps) {
  class Saboteur : public Witness {
   public:
    explicit Saboteur(Trainer& trainer) : trainer_(trainer) {}
    void on_report(const TrainingReport& report, const Trainer&) override {
      if (report.training.step != 5) return;
      std::vector<float> weights = trainer_.model().arena.weights.download();
      weights[0] = std::numeric_limits<float>::quiet_NaN();
      trainer_.model().set_weights(weights);
    }

   private:
    Trainer& trainer_;
  };
  Config config = small_config();
  Trainer trainer(config, small_data(37), make_cpu_device(1));
  Saboteur saboteur(trainer);
  expect_error<DivergenceError>(
      [&] { trainer.train(&saboteur); },
      {"diverged at step 6:", "replaying from step 5", "faulty hardware"});
  ASSERT_EQ(saboteur.seen.size(), 1u);
  EXPECT_FALSE(saboteur.seen[0].repeated);
  EXPECT_TRUE(saboteur.seen[0].tensors.empty());
}

}  // namespace
}  // namespace elbo

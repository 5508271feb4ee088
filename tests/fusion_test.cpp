// An optimizer update fused with the op that computes its gradients is bitwise equal to a separate
// one. Only gradients that no other op needs are fused.
#include "kernels/cpu/fusion.hpp"

#include "tests/compositions.hpp"

namespace elbo {
namespace {

struct Trained {
  std::vector<float> weights, first_moments, second_moments;
  bool operator==(const Trained&) const = default;
};

Trained train(const Composed& parts, const Config& config, bool keep_gradients, int threads) {
  const Dataset data = labelled_data(13, parts.sample_shape);
  Model model(config, signature_of(config, data), make_cpu_device(threads),
              Model::Purpose::training);
  model.set_weights(model.architecture.initial_weights(1, nullptr));
  TrainingPass pass(model, data.split("train"),
                    {.plan = step_plan(config, data.split("train").size()),
                     .optimizer = config,
                     .keep_gradients = keep_gradients});
  const auto updates = cpu::updates_with_gradients(pass.program());
  const bool fused = std::ranges::any_of(updates, [](int update) { return update >= 0; });
  const bool dense = std::ranges::any_of(pass.program(), [](const Op& op) {
    return std::holds_alternative<DenseBackwardWeights>(op);
  });
  EXPECT_EQ(fused, dense && !keep_gradients && config.clip_norm == 0.0) << parts.name;
  pass.run(5);
  return {model.arena.weights.download(), model.arena.first_moments.download(),
          model.arena.second_moments.download()};
}

class Fusion : public testing::TestWithParam<Composed> {};

TEST_P(Fusion, IsBitwiseExact) {
  Config config = composed_config(GetParam());
  config.learning_rate = 0.01;
  for (const double clip_norm : {0.0, 0.1}) {
    config.clip_norm = clip_norm;
    const Trained apart = train(GetParam(), config, true, 1);
    EXPECT_EQ(train(GetParam(), config, false, 1), apart);
    EXPECT_EQ(train(GetParam(), config, false, 3), apart);
  }
}
INSTANTIATE_TEST_SUITE_P(Compositions, Fusion, testing::ValuesIn(kCompositions),
                         [](const auto& parts) { return std::string(parts.param.name); });

TEST(Fusion, IsBitwiseExactForEveryOptimizer) {
  const Composed& parts = kCompositions[3];
  Config config = composed_config(parts);
  for (const std::string_view optimizer : math::Optimizers::names) {
    apply_setting(config, "optimizer", optimizer);
    config.learning_rate = 0.01;
    EXPECT_EQ(train(parts, config, false, 2), train(parts, config, true, 1)) << optimizer;
  }
}

/// A program of a layer's gradients, optional ops, and the update of the layer's parameters. The
/// weights and the bias are contiguous.
class FusedProgram : public testing::Test {
 protected:
  static constexpr int32_t kIn = 3, kOut = 2, kBatch = 4, kParameters = kIn * kOut + kOut;

  FusedProgram() {
    gradient_.rows = {&state_, kBatch, 1};
    gradient_.in = kIn;
    gradient_.out = kOut;
    gradient_.grad_y = grad_y_;
    gradient_.x = x_;
    gradient_.grad_weight = grad_;
    gradient_.grad_bias = grad_ + kIn * kOut;
    update_.state = &state_;
    update_.count = kParameters;
    update_.weight = weight_;
    update_.grad = grad_;
    update_.first_moment = moment_;
    update_.only_reader = true;
  }
  /// Returns true if the update is fused when the ops `between` separate it from the gradients.
  bool is_fused(const Program& between = {}) const {
    Program program = {gradient_};
    program.insert(program.end(), between.begin(), between.end());
    program.push_back(update_);
    const std::vector<int> updates = cpu::updates_with_gradients(program);
    for (size_t i = 1; i < updates.size(); ++i) EXPECT_EQ(updates[i], -1);
    return updates.front() == static_cast<int>(program.size()) - 1;
  }

  StepState state_;
  float x_[kBatch * kIn] = {}, grad_y_[kBatch * kOut] = {}, other_[kBatch * kIn] = {};
  float weight_[kParameters] = {}, grad_[kParameters] = {}, moment_[kParameters] = {};
  DenseBackwardWeights gradient_;
  OptimizerUpdate update_;
};

TEST_F(FusedProgram, FusesPastUnrelatedOps) {
  EXPECT_TRUE(is_fused());
  DenseBackwardInput reads_weights;
  reads_weights.rows = gradient_.rows;
  reads_weights.in = kIn;
  reads_weights.out = kOut;
  reads_weights.grad_y = grad_y_;
  reads_weights.weight = weight_;
  reads_weights.grad_x = other_;
  EXPECT_TRUE(is_fused({reads_weights}));
}

TEST_F(FusedProgram, KeepsGradientsThatOthersRead) {
  update_.only_reader = false;
  EXPECT_FALSE(is_fused());
  update_.only_reader = true;
  EXPECT_FALSE(is_fused({SquaredNorm{.count = kParameters, .x = grad_, .partial = other_}}));
}

TEST_F(FusedProgram, KeepsGradientsWhoseOperandsAreOverwritten) {
  EXPECT_FALSE(is_fused({RandomFill{.count = kBatch * kIn, .out = x_}}));
  EXPECT_TRUE(is_fused({RandomFill{.count = kBatch * kIn, .out = other_}}));
}

TEST_F(FusedProgram, KeepsAccumulatedGradients) {
  gradient_.accumulate = true;
  EXPECT_FALSE(is_fused());
}

TEST_F(FusedProgram, KeepsClippedGradients) {
  update_.clip_norm = 1.0f;
  update_.squared_norm = other_;
  EXPECT_FALSE(is_fused());
}

TEST_F(FusedProgram, KeepsGradientsOfPartialUpdates) {
  update_.count = kParameters - 1;
  EXPECT_FALSE(is_fused());
}

}  // namespace
}  // namespace elbo

// A training on CUDA equals the CPU's: the same noise and order of rows, and results that differ by
// at most the effect of one rounding on a training.
#include <cmath>

#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

constexpr int kSteps = 100;

Config config_of(std::string_view optimizer) {
  Config config = small_config();
  config.precision = ChosenPrecision::fp32;
  apply_setting(config, "optimizer", optimizer);
  config.learning_rate = 2e-3;
  return config;
}

struct History {
  std::vector<double> losses;
  std::vector<float> weights;
};

/// `shake` times the rounding of a float is added to each weight before the first step, with a sign
/// that depends on `seed`.
History train(const std::shared_ptr<Device>& device, const Config& config, double shake,
              unsigned seed) {
  SmallTraining training(config, small_data(21), device);  // three batches an epoch, 8, 8 and 5
  std::vector<float> weights = training.weights();
  const std::vector<float> signs = uniform_floats(weights.size(), -1.0f, 1.0f, seed);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] += static_cast<float>(std::copysign(shake * 0x1p-24, signs[i]) * weights[i]);
  training.model.set_weights(weights);
  History run;
  for (int i = 0; i < kSteps; ++i) {
    const StepRecord record = training.step();
    run.losses.push_back(static_cast<double>(record.terms[0]) + record.terms[1]);
  }
  run.weights = training.weights();
  return run;
}

// Each step's sums are rounded otherwise, by some units in the last place of the gradients; the
// effect of such a rounding on later steps is measured by a perturbation of the first step on the
// CPU. A hundred steps add a hundred of them.
TEST(TrainingCuda, AgreesWithTheCpuForAHundredSteps) {
  const std::shared_ptr<Device> cuda = device_under_test(), cpu = make_cpu_device(1);
  for (const std::string_view optimizer : {"sgd", "adam"}) {
    SCOPED_TRACE(optimizer);
    const Config config = config_of(optimizer);
    const History got = train(cuda, config, 0.0, 1), want = train(cpu, config, 0.0, 1);
    constexpr double kShake = 8.0;  // units in the last place
    double drift = 0.0;             // so far
    for (const unsigned seed : {2u, 3u, 4u}) {
      const History shaken = train(cpu, config, kShake, seed);
      for (size_t i = 0; i < kSteps; ++i)
        drift = std::max(drift, std::abs(shaken.losses[i] - want.losses[i]));
    }
    for (size_t i = 0; i < kSteps; ++i)
      ASSERT_LE(std::abs(got.losses[i] - want.losses[i]),
                static_cast<double>(i + 1) * drift + 0x1p-22 * std::abs(want.losses[i]))
          << "step " << i + 1;
    const double moved = std::abs(want.losses.front() - want.losses.back());
    EXPECT_GT(moved, 100.0 * kSteps * drift) << "the comparison above shows nothing";
  }
}

TEST(TrainingCuda, RepeatsToTheBit) {
  const std::shared_ptr<Device> cuda = device_under_test();
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    Config config = config_of("adam");
    apply_setting(config, "precision", precision);
    const History one = train(cuda, config, 0.0, 1), other = train(cuda, config, 0.0, 1);
    EXPECT_TRUE(same_bits(one.weights, other.weights)) << precision;
    EXPECT_EQ(one.losses, other.losses) << precision;
  }
}

// Noise and order are bitwise equal for any precision of products.
TEST(TrainingCuda, DrawsTheCpusBatches) {
  const std::shared_ptr<Device> cuda = device_under_test(), cpu = make_cpu_device(1);
  const auto batches = [](const std::shared_ptr<Device>& device) {
    Config config = config_of("adam");
    SmallTraining training(config, small_data(21), device);
    std::vector<float> seen;
    for (int i = 0; i < 4; ++i) {
      const int32_t rows = training.step().rows;
      const GatherBatch& gather = training.op<GatherBatch>();
      for (const float x : training.read(gather.x, int64_t{rows} * kSmallDim)) seen.push_back(x);
    }
    return seen;
  };
  EXPECT_TRUE(same_bits(batches(cuda), batches(cpu)));
}

}  // namespace
}  // namespace elbo

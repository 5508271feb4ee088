// Models with every combination of parts train on CUDA as on the CPU: every reported term of every
// step agrees within the drift that a rounding error of the initial weights causes on the CPU.
#include <cmath>

#include "tests/compare.hpp"
#include "tests/compositions.hpp"
#include "tests/cuda_backends.hpp"

namespace elbo {
namespace {

constexpr int kSteps = 12;

struct History {
  std::vector<std::vector<double>> terms;  // [steps, terms]
  std::vector<float> weights;
};

/// Trains kSteps steps. Before the first, each weight is perturbed by `shake` float roundings
/// (2^-24, relative) with a sign that depends on `seed`.
History run_training(const std::shared_ptr<Device>& device, const Config& config,
                     const Shape& shape, double shake, unsigned seed) {
  SmallTraining training(config, labelled_data(21, shape), device);  // batches of 8, 8 and 5
  std::vector<float> weights = training.weights();
  const std::vector<float> signs = uniform_floats(weights.size(), -1.0f, 1.0f, seed);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] += static_cast<float>(std::copysign(shake * 0x1p-24, signs[i]) * weights[i]);
  training.model.set_weights(weights);
  History run;
  const size_t count = training.pass.terms().size();
  for (int i = 0; i < kSteps; ++i) {
    const StepRecord record = training.step();
    run.terms.emplace_back(record.terms, record.terms + count);
  }
  run.weights = training.weights();
  return run;
}

class CompositionCuda : public testing::TestWithParam<Composed> {
 protected:
  Config config(const char* precision) const {
    Config config = composed_config(GetParam());
    apply_setting(config, "precision", precision);
    config.optimizer = math::Optimizer::of<math::Sgd>();  // Adam would amplify the rounding of a
                                                          // tiny gradient to a full step
    config.learning_rate = 0.01;
    return config;
  }
  History train(const std::shared_ptr<Device>& device, const char* precision, double shake = 0.0,
                unsigned seed = 1) const {
    return run_training(device, config(precision), GetParam().sample_shape, shake, seed);
  }
};

TEST_P(CompositionCuda, AgreesWithTheCpu) {
  const std::shared_ptr<Device> cuda = device_under_test(), cpu = make_cpu_device(1);
  const History got = train(cuda, "fp32"), want = train(cpu, "fp32");
  constexpr double kShake = 8.0;  // roundings
  std::vector<double> drift(want.terms.front().size());
  for (const unsigned seed : {2u, 3u, 4u}) {
    const History shaken = train(cpu, "fp32", kShake, seed);
    for (size_t i = 0; i < kSteps; ++i)
      for (size_t t = 0; t < drift.size(); ++t)
        drift[t] = std::max(drift[t], std::abs(shaken.terms[i][t] - want.terms[i][t]));
  }
  for (size_t i = 0; i < kSteps; ++i)
    for (size_t t = 0; t < drift.size(); ++t)
      ASSERT_LE(
          std::abs(got.terms[i][t] - want.terms[i][t]),
          static_cast<double>(i + 1) * drift[t] + 0x1p-22 * (std::abs(want.terms[i][t]) + 1.0))
          << "step " << i + 1 << ", term " << t;
  double moved = 0.0;
  for (size_t t = 0; t < drift.size(); ++t)
    moved = std::max(moved, std::abs(want.terms.front()[t] - want.terms[3][t]));
  EXPECT_GT(moved, 1e-3) << "too little training for a comparison";
}

TEST_P(CompositionCuda, TrainsInEveryPrecision) {
  const std::shared_ptr<Device> cuda = device_under_test(), cpu = make_cpu_device(1);
  const History want = train(cpu, "fp32");
  for (const char* precision : {"tf32", "bf16"}) {
    SCOPED_TRACE(precision);
    const History one = train(cuda, precision);
    // In the first step, each of at most eight layers (sixteen with residual blocks) rounds its
    // values by 2^-9.
    const double layers = composed_config(GetParam()).residual_blocks > 0 ? 16.0 : 8.0;
    for (size_t t = 0; t < want.terms.front().size(); ++t) {
      const double exact = want.terms[0][t];
      const bool counted = exact == std::round(8.0 * exact) / 8.0;  // a fraction of eight rows
      if (!counted) {
        EXPECT_NEAR(one.terms[0][t], exact, layers * 0x1p-8 * (std::abs(exact) + 1.0)) << t;
      }
    }
    EXPECT_TRUE(same_bits(one.weights, train(cuda, precision).weights));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CompositionCuda, testing::ValuesIn(kCompositions),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace elbo

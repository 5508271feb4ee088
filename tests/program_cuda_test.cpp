// Whole training steps: a small VAE written directly in ops, every kind of which takes part,
// trained through the end of an epoch by the CUDA executions and by the CPU.
#include <cstdint>

#include "kernels/program.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

constexpr int32_t kData = 20, kHidden = 12, kLatent = 3, kSamples = 2, kBatch = 8;
constexpr uint32_t kRows = 21;  // the third batch has 5
constexpr int kSteps = 3;
constexpr float kLearningRate = 0.01f, kEpsilon = 0.01f;

/// Places of the parameters in the arena.
struct Layer {
  int32_t in, out;
  int64_t weight, bias;
};
constexpr Layer kEncoder = {kData, kHidden, 0, kHidden* kData};
constexpr Layer kPosterior = {kHidden, 2 * kLatent, kEncoder.bias + kHidden,
                              kEncoder.bias + kHidden + 2 * kLatent* kHidden};
constexpr Layer kDecoder = {kLatent, kHidden, kPosterior.bias + 2 * kLatent,
                            kPosterior.bias + 2 * kLatent + kHidden* kLatent};
constexpr Layer kOutput = {kHidden, kData, kDecoder.bias + kHidden,
                           kDecoder.bias + kHidden + kData* kHidden};
constexpr int64_t kLogVariance = kOutput.bias + kData;
constexpr int64_t kParameters = kLogVariance + 1;

struct Trained {
  std::vector<float> weights;
  std::vector<StepRecord> records;
};

class TinyVae {
 public:
  explicit TinyVae(const std::shared_ptr<Device>& device) : w_(device) {
    plan_.row_count = kRows;
    plan_.batch_rows = kBatch;
    plan_.learning_rate.base = kLearningRate;
    state_ = w_.put(std::vector{plan_.at(0)});
    weights_ = w_.put(initial_weights());
    grads_ = w_.output<float>(kParameters);
  }

  static std::vector<float> initial_weights() {
    return uniform_floats(kParameters, -0.4f, 0.4f, 1);
  }

  Trained train() {
    record();
    w_.run(program_, kSteps);
    return {w_.get(weights_, kParameters), w_.get(ring_, kSteps)};
  }

 private:
  float* tensor(Rows rows, int32_t columns) {
    return w_.output<float>(static_cast<size_t>(rows.capacity() * columns));
  }
  void forward(const Layer& l, Rows rows, math::Activation activation, const float* x, float* y,
               float* preactivation = nullptr) {
    program_.push_back(DenseForward{rows, l.in, l.out, activation, x, weights_ + l.weight,
                                    weights_ + l.bias, y, preactivation});
  }
  void backward_weights(const Layer& l, Rows rows, const float* grad_y, const float* x) {
    program_.push_back(
        DenseBackwardWeights{rows, l.in, l.out, grad_y, x, grads_ + l.weight, grads_ + l.bias});
  }
  void backward_input(const Layer& l, Rows rows, math::Activation activation, const float* grad_y,
                      const float* saved, float* grad_x) {
    program_.push_back(DenseBackwardInput{rows, l.in, l.out, activation, grad_y,
                                          weights_ + l.weight, saved, grad_x});
  }

  void record() {
    const auto identity = math::Activation::of<math::Identity>();
    const auto silu = math::Activation::of<math::Silu>();
    const auto tanh = math::Activation::of<math::Tanh>();
    const Rows inputs = {state_, kBatch, 1}, rows = {state_, kBatch, kSamples};

    std::vector<uint8_t> data;
    for (const float value : uniform_floats(kRows * kData, 0.0f, 256.0f, 2))
      data.push_back(static_cast<uint8_t>(value));
    GatherBatch gather;
    gather.rows = w_.put(data);
    gather.count = kRows;
    gather.columns = kData;
    gather.shuffle = true;
    gather.view = DataView::dequantized;
    gather.seed = 3;
    gather.batch = inputs;
    gather.x = tensor(inputs, kData);
    gather.row_ids = w_.output<uint32_t>(kBatch);
    program_.push_back(gather);

    float* hidden = tensor(inputs, kHidden);
    float* hidden_input = tensor(inputs, kHidden);
    float* posterior = tensor(inputs, 2 * kLatent);
    forward(kEncoder, inputs, silu, gather.x, hidden, hidden_input);
    forward(kPosterior, inputs, identity, hidden, posterior);
    const PosteriorView view = {posterior, posterior + kLatent, 2 * kLatent, 2 * kLatent};
    const EpsilonSource epsilon = {4, gather.row_ids, nullptr};
    float *z = tensor(rows, kLatent), *kl = tensor(inputs, 1);
    program_.push_back(LatentForward{inputs, kSamples, kLatent, view, epsilon, z, kl});

    float *decoded = tensor(rows, kHidden), *output = tensor(rows, kData);
    forward(kDecoder, rows, tanh, z, decoded);
    forward(kOutput, rows, identity, decoded, output);
    float *nll = tensor(rows, 1), *grad_log_variance = tensor(rows, 1);
    program_.push_back(LikelihoodTerms{.likelihood = math::Likelihood::of<math::GaussianShared>(),
                                       .inputs = inputs,
                                       .samples = kSamples,
                                       .columns = kData,
                                       .x = gather.x,
                                       .output = output,
                                       .log_variance = weights_ + kLogVariance,
                                       .nll = nll,
                                       .grad_log_variance = grad_log_variance});
    program_.push_back(ColumnSum{rows, 1, grad_log_variance, grads_ + kLogVariance});

    float *grad_decoded = tensor(rows, kHidden), *grad_z = tensor(rows, kLatent);
    backward_weights(kOutput, rows, output, decoded);
    backward_input(kOutput, rows, tanh, output, decoded, grad_decoded);
    backward_weights(kDecoder, rows, grad_decoded, z);
    backward_input(kDecoder, rows, identity, grad_decoded, nullptr, grad_z);
    float *grad_posterior = tensor(inputs, 2 * kLatent), *grad_hidden = tensor(inputs, kHidden);
    program_.push_back(LatentBackward{.inputs = inputs,
                                      .samples = kSamples,
                                      .latent = kLatent,
                                      .posterior = view,
                                      .epsilon = epsilon,
                                      .grad_z = grad_z,
                                      .grad_mu = grad_posterior,
                                      .grad_logvar = grad_posterior + kLatent,
                                      .grad_mu_stride = 2 * kLatent,
                                      .grad_logvar_stride = 2 * kLatent});
    backward_weights(kPosterior, inputs, grad_posterior, hidden);
    backward_input(kPosterior, inputs, silu, grad_posterior, hidden_input, grad_hidden);
    backward_weights(kEncoder, inputs, grad_hidden, gather.x);

    float* norm = w_.output<float>(1);
    program_.push_back(SquaredNorm{kParameters, grads_, norm});
    OptimizerUpdate update;
    update.optimizer = math::Optimizer::of<math::Adam>();
    update.settings.epsilon = kEpsilon;
    update.state = state_;
    update.count = kParameters;
    update.weight = weights_;
    update.grad = grads_;
    update.first_moment = w_.put(std::vector<float>(kParameters));
    update.second_moment = w_.put(std::vector<float>(kParameters));
    update.clip_norm = 1.0f;
    update.squared_norm = norm;
    ring_ = w_.put(std::vector<StepRecord>(kSteps));
    auto* scratch = w_.put(std::vector<StepScratch>(1));
    update.end = {plan_, inputs, {{nll, kSamples}, {kl, 1}}, ring_, kSteps, scratch};
    program_.push_back(update);
  }

  Workspace w_;
  StepPlan plan_;
  Program program_;
  StepState* state_ = nullptr;
  float *weights_ = nullptr, *grads_ = nullptr;
  StepRecord* ring_ = nullptr;
};

class CudaProgram : public CudaTest {};
ELBO_INSTANTIATE_CUDA_TEST(CudaProgram);

TEST_P(CudaProgram, TrainsAsTheCpuDoes) {
  const Trained got = TinyVae(cuda_).train(), want = TinyVae(cpu_).train();

  // The clipped gradient has norm 1, and each element of it sums at most batch * samples * data
  // terms. Adam divides it by no less than epsilon, so that a step moves a weight by no more than
  // learning rate / epsilon times what the gradients differ by; and so on over the steps.
  const double step_bound = kLearningRate / kEpsilon * sum_bound(kBatch * kSamples * kData, 1.0);
  EXPECT_TRUE(
      within(got.weights, want.weights, std::vector<double>(kParameters, kSteps * step_bound)));
  double moved = 0.0;
  const std::vector<float> initial = TinyVae::initial_weights();
  for (size_t i = 0; i < initial.size(); ++i)
    moved = std::max<double>(moved, std::abs(want.weights[i] - initial[i]));
  EXPECT_GT(moved, 100 * step_bound) << "the comparison above shows nothing";

  for (size_t i = 0; i < kSteps; ++i) {
    SCOPED_TRACE(i);
    const StepRecord &g = got.records[i], &w = want.records[i];
    EXPECT_EQ(g.step, i + 1);
    EXPECT_EQ(g.rows, i == 2 ? 5 : kBatch);
    EXPECT_EQ(g.epoch, w.epoch);
    EXPECT_EQ(g.learning_rate, w.learning_rate);
    const auto near = [](float a, float b, double magnitude) {
      return within({a}, {b}, {kSteps * sum_bound(kBatch * kSamples * kData, magnitude)});
    };
    EXPECT_TRUE(near(g.terms[0], w.terms[0], kData * std::abs(w.terms[0])));
    EXPECT_TRUE(near(g.terms[1], w.terms[1], w.terms[1]));
    EXPECT_TRUE(near(g.gradient_norm, w.gradient_norm, w.gradient_norm));
  }
}

// A product may load its weights before the kernel ahead of it has ended, unless that one updates
// them: here the update of one run and the product of the next one, with and without a kernel in
// between. All sums are exact.
TEST_P(CudaProgram, ProductsReadUpdatedWeights) {
  constexpr int32_t kSize = 8;
  constexpr uint64_t kRuns = 32;
  for (const bool kernel_between : {false, true}) {
    const auto run = [&](const std::shared_ptr<Device>& device) {
      Workspace w(device);
      StepState state;
      state.rows = kSize;
      state.learning_rate = 0x1p-4f;
      OptimizerUpdate update;
      update.optimizer = math::Optimizer::of<math::Sgd>();
      update.settings.momentum = 0.0f;
      update.state = w.put(std::vector{state});
      update.count = kSize * kSize;
      update.weight = w.put(odd_eighths(kSize * kSize, 1));
      update.grad = w.put(odd_eighths(kSize * kSize, 2));
      update.first_moment = w.put(std::vector<float>(kSize * kSize));
      const Rows rows = {update.state, kSize, 1};
      const auto identity = math::Activation::of<math::Identity>();
      auto* x = w.put(odd_eighths(kSize * kSize, 3));
      auto* y = w.output<float>(kSize * kSize);
      auto* grad_x = w.output<float>(kSize * kSize);
      auto* bias = w.put(odd_eighths(kSize, 4));
      Program program = {
          DenseForward{rows, kSize, kSize, identity, x, update.weight, bias, y, nullptr},
          DenseBackwardInput{rows, kSize, kSize, identity, x, update.weight, nullptr, grad_x},
          update};
      if (kernel_between) {
        RandomFill fill;
        fill.count = 1;
        fill.out = w.output<float>(1);
        program.push_back(fill);
      }
      w.run(program, kRuns);
      return std::pair(w.get(y, kSize * kSize), w.get(grad_x, kSize * kSize));
    };
    const auto got = run(cuda_), want = run(cpu_);
    EXPECT_TRUE(same_bits(got.first, want.first)) << kernel_between;
    EXPECT_TRUE(same_bits(got.second, want.second)) << kernel_between;
  }
}

}  // namespace
}  // namespace elbo

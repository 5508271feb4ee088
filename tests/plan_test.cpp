// Properties derived from the memory accesses of ops: their order, the longest chain, and the state
// that a program carries from run to run. Also the size of a training step's graph, in which each
// node is one kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "cuda_emulation/fibers.hpp"
#include "host/train/training_pass.hpp"
#include "kernels/dataflow.hpp"
#include "tests/emulated_device.hpp"

namespace elbo {
namespace {

// Programs by hand, on arrays that nothing runs on. Sums of squares read one array and write
// another; random numbers only write.

struct Arrays {
  float a[64], b[64], c[64], d[64];
};
Arrays arrays;

Op write(float* out, int64_t count = 64) { return RandomFill{.count = count, .out = out}; }
/// One partial sum: writes a single element.
Op copy(const float* in, float* out, int64_t count = 64) {
  return SquaredNorm{.count = count, .x = in, .partial = out};
}

using Lists = std::vector<std::vector<int>>;

TEST(Dependencies, ReadsComeAfterWrites) {
  EXPECT_EQ(dependencies({write(arrays.a), copy(arrays.a, arrays.b)}), (Lists{{}, {0}}));
}

TEST(Dependencies, WritesComeAfterReads) {
  EXPECT_EQ(dependencies({copy(arrays.a, arrays.b), write(arrays.a)}), (Lists{{}, {0}}));
}

TEST(Dependencies, WritesComeAfterWrites) {
  EXPECT_EQ(dependencies({write(arrays.a), write(arrays.a)}), (Lists{{}, {0}}));
}

TEST(Dependencies, ReadsOfTheSameDoNotWait) {
  EXPECT_EQ(dependencies({copy(arrays.a, arrays.b), copy(arrays.a, arrays.c)}), (Lists{{}, {}}));
}

TEST(Dependencies, OtherMemoryDoesNotWait) {
  EXPECT_EQ(dependencies({write(arrays.a), write(arrays.b), copy(arrays.a, arrays.c)}),
            (Lists{{}, {}, {0}}));
}

TEST(Dependencies, PartsThatOverlapWaitAndNeighboursDoNot) {
  const Op first_half = write(arrays.a, 32);
  EXPECT_EQ(dependencies({first_half, copy(arrays.a + 31, arrays.b, 8)}), (Lists{{}, {0}}));
  EXPECT_EQ(dependencies({first_half, copy(arrays.a + 32, arrays.b, 8)}), (Lists{{}, {}}));
  EXPECT_EQ(dependencies({write(arrays.a + 32, 32), copy(arrays.a, arrays.b, 32)}),
            (Lists{{}, {}}));
}

TEST(Dependencies, LeaveOutWhatOthersImply) {
  // The last waits for the first too, through the one between.
  EXPECT_EQ(dependencies({write(arrays.a), copy(arrays.a, arrays.b), write(arrays.a)}),
            (Lists{{}, {0}, {1}}));
  // A chain, whose end touches what every link does.
  const Program chain = {write(arrays.a), copy(arrays.a, arrays.b), copy(arrays.b, arrays.c),
                         copy(arrays.c, arrays.a)};
  EXPECT_EQ(dependencies(chain), (Lists{{}, {0}, {1}, {2}}));
}

TEST(Dependencies, KeepEveryBranch) {
  const Program fork = {write(arrays.a), copy(arrays.a, arrays.b), copy(arrays.a, arrays.c),
                        write(arrays.a)};
  EXPECT_EQ(dependencies(fork), (Lists{{}, {0}, {0}, {1, 2}}));
}

TEST(CriticalPath, IsTheCostliestChain) {
  const Lists fork = {{}, {0}, {0}, {1, 2}, {}};
  EXPECT_EQ(critical_path(fork, {1, 1, 2, 1, 1}), (std::vector{0, 2, 3}));
  EXPECT_EQ(critical_path(fork, {1, 3, 2, 1, 1}), (std::vector{0, 1, 3}));
  EXPECT_EQ(critical_path(fork, {1, 3, 2, 1, 9}), (std::vector{4}));
  EXPECT_EQ(critical_path({}, {}), std::vector<int>());
}

/// The ranges joined where they overlap or touch.
std::vector<std::pair<uintptr_t, uintptr_t>> joined(const std::vector<Access>& accesses) {
  std::vector<std::pair<uintptr_t, uintptr_t>> sorted, result;
  for (const Access& access : accesses) sorted.emplace_back(access.begin, access.end);
  std::ranges::sort(sorted);
  for (const auto& range : sorted)
    if (result.empty() || range.first > result.back().second)
      result.push_back(range);
    else
      result.back().second = std::max(result.back().second, range.second);
  return result;
}
template <class T>
std::pair<uintptr_t, uintptr_t> range_of(const T* data, size_t count) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  return {begin, begin + count * sizeof(T)};
}

TEST(CarriedMemory, IsReadBeforeItIsWritten) {
  const auto carried = [](const Program& program) { return joined(carried_memory(program)); };
  using Ranges = std::vector<std::pair<uintptr_t, uintptr_t>>;
  const Ranges a = {range_of(arrays.a, 64)};
  EXPECT_EQ(carried({copy(arrays.a, arrays.b), write(arrays.a)}), a);
  EXPECT_EQ(carried({copy(arrays.a, arrays.b), copy(arrays.b, arrays.a)}), a);
  // Made anew in every run, or never changed.
  EXPECT_EQ(carried({write(arrays.a), copy(arrays.a, arrays.b)}), Ranges());
  EXPECT_EQ(carried({copy(arrays.a, arrays.b)}), Ranges());
  // Written in part.
  EXPECT_EQ(carried({copy(arrays.a, arrays.b), write(arrays.a + 60, 4)}), a);
}

// A training step of 784-400-z20 on the emulated device.

constexpr int64_t kBatch = 128, kTail = 5, kDim = 784;

Config step_config(std::string_view precision) {
  Config config;
  config.hidden = {400};
  config.latent_dim = 20;
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  config.binarize = Binarization::none;
  config.batch_size = kBatch;
  apply_setting(config, "precision", precision);
  return config;
}

/// An epoch of a full batch and one of kTail rows.
Dataset step_data() {
  return Dataset::from_rows(std::vector<uint8_t>((kBatch + kTail) * kDim, 77), {28, 28},
                            {.validation_fraction = 0.0});
}

struct Step {
  Dataset data;
  Model model;
  TrainingPass pass;

  Step(const Config& config, std::shared_ptr<Device> device, Dataset rows = step_data())
      : data(std::move(rows)),
        model(config, {data.sample_shape(), data.dtype()}, std::move(device),
              Model::Purpose::training),
        pass(model, data.split("train"),
             {.plan = step_plan(config, data.split("train").size()), .optimizer = config}) {
    model.set_weights(model.architecture.initial_weights(1, nullptr));
  }
};

/// Pictures of 6 x 8 through everything that networks of convolutions have.
Config picture_config(std::string_view precision) {
  Config config = step_config(precision);
  config.network = NetworkType::conv;
  config.channels = {4, 8};
  config.hidden = {6};
  config.latent_dim = 3;
  config.normalization = Normalization::group;
  config.residual_blocks = 1;
  config.activation = math::Activation::of<math::Silu>();
  config.batch_size = 8;
  return config;
}
Dataset picture_data() {
  return Dataset::from_rows(std::vector<uint8_t>(8 * 6 * 8 * 3, 77), {3, 6, 8},
                            {.validation_fraction = 0.0});
}

/// Counts launches, then leaves them to another executor.
class CountingExecutor {
 public:
  explicit CountingExecutor(cuda::emulation::Executor next) : next_(std::move(next)) {}
  void operator()(const cuda::emulation::Launch& launch) const {
    ++*count_;
    next_(launch);
  }
  /// Since the last call.
  int count() const { return std::exchange(*count_, 0); }

 private:
  cuda::emulation::Executor next_;
  std::shared_ptr<int> count_ = std::make_shared<int>(0);
};

/// The state that a step passes to the next: weights, moments, step state.
void expect_carried(const Step& step) {
  const auto& update = std::get<OptimizerUpdate>(step.pass.program().back());
  const Arena& arena = step.model.arena;
  std::vector<Access> wanted;
  const auto want = [&](const auto* data, size_t count) {
    const auto [begin, end] = range_of(data, count);
    wanted.push_back({.begin = begin, .end = end});
  };
  want(arena.weights.data(), arena.weights.size());
  want(arena.first_moments.data(), arena.first_moments.size());
  want(arena.second_moments.data(), arena.second_moments.size());
  want(update.state, 1);
  for (const Parameter& parameter : step.model.architecture.layout().parameters())
    if (!arena.weights_bf16.empty() && parameter.shape.size() > 1)  // biases and scales are floats
      want(arena.weights_bf16.data() + parameter.offset, static_cast<size_t>(parameter.count()));
  const std::vector<Access> carried = carried_memory(step.pass.program());
  EXPECT_EQ(joined(carried), joined(wanted));
  for (size_t i = 0; i < carried.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(carried[i].overlaps(carried[j])) << i << ", " << j;
}

class StepGraph : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Precisions, StepGraph, testing::Values("fp32", "tf32", "bf16"),
                         [](const auto& precision) { return std::string(precision.param); });

TEST_P(StepGraph, HasFewNodesAndAShortCriticalPath) {
  const Step step(step_config(GetParam()), make_emulated_device(cuda::emulation::FiberExecutor()));
  const Program& program = step.pass.program();
  EXPECT_LE(program.size(), 16u);
  const std::vector<double> unit(program.size(), 1.0);
  EXPECT_LE(critical_path(dependencies(program), unit).size(), 13u);
}

TEST_P(StepGraph, LaunchesOneKernelPerOpInFullAndTailBatches) {
  const CountingExecutor executor{cuda::emulation::FiberExecutor()};
  Step step(step_config(GetParam()), make_emulated_device(executor));
  const auto ops = static_cast<int>(step.pass.program().size());
  executor.count();
  step.pass.run(1);
  EXPECT_EQ(executor.count(), ops);
  // The next step op by op: nor are there two of one op for none of another.
  ASSERT_EQ(step.pass.plan().at(1).rows, kTail);
  for (const Op& op : step.pass.program()) {
    step.model.device->run({op});
    EXPECT_EQ(executor.count(), 1) << name_of(op);
  }
}

/// A convolution's gradients of weights add up their slices, and the bias gradient of a transposed
/// one, in kernels of their own.
TEST_P(StepGraph, OfPicturesLaunchesOneKernelPerOpButForGradientsOfConvolutions) {
  const CountingExecutor executor{cuda::emulation::FiberExecutor()};
  Step step(picture_config(GetParam()), make_emulated_device(executor), picture_data());
  executor.count();
  step.pass.run(1);
  executor.count();
  int convolutions = 0, transposed = 0;
  for (const Op& op : step.pass.program()) {
    step.model.device->run({op});
    int kernels = 1;
    if (const auto* gradient = std::get_if<ConvolutionBackwardWeights>(&op)) {
      ++convolutions;
      if (gradient->transposed) {
        ++transposed;
        ++kernels;
      }
    }
    EXPECT_EQ(executor.count(), kernels) << name_of(op);
  }
  EXPECT_GE(convolutions, 10);
  EXPECT_EQ(transposed, 2);
}

TEST_P(StepGraph, CarriesWeightsMomentsAndState) {
  for (const bool pictures : {false, true}) {
    const auto device = make_emulated_device(cuda::emulation::FiberExecutor());
    const Step step(pictures ? picture_config(GetParam()) : step_config(GetParam()), device,
                    pictures ? picture_data() : step_data());
    expect_carried(step);
  }
}

}  // namespace
}  // namespace elbo

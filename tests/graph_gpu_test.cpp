// Tests that need a GPU: the graph of a training step, which repeats to the bit for any number of
// steps per launch.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// Bernoulli, ReLU, a hidden layer of `width`.
Config config_of(int64_t width, int64_t latent, int64_t batch) {
  Config config;
  config.hidden = {width};
  config.latent_dim = latent;
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  config.batch_size = batch;
  return config;
}

Dataset bytes_of(int64_t rows, const Shape& shape) {
  const auto count = static_cast<size_t>(rows * element_count(shape));
  std::vector<uint8_t> bytes;
  for (const float value : uniform_floats(count, 0.0f, 256.0f, 1))
    bytes.push_back(static_cast<uint8_t>(value));
  return Dataset::from_rows(std::move(bytes), shape, {.validation_fraction = 0.0});
}

/// A model, its data, and how long tests train it.
struct Case {
  std::string name;
  Config config;
  int64_t rows;
  Shape shape;
  int steps;  // divisible by the numbers of steps that its tests run at once
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

/// The small ones also run on a simulated GPU, on which a step takes milliseconds.
bool is_simulated() {
  return make_cuda_device()->describe().find("Simulated") != std::string::npos;
}

std::vector<float> trained(const Case& of, const Config& config, int steps, int at_once) {
  SmallTraining training(config, bytes_of(of.rows, of.shape), make_cuda_device());
  for (int done = 0; done < steps; done += at_once)
    training.pass.run(static_cast<uint64_t>(at_once));
  return training.weights();
}

class GraphOf : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().name == "Large" && is_simulated())
      GTEST_SKIP() << "a step of this size takes a simulated GPU seconds";
  }
};
INSTANTIATE_TEST_SUITE_P(
    Graph, GraphOf,
    testing::Values(Case{"Small", config_of(8, 2, 8), 40, {4, 4}, 96},
                    Case{"Large", config_of(400, 20, 128), 1000, {28, 28}, 960}),
    [](const auto& of) { return of.param.name; });

// One node for each op that is not a library's product. A library's product may have several
// kernels, one of them for the remainder of the op.
TEST_P(GraphOf, HasSixteenNodesAStep) {
  const Case& of = GetParam();
  SmallTraining training(of.config, bytes_of(of.rows, of.shape), make_cuda_device());
  training.pass.run(64);
  size_t graphs = 0;
  for (const std::string& note : training.pass.notes()) {
    std::smatch found;
    const std::regex counts(
        "graph, .*: ([0-9]+) nodes( and ([0-9]+) of ([0-9]+) library products)?");
    if (!std::regex_search(note, found, counts)) continue;
    ++graphs;
    const size_t products = found[2].matched ? std::stoul(found[4].str()) : 0;
    EXPECT_LE(std::stoul(found[1].str()) + products, 16u) << note;
    const size_t library_nodes = found[2].matched ? std::stoul(found[3].str()) : 0;
    EXPECT_LE(library_nodes, 3 * products) << note;
  }
  EXPECT_GE(graphs, 2u);
}

TEST_P(GraphOf, UnrolledStepsAreTheSameSteps) {
  const Case& of = GetParam();
  const std::vector<float> one_by_one = trained(of, of.config, 48, 1);
  EXPECT_TRUE(same_bits(trained(of, of.config, 48, 48), one_by_one));
  EXPECT_TRUE(same_bits(trained(of, of.config, 48, 24), one_by_one));
}

TEST_P(GraphOf, ManyStepsRepeatToTheBit) {
  const Case& of = GetParam();
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    Config config = of.config;
    apply_setting(config, "precision", precision);
    EXPECT_TRUE(same_bits(trained(of, config, of.steps, 96), trained(of, config, of.steps, 32)))
        << precision;
  }
}

class GraphOfConvolutions : public GraphOf {};
Config convolutions(std::vector<int64_t> channels, int64_t width, int64_t batch) {
  Config config = config_of(width, 2, batch);
  config.network = NetworkType::conv;
  config.channels = std::move(channels);
  config.residual_blocks = 1;
  return config;
}
INSTANTIATE_TEST_SUITE_P(
    Graph, GraphOfConvolutions,
    testing::Values(Case{"Small", convolutions({2}, 4, 2), 20, {4, 4, 1}, 48},
                    Case{"Large", convolutions({16, 32}, 64, 128), 200, {16, 16, 3}, 96}),
    [](const auto& of) { return of.param.name; });

// Of stages and residual blocks, with whatever libraries convolve them.
TEST_P(GraphOfConvolutions, RepeatToTheBit) {
  const Case& of = GetParam();
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    Config config = of.config;
    apply_setting(config, "precision", precision);
    const std::vector<float> one_by_one = trained(of, config, of.steps, 1);
    EXPECT_TRUE(same_bits(trained(of, config, of.steps, 24), one_by_one)) << precision;
    EXPECT_TRUE(same_bits(trained(of, config, of.steps, 48), one_by_one)) << precision;
  }
}

// Pinning and unpinning memory wait for the GPU, so that a chunk of steps would wait for the last.
TEST(Downloads, ReuseTheirMemory) {
  const std::shared_ptr<Device> device = make_cuda_device();
  const Buffer<float> zeros(device, 16, "a test");
  Buffer<float> ones(device, 16, "a test");
  ones.upload(std::vector<float>(16, 1.0f));
  auto first = device->start_download(zeros.data(), 64);
  auto second = device->start_download(ones.data(), 64);
  const auto* zero = reinterpret_cast<const float*>(first->wait());
  const auto* one = reinterpret_cast<const float*>(second->wait());
  EXPECT_EQ(zero[15], 0.0f);
  EXPECT_EQ(one[15], 1.0f);
  first.reset();
  second.reset();
  std::vector<const float*> memory = {zero, one};
  for (int i = 0; i < 4; ++i) {
    const auto again = device->start_download(i % 2 == 0 ? ones.data() : zeros.data(), 64);
    const auto* values = reinterpret_cast<const float*>(again->wait());
    EXPECT_NE(std::ranges::find(memory, values), memory.end());
    EXPECT_EQ(values[15], i % 2 == 0 ? 1.0f : 0.0f);
  }
}

}  // namespace
}  // namespace elbo

// What only a GPU can show: the graph of a training step, and that it repeats to the bit however
// many steps are launched at once.
#include <gtest/gtest.h>

#include <regex>

#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// 784-400-z20, Bernoulli, ReLU.
Config mnist_config() {
  Config config;
  config.hidden = {400};
  config.latent_dim = 20;
  config.likelihood = "bernoulli";
  config.batch_size = 128;
  return config;
}

Dataset mnist_like(int64_t rows) {
  std::vector<uint8_t> bytes;
  for (const float value : uniform_floats(static_cast<size_t>(rows) * 784, 0.0f, 256.0f, 1))
    bytes.push_back(static_cast<uint8_t>(value));
  return Dataset::from_rows(std::move(bytes), {28, 28}, {.validation_fraction = 0.0});
}

std::vector<float> trained(const Config& config, int steps, int at_once,
                           Dataset data = mnist_like(1000)) {
  SmallTraining training(config, std::move(data), make_cuda_device());
  for (int done = 0; done < steps; done += at_once)
    training.pass.run(static_cast<uint64_t>(at_once));
  return training.weights();
}

// A product that the library leaves without its epilogue has a kernel of its own behind it.
TEST(Graph, HasSixteenNodesAStep) {
  SmallTraining training(mnist_config(), mnist_like(1000), make_cuda_device());
  training.pass.run(64);
  size_t unfused = 0, graphs = 0;
  for (const std::string& note : training.pass.notes()) {
    if (note.find(" DEFAULT ") != std::string::npos) ++unfused;
    std::smatch found;
    if (!std::regex_search(note, found, std::regex("graph, .*: ([0-9]+) nodes"))) continue;
    ++graphs;
    EXPECT_LE(std::stoul(found[1].str()), 16 + unfused) << note;
  }
  EXPECT_GE(graphs, 2u);
}

TEST(Graph, UnrolledStepsAreTheSameSteps) {
  const std::vector<float> one_by_one = trained(mnist_config(), 48, 1);
  EXPECT_TRUE(same_bits(trained(mnist_config(), 48, 48), one_by_one));
  EXPECT_TRUE(same_bits(trained(mnist_config(), 48, 24), one_by_one));
}

TEST(Graph, AThousandStepsRepeatToTheBit) {
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    Config config = mnist_config();
    config.precision = precision;
    EXPECT_TRUE(same_bits(trained(config, 1000, 100), trained(config, 1000, 250))) << precision;
  }
}

// Of stages and residual blocks, with whatever libraries convolve them.
TEST(Graph, ConvolutionsRepeatToTheBit) {
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    Config config = mnist_config();
    config.network = "conv";
    config.channels = {16, 32};
    config.residual_blocks = 1;
    config.hidden = {64};
    config.precision = precision;
    const auto run = [&](int at_once) {
      std::vector<uint8_t> bytes;
      for (const float value : uniform_floats(200 * 16 * 16 * 3, 0.0f, 256.0f, 2))
        bytes.push_back(static_cast<uint8_t>(value));
      return trained(
          config, 96, at_once,
          Dataset::from_rows(std::move(bytes), {16, 16, 3}, {.validation_fraction = 0.0}));
    };
    const std::vector<float> one_by_one = run(1);
    EXPECT_TRUE(same_bits(run(24), one_by_one)) << precision;
    EXPECT_TRUE(same_bits(run(48), one_by_one)) << precision;
  }
}

}  // namespace
}  // namespace elbo

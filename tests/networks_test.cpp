// Networks for pictures from settings: matching sizes for any picture, clear errors if they cannot
// match, and trainings that do not depend on the number of threads.
#include "host/model/networks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/nn/network.hpp"
#include "host/train/recipe.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

Config conv_config(std::vector<std::pair<const char*, const char*>> settings = {}) {
  Config config = config_for_recipe("conv-vae");
  config.hidden = {};
  for (const auto& [key, value] : settings) apply_setting(config, key, value);
  return config;
}

std::string composition(const Config& config, const Shape& shape) {
  return describe_composition(config, shape).front();
}

template <class Error>
std::string message_of(auto&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Networks, HaveStagesByThePicturesSize) {
  const Config config = conv_config({{"likelihood", "mse"}});
  const auto stages = [&](int64_t size, int64_t channels) {
    const FeatureMap map = data_map(config, {size, size, channels}).map;
    std::string text;
    for (const LayerSpec& layer : encoder_layers(config, map)) text += describe(layer) + " ";
    return text;
  };
  EXPECT_EQ(stages(28, 1), "conv 32 conv 64 conv 128 ");
  EXPECT_EQ(stages(32, 3), "conv 32 conv 64 conv 128 ");
  EXPECT_EQ(stages(64, 3), "conv 32 conv 64 conv 128 conv 256 ");
  EXPECT_EQ(stages(128, 3), "conv 32 conv 64 conv 128 conv 256 conv 256 ");
}

TEST(Networks, SayWhatTheyAreMadeOf) {
  EXPECT_EQ(composition(conv_config({{"likelihood", "mse"}, {"channels", "8,16"}, {"hidden", "9"}}),
                        {28, 20}),
            "x ▸ conv 8 ▸ conv 16 ▸ 9 ▸ gaussian z (128) ▸ 9 ▸ 7x5x16 ▸ deconv 8 ▸ deconv 1 ▸ mse");
  EXPECT_EQ(composition(conv_config({{"likelihood", "mse"},
                                     {"channels", "8,12"},
                                     {"residual-blocks", "1"},
                                     {"upsampling", "nearest"},
                                     {"downsampling", "average"}}),
                        {8, 8, 3}),
            "x ▸ conv 8 ▸ average 2 ▸ residual 8 ▸ conv 12 ▸ average 2 ▸ residual 12 ▸ norm ▸ "
            "gaussian z (128) ▸ 2x2x12 ▸ residual 12 ▸ nearest 2 ▸ conv 8 ▸ residual 8 ▸ norm ▸ "
            "nearest 2 ▸ conv 3 ▸ mse");
}

TEST(Networks, GiveBackThePicturesSizeWhateverItIs) {
  for (const char* kernel : {"2", "3", "4", "5", "6"})
    for (const char* downsampling : {"strided", "average"})
      for (const int64_t height : {8, 9, 10, 11, 13, 28})
        for (const int64_t width : {8, 15}) {
          const Config config = conv_config({{"kernel-size", kernel},
                                             {"downsampling", downsampling},
                                             {"channels", "4,6"},
                                             {"normalization", "group"}});
          const FeatureMap data = data_map(config, {height, width, 3}).map;
          const DecoderLayers layers = decoder_layers(config, data, 2);
          ParameterLayout layout;
          const Network network(layout, "decoder", {1, 1, 7}, layers.hidden);
          const auto output = make_layer(layout, "likelihood", network.out(), layers.output);
          EXPECT_EQ(output->out(), (FeatureMap{data.height, data.width, 6}))
              << height << " x " << width << ", kernel " << kernel << ", " << downsampling;
        }
}

TEST(Networks, ReadPlanarPicturesAsSuch) {
  const Config conv = conv_config();
  EXPECT_EQ(data_map(conv, {3, 8, 6}).map, (FeatureMap{8, 6, 3}));
  EXPECT_TRUE(data_map(conv, {3, 8, 6}).planar);
  EXPECT_FALSE(data_map(conv, {8, 6, 3}).planar);
  EXPECT_FALSE(data_map(conv, {1, 8, 6}).planar);
  EXPECT_EQ(data_map(conv, {784}).map, (FeatureMap{28, 28, 1}));
  EXPECT_EQ(data_map(config_for_recipe("vae"), {3, 8, 6}).map, (FeatureMap{1, 1, 144}));
}

TEST(Networks, SayWhatDoesNotFit) {
  const auto refusal = [](const Config& config, const Shape& shape) {
    return message_of<ConfigError>([&] {
      config.check();
      decoder_layers(config, data_map(config, shape).map, 1);
    });
  };
  EXPECT_EQ(
      refusal(conv_config({{"channels", "4,4,4,4"}}), {8, 8}),
      "channels: got 4 stages, but 3 bring 8 x 8 down to 1 x 1; expected at most that number");
  EXPECT_NE(refusal(conv_config({{"upsampling", "nearest"}}), {28, 28})
                .find("upsampling nearest: from 3 x 3 to 7 x 7 is not twice as high and wide"),
            std::string::npos);
  EXPECT_NE(refusal(conv_config(), {7}).find("are no pictures; use network dense"),
            std::string::npos);
  EXPECT_NE(refusal(conv_config(), {8, 8, 4}).find("are no pictures"), std::string::npos);
  EXPECT_NE(refusal(conv_config(), {2, 8, 8, 3}).find("are no pictures"), std::string::npos);
  Config dense;
  dense.kernel_size = 3;
  EXPECT_NE(refusal(dense, {8, 8}).find("kernel-size 3 cannot be combined with network dense"),
            std::string::npos);
}

/// A small conv model of everything that has ops of its own.
Config everything() {
  Config config = small_config();
  config.network = NetworkType::conv;
  config.channels = {4, 8};
  config.hidden = {6};
  config.residual_blocks = 1;
  config.activation = math::Activation::of<math::Silu>();
  config.downsampling = Downsampling::average;
  config.upsampling = Upsampling::bilinear;
  config.likelihood = math::Likelihood::of<math::Gaussian>();
  return config;
}

Dataset pictures(int64_t rows, const Shape& shape) {
  return Dataset::from_rows(
      uniform_floats(static_cast<size_t>(rows * element_count(shape)), 0.0f, 1.0f, 1), shape,
      {.validation_fraction = 0.0});
}

std::vector<float> trained(const Config& config, const Shape& shape, int threads) {
  SmallTraining training(config, pictures(21, shape), true, false, threads);
  training.pass.run(7);
  return training.weights();
}

TEST(ConvolutionalTraining, HasTheSameBitsOnAnyNumberOfThreads) {
  Config strided = everything();
  strided.downsampling = Downsampling::strided;
  strided.upsampling = Upsampling::transposed;
  strided.residual_blocks = 0;
  for (const Config& config : {everything(), strided}) {
    const std::vector<float> one = trained(config, {8, 8, 3}, 1);
    EXPECT_TRUE(std::ranges::all_of(one, [](float w) { return std::isfinite(w); }));
    for (const int threads : {2, 3}) EXPECT_EQ(trained(config, {8, 8, 3}, threads), one);
  }
}

TEST(ConvolutionalTraining, SeesTheSamePicturesPlanarOrNot) {
  // The same pictures, stored otherwise. Noise is addressed by index, so the test uses none.
  Config config = everything();
  config.bottleneck = Bottleneck::deterministic;
  config.samples = 1;
  constexpr int64_t kRows = 8, kPixels = 64, kColours = 3;
  const std::vector<float> interleaved =
      uniform_floats(static_cast<size_t>(kRows * kPixels * kColours), 0.0f, 1.0f, 1);
  std::vector<float> planar(interleaved.size());
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t p = 0; p < kPixels; ++p)
      for (int64_t c = 0; c < kColours; ++c)
        planar[static_cast<size_t>((row * kColours + c) * kPixels + p)] =
            interleaved[static_cast<size_t>((row * kPixels + p) * kColours + c)];
  const auto losses = [&](const std::vector<float>& rows, const Shape& shape) {
    SmallTraining training(config, Dataset::from_rows(rows, shape, {.validation_fraction = 0.0}),
                           false);
    std::vector<double> values;
    for (int i = 0; i < 5; ++i) values.push_back(training.step().terms[0]);
    return values;
  };
  const std::vector<double> one = losses(interleaved, {8, 8, 3}), other = losses(planar, {3, 8, 8});
  for (size_t i = 0; i < one.size(); ++i)
    // Only the order in which a row's likelihood is added up differs: 192 terms, and a few steps'
    // worth of weights that differ as much.
    EXPECT_NEAR(one[i], other[i], 192 * 0x1p-23 * (std::abs(one[i]) + 1.0)) << "step " << i;
}

}  // namespace
}  // namespace elbo

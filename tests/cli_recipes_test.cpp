// Every recipe on the command line: it trains, and each command then works or reports in one line
// the part that the model lacks.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "host/io/npy.hpp"
#include "host/model/phases.hpp"
#include "host/train/generation.hpp"
#include "host/train/recipe.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class CliRecipes : public testing::TestWithParam<std::string> {
 protected:
  /// Trains a small version of the recipe and returns its run directory.
  std::string train() {
    std::vector<std::string> command = {
        "train",        data_, "--out",     run_, "--recipe",        GetParam(), "--steps", "6",
        "--batch-size", "8",   "--threads", "1",  "--report-epochs", "1",        "--quiet"};
    if (config().bottleneck != Bottleneck::none)
      command.insert(command.end(), {"--latent-dim", "2"});
    if (config().adversarial()) command.insert(command.end(), {"--discriminator-hidden", "4"});
    expect_done(command);
    return run_;
  }
  Config config() const { return config_for_recipe(GetParam()); }

  TemporaryDirectory directory_;
  std::string data_ =
      make_dataset(directory_, "data", 3,
                   config().likelihood == math::Likelihood::of<math::DiscretizedLogistic>());
  std::string run_ = (directory_ / "run").string();
};

INSTANTIATE_TEST_SUITE_P(All, CliRecipes, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const Recipe& recipe : recipes()) names.emplace_back(recipe.name);
                           return names;
                         }()),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(CliRecipes, TrainsAndIsEvaluated) {
  train();
  const auto result =
      nlohmann::json::parse(run_elbo({"evaluate", run_, data_, "--json", "--threads", "1"}).out);
  const bool decodes = config().likelihood != std::nullopt;
  EXPECT_EQ(result.contains("elbo"), config().bottleneck == Bottleneck::gaussian);
  EXPECT_EQ(result.contains("reconstruction"), decodes);
  EXPECT_EQ(result.contains("squared_error"),
            decodes && config().bottleneck != Bottleneck::gaussian);
  EXPECT_EQ(result.contains("input_psnr"),
            config().corruption != math::Corruption::of<math::NoCorruption>());
  EXPECT_EQ(result.contains("accuracy"), config().classifier != std::nullopt);
  EXPECT_EQ(result.contains("gan_value"), config().discriminator != DiscriminatorKind::none);
  for (const auto& [name, value] : result.items()) EXPECT_TRUE(value.is_number()) << name;

  const Outcome shown = run_elbo({"inspect", run_});
  EXPECT_EQ(shown.code, 0) << shown.err;
  for (const Phase& phase : phases_of(config()))
    EXPECT_NE(shown.out.find(describe(phase)), std::string::npos) << shown.out;
}

TEST_P(CliRecipes, IsUsedAsFarAsItGoes) {
  train();
  const auto expect = [&](bool works, std::vector<std::string> command, const char* file,
                          const char* complaint) {
    command.insert(command.end(), {"--out", (directory_ / file).string()});
    if (works)
      expect_done(command);
    else
      expect_complaint(command, 2, {complaint});
    EXPECT_EQ(fs::exists(directory_ / file), works) << command[0];
  };
  const bool decodes = config().likelihood != std::nullopt;
  expect(true, {"encode", run_, data_}, "z.npy", "");
  expect(config().bottleneck == Bottleneck::gaussian, {"encode", run_, data_, "--with-logvar"},
         "both.npy", "expected bottleneck gaussian");
  expect(decodes, {"reconstruct", run_, data_}, "pairs.png", "no decoder");
  expect(decodes, {"decode", run_, (directory_ / "z.npy").string()}, "x.npy", "no decoder");
  expect(has_prior(config()), {"sample", run_, "--count", "3"}, "samples.npy",
         decodes ? "expected bottleneck gaussian" : "no decoder");
  expect(config().classifier != std::nullopt, {"classify", run_, data_}, "classes.npy",
         "no classifier");
  const std::vector<std::string> weighed = {"evaluate", run_, data_, "--importance-samples", "3"};
  if (config().bottleneck == Bottleneck::gaussian && decodes)
    expect_done(weighed);
  else
    expect_complaint(weighed, 2, {"importance-samples: got '3'", "expected bottleneck gaussian"});
  for (const char* pictures : {"reconstructions", "interpolations"})
    EXPECT_EQ(fs::exists(fs::path(run_) / pictures / "epoch-0001.png"), decodes) << pictures;
  EXPECT_EQ(fs::exists(fs::path(run_) / "samples" / "epoch-0001.png"), has_prior(config()));
}

std::string in_single_spaces(const std::string& text) {
  std::istringstream words(text);
  std::string joined;
  for (std::string word; words >> word;) joined += word + " ";
  return joined;
}

TEST(CliRecipesList, ShowsEveryRecipesComposition) {
  const Outcome list = run_elbo({"list", "recipes"});
  EXPECT_EQ(list.code, 0);
  for (const Recipe& recipe : recipes()) {
    const Outcome one = run_elbo({"list", std::string(recipe.name)});
    EXPECT_NE(list.out.find(one.out), std::string::npos) << one.out;
    EXPECT_EQ(one.out.find("  " + std::string(recipe.name) + ": "), 0u) << one.out;
    const std::string text = in_single_spaces(one.out);
    for (const std::string& line :
         describe_composition(config_for_recipe(recipe.name), kExampleShape))
      EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
    for (const auto& [key, value] : recipe.settings)
      EXPECT_NE(text.find("--" + std::string(key) + " " + std::string(value)), std::string::npos)
          << key << "\n"
          << text;
  }
}

TEST(CliRecipesList, FitsEightyColumns) {
  std::istringstream lines(run_elbo({"list"}).out);
  for (std::string line; std::getline(lines, line);) {
    const auto is_start = [](char c) { return (c & 0xC0) != 0x80; };  // first byte in UTF-8
    if (line.find("cpu: ") == std::string::npos) {                    // devices have long names
      EXPECT_LE(std::ranges::count_if(line, is_start), 80) << line;
    }
  }
}

TEST(CliRecipesList, ReadmeShowsEveryRecipe) {
  const std::string readme = read_bytes(test_folder() / "../README.md");
  for (const Recipe& recipe : recipes())
    EXPECT_NE(readme.find("\n| `" + std::string(recipe.name) + "` |"), std::string::npos)
        << recipe.name;
}

TEST(CliRecipesErrors, NameTwoSettingsInOneLineAndMakeNothing) {
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "data");
  const std::string unlabelled =
      directory.write("rows.npy", read_bytes(data + "/train.npy")).string();
  std::vector<float> wide(24);
  for (size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<float>(i) - 7.0f;
  write_npy(directory / "wide.npy", {4, 6}, wide);
  const std::string real = (directory / "wide.npy").string();
  const struct {
    std::vector<std::string> flags;
    int code;
    std::vector<std::string> words;
  } cases[] = {
      {{data, "--recipe", "vae", "--code-l1", "0.01"}, 2, {"code-l1 0.01", "bottleneck gaussian"}},
      {{data, "--recipe", "mlp-classifier", "--likelihood", "mse"},
       2,
       {"bottleneck none", "likelihood mse"}},
      {{unlabelled, "--recipe", "mlp-classifier"}, 3, {"no labels", "classifier cross-entropy"}},
      {{real, "--recipe", "gan-autoencoder"}, 3, {"likelihood bernoulli", "Gaussian likelihood"}},
      {{real, "--recipe", "denoising-autoencoder", "--corruption", "salt-and-pepper"},
       3,
       {"corruption salt-and-pepper", "corruption gaussian or masking"}},
      {{data, "--recipe", "denoising-autoencoder", "--corruption-level", "2"},
       2,
       {"corruption-level 2", "corruption masking"}},
      {{data, "--recipe", "pca", "--samples", "3"}, 2, {"samples 3", "bottleneck deterministic"}},
  };
  for (const auto& [flags, code, words] : cases) {
    std::vector<std::string> command = {"train", "--out", (directory / "run").string()};
    command.insert(command.end(), flags.begin(), flags.end());
    expect_complaint(command, code, words);
    EXPECT_FALSE(fs::exists(directory / "run"));
  }
}

}  // namespace
}  // namespace elbo

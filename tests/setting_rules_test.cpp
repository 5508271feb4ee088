// Rules for settings: former names, settings without effect, precedence of sources, help and
// suggestions.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "host/train/config.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

TEST(SettingRules, FormerKeysAreAccepted) {
  const TemporaryDirectory directory;
  const struct {
    const char *former, *key, *value, *toml;
  } renamed[] = {{"crop", "shift", "2", "2"},
                 {"judged", "discriminator-inputs", "samples", "'samples'"},
                 {"keep", "keep-checkpoints", "3", "3"},
                 {"noise", "noise-source", "curand", "'curand'"},
                 {"cache", "image-cache", "there", "'there'"},
                 {"second-moment-start", "adam-second-moment-init", "0.5", "0.5"},
                 {"learning-rate-floor", "learning-rate-final-ratio", "0.5", "0.5"},
                 {"discriminator-rate", "discriminator-learning-rate-ratio", "0.5", "0.5"},
                 {"kl-cycle-rise", "kl-cycle-ratio", "0.25", "0.25"}};
  for (const auto& [former, key, value, toml] : renamed) {
    SCOPED_TRACE(former);
    const std::string old_line = std::string(former) + " = " + toml + "\n";
    Config by_file, by_flag, current;
    apply_toml(by_file, old_line, "old.toml");
    apply_setting(by_flag, former, value);
    apply_setting(current, key, value);
    ASSERT_NE(current, Config());
    EXPECT_EQ(by_file, current);
    EXPECT_EQ(by_flag, current);
    try {
      apply_toml(by_file, old_line + key + " = " + toml + "\n", "both.toml");
      FAIL() << "accepted both keys";
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()), "both.toml: '" + std::string(former) + "' and '" + key +
                                               "' are one setting; use the second");
    }
  }
  // A run directory and a checkpoint of an earlier version.
  const std::string data = make_dataset(directory, "data"), run = (directory / "run").string();
  expect_done(tiny_training(data, run, "1") +
              std::vector<std::string>{"--keep", "3", "--learning-rate-schedule", "cosine",
                                       "--learning-rate-floor", "0.5", "--quiet"});
  std::string config = read_bytes(run + "/config.toml");
  const auto put_back = [&](std::string& text, const std::string& key, const std::string& former) {
    const size_t at = text.find(key + " = ");
    ASSERT_NE(at, std::string::npos) << key;
    text.replace(at, key.size(), former);
  };
  put_back(config, "learning-rate-final-ratio", "learning-rate-floor");
  put_back(config, "keep-checkpoints", "keep");
  directory.write("run/config.toml", config);
  // Padded, so that the file's offsets stay as they are, and without a checksum.
  const std::string last = "run/checkpoints/last.safetensors";
  std::string checkpoint = read_bytes(directory / last);
  put_back(checkpoint, "learning-rate-final-ratio", "learning-rate-floor      ");
  checkpoint.replace(checkpoint.find("checksum"), 8, "no-check");
  directory.write(last, checkpoint);
  expect_done({"resume", run, "--epochs", "2", "--quiet"});
  const std::string resumed = read_bytes(run + "/config.toml");
  for (const char* line : {"\nlearning-rate-final-ratio = 0.5\n", "\nkeep-checkpoints = 3\n"})
    EXPECT_NE(resumed.find(line), std::string::npos) << line << " not in\n" << resumed;
}

TEST(SettingRules, WithoutEffectAreReportedOnce) {
  const TemporaryDirectory directory;
  const std::string reals = make_dataset(directory, "reals");
  const std::string bytes = make_dataset(directory, "bytes", 3, true);
  const struct {
    const std::string& data;
    std::vector<std::string> flags;
    std::vector<std::string> notes;
  } cases[] = {
      {reals, {"--beta", "2"}, {}},
      {reals,
       {"--corruption-level", "0.25"},
       {"corruption-level 0.25 has no effect with corruption none"}},
      {reals, {"--early-stopping", "0", "--validation-fraction", "0"}, {}},
      {reals,
       {"--early-stopping", "3", "--validation-fraction", "0"},
       {"early-stopping 3 has no effect without validation rows"}},
      {reals,
       {"--validation-split", "last", "--validation-fraction", "0"},
       {"validation-split last has no effect without validation rows"}},
      {reals,
       {"--dequantize", "none"},
       {"dequantize none has no effect on values stored as f32; it is for 8-bit data"}},
      {bytes, {"--dequantize", "none"}, {}},
      {bytes,
       {"--dequantize", "none", "--likelihood", "bernoulli"},
       {"dequantize none has no effect with likelihood bernoulli"}},
      {bytes,
       {"--dequantize", "none", "--binarize", "fixed"},
       {"dequantize none has no effect with binarize fixed"}},
      {reals, {"--binarize", "none"}, {"binarize none has no effect with likelihood gaussian"}},
      {reals, {"--binarize", "none", "--likelihood", "bernoulli"}, {}},
      {reals, {"--momentum", "0.5"}, {"momentum 0.5 has no effect with optimizer adam"}},
      {reals,
       {"--beta1", "0.5", "--epsilon", "1e-3", "--optimizer", "sgd"},
       {"epsilon 0.001 has no effect with optimizer sgd",
        "beta1 0.5 has no effect with optimizer sgd"}},
      {reals,
       {"--learning-rate-gamma", "0.5", "--learning-rate-final-ratio", "0.5"},
       {"learning-rate-gamma 0.5 has no effect with learning-rate-schedule constant",
        "learning-rate-final-ratio 0.5 has no effect with learning-rate-schedule constant"}},
      {reals,
       {"--classifier-weight", "2"},
       {"classifier-weight 2 has no effect with classifier none"}},
      {reals,
       {"--discriminator", "code", "--discriminator-inputs", "samples"},
       {"discriminator-inputs samples has no effect with discriminator code"}},
      {reals,
       {"--beta", "0", "--kl-warmup-epochs", "1"},
       {"kl-warmup-epochs 1 has no effect with beta 0"}},
      {reals,
       {"--discriminator", "code", "--adversarial-weight", "0", "--generator-loss", "saturating"},
       {"generator-loss saturating has no effect with adversarial-weight 0"}},
      {reals,
       {"--discriminator", "code", "--discriminator-hidden", "", "--discriminator-activation",
        "relu"},
       {"discriminator-activation relu has no effect without hidden layers"}},
      {reals,
       {"--learning-rate-schedule", "multistep", "--learning-rate-milestones", "1,7"},
       {"learning-rate-milestones 7 has no effect in a training of 6 steps: it is step 21"}},
      {reals, {"--kernel-size", "4"}, {"kernel-size 4 has no effect with network dense"}},
      {reals, {"--steps", "2"}, {"epochs 2 has no effect with steps 2"}},
      {reals, {"--data-window", "1000"}, {"data-window 1000 has no effect on 22 rows"}},
      {reals,
       {"--skip-bad"},
       {"skip-bad true has no effect on rows of 2x3 in " + reals + ": no picture is decoded"}},
      {reals,
       {"--image-cache", "c"},
       {"image-cache " + std::filesystem::absolute("c").string() +
        " has no effect on arrays: no picture is decoded"}},
  };
  int run = 0;
  for (const auto& [data, flags, notes] : cases) {
    SCOPED_TRACE(flags.front());
    expect_notes(tiny_training(data, (directory / std::to_string(++run)).string()) +
                     std::vector<std::string>{"--quiet"} + flags,
                 notes);
  }
  for (const char* key : {"image-size", "image-channels"}) {
    const std::string value = key == std::string("image-size") ? "8" : "grey";
    const std::vector<std::string> flag = {"--" + std::string(key), value};
    const std::string words = std::string(key) + " " + value + " has no effect on rows of 2x3";
    expect_complaint(tiny_training(reals, (directory / "none").string()) + flag, 2, {words});
    EXPECT_FALSE(std::filesystem::exists(directory / "none"));
    const std::string trained = (directory / "1").string();
    expect_complaint(std::vector<std::string>{"evaluate", trained, reals} + flag, 2, {words});
    expect_complaint(std::vector<std::string>{"inspect", reals} + flag, 2, {words});
    expect_complaint(std::vector<std::string>{"inspect", trained} + flag, 2,
                     {key, "trained model"});
  }
  // Settings of a recipe do not count as given.
  expect_done({"train", reals, "--out", (directory / "recipe").string(), "--recipe", "autoencoder",
               "--likelihood", "bernoulli", "--epochs", "1", "--quiet"});
}

TEST(SettingRules, LaterSourceDecidesTheLength) {
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "data");
  const std::string steps = directory.write("steps.toml", "steps = 8\n").string();
  const std::string both = directory.write("both.toml", "epochs = 3\nsteps = 8\n").string();
  const auto train = [&](const std::string& run, const std::vector<std::string>& more,
                         const std::vector<std::string>& notes) {
    expect_notes(std::vector<std::string>{"train", data, "--out", (directory / run).string(),
                                          "--batch-size", "8", "--quiet"} +
                     more,
                 notes);
    Config config;
    apply_toml_file(config, directory / (run + "/config.toml"));
    return std::pair(config.epochs, config.steps);
  };
  const std::string replaced = "epochs 4 replaces steps 8, which was set before";
  EXPECT_EQ(train("1", {"--config", steps, "--epochs", "4"}, {replaced}),
            (std::pair<int64_t, int64_t>(4, 0)));
  EXPECT_EQ(train("2", {"--config", steps, "--steps", "5"}, {}),
            (std::pair<int64_t, int64_t>(20, 5)));
  EXPECT_EQ(train("3", {"--config", both}, {"epochs 3 has no effect with steps 8"}),
            (std::pair<int64_t, int64_t>(3, 8)));
  EXPECT_EQ(train("4", {"--steps", "8"}, {}), (std::pair<int64_t, int64_t>(20, 8)));
  expect_notes({"resume", (directory / "4").string(), "--epochs", "4", "--quiet"}, {replaced});
  // A resumed run's own settings are not given anew.
  const std::string printed = expect_notes({"resume", (directory / "3").string()}, {});
  EXPECT_NE(printed.find("note: all 8 steps are done; a larger --epochs or --steps continues\n"),
            std::string::npos)
      << printed;
}

TEST(SettingRules, HelpShowsTheCommonOnesAndNamesTheGroups) {
  const auto flags_in = [](const std::string& text) {
    std::set<std::string> flags;
    for (size_t at = 0; (at = text.find("\n  --", at)) != std::string::npos; ++at)
      flags.insert(text.substr(at + 5, text.find_first_of(" \n", at + 5) - at - 5));
    return flags;
  };
  const std::set<std::string> common = flags_in(expect_done({"train", "--help"}));
  const std::set<std::string> all = flags_in(expect_done({"train", "--help", "all"}));
  std::set<std::string> settings;
  for (const std::string& key : setting_names<Config>()) settings.insert(key);
  EXPECT_TRUE(std::ranges::includes(all, settings));
  std::set<std::string> chosen;
  std::ranges::set_intersection(common, settings, std::inserter(chosen, chosen.end()));
  EXPECT_GE(chosen.size(), 20u);
  EXPECT_LE(chosen.size(), 30u);
  std::set<std::string> grouped;
  Config::for_each_group([&](const auto& group) {
    const std::string title(group.title);
    EXPECT_NE(expect_done({"train", "--help"}).find(title), std::string::npos) << title;
    const std::set<std::string> shown = flags_in(expect_done({"train", "--help", title}));
    std::set<std::string> expected;
    for (const std::string& key : setting_names<std::remove_cvref_t<decltype(group)>>())
      expected.insert(key);
    EXPECT_EQ(shown, expected) << title;
    grouped.insert(shown.begin(), shown.end());
  });
  EXPECT_EQ(grouped, settings);
  expect_complaint({"train", "--help", "optimiser"}, 2,
                   {"'optimiser'", "did you mean 'optimizer'"});
}

TEST(SettingRules, NamesAreSuggestedIfNearAndListedOtherwise) {
  expect_complaint({"list", "foo"}, 2,
                   {"unknown category 'foo'; choose from recipes, likelihoods"});
  expect_complaint({"list", "recipe"}, 2, {"did you mean 'recipes'?"});
  expect_complaint({"list", "vea"}, 2, {"did you mean 'vae'?"});
  Config config;
  const auto complaint = [&](const char* toml) -> std::string {
    try {
      apply_toml(config, toml, "c.toml");
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(complaint("epoch = 3\n"), "c.toml: unknown setting 'epoch'; did you mean 'epochs'?");
  EXPECT_EQ(complaint("width = 3\n"),
            "c.toml: unknown setting 'width'; `elbo train --help all` lists all");
  EXPECT_EQ(complaint("recipe = 'gan'\n").substr(0, 71),
            "c.toml: recipe: unknown recipe 'gan'; choose from vae, conv-vae, resnet");
}

}  // namespace
}  // namespace elbo

// Every setting has the same effect as a flag and as a key of a config file, and is written to the
// run's config.toml.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "host/train/config.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

/// A valid value, other than the default, for every setting.
const std::map<std::string, std::string>& other_values() {
  static const std::map<std::string, std::string> values = {
      {"recipe", "beta-vae"},
      {"network", "conv"},
      {"channels", "6"},
      {"kernel-size", "3"},
      {"downsampling", "average"},
      {"upsampling", "nearest"},
      {"normalization", "group"},
      {"residual-blocks", "1"},
      {"hidden", "5,3"},
      {"bottleneck", "deterministic"},
      {"latent-dim", "3"},
      {"code-activation", "relu"},
      {"activation", "tanh"},
      {"likelihood", "mse"},
      {"mse-variance", "0.5"},
      {"posterior-variance", "shared"},
      {"samples", "2"},
      {"classifier", "squared-error"},
      {"classifier-hidden", "3"},
      {"discriminator", "code"},
      {"discriminator-hidden", "4,3"},
      {"discriminator-activation", "tanh"},
      {"objective", "iwae"},
      {"reconstruction-weight", "0.5"},
      {"beta", "0.5"},
      {"kl-warmup-epochs", "1.5"},
      {"kl-warmup-steps", "3"},
      {"kl-cycles", "2"},
      {"kl-cycle-ratio", "0.25"},
      {"free-bits", "0.125"},
      {"kl-capacity", "2.5"},
      {"kl-capacity-epochs", "0.5"},
      {"code-l1", "0.125"},
      {"classifier-weight", "0.5"},
      {"adversarial-weight", "0.5"},
      {"generator-loss", "saturating"},
      {"discriminator-inputs", "samples"},
      {"discriminator-learning-rate-ratio", "0.5"},
      {"image-size", "16"},
      {"image-channels", "grey"},
      {"skip-bad", "true"},
      {"image-cache", "/no/pictures/no/cache"},
      {"validation-fraction", "0.25"},
      {"validation-split", "last"},
      {"dequantize", "none"},
      {"binarize", "none"},
      {"corruption", "gaussian"},
      {"corruption-level", "0.5"},
      {"flip", "horizontal"},
      {"shift", "1"},
      {"data-window", "16"},
      {"epochs", "3"},
      {"steps", "2"},
      {"batch-size", "7"},
      {"optimizer", "sgd"},
      {"learning-rate", "0.0005"},
      {"learning-rate-schedule", "linear"},
      {"learning-rate-final-ratio", "0.5"},
      {"learning-rate-milestones", "0.25,1.5"},
      {"learning-rate-gamma", "0.5"},
      {"learning-rate-warmup-epochs", "0.5"},
      {"momentum", "0.5"},
      {"beta1", "0.8"},
      {"beta2", "0.99"},
      {"epsilon", "1e-06"},
      {"adam-second-moment-init", "0.5"},
      {"weight-decay", "0.125"},
      {"clip-norm", "2.5"},
      {"loss-reduction", "sum"},
      {"output-init", "zero"},
      {"early-stopping", "2"},
      {"on-divergence", "rollback"},
      {"seed", "7"},
      {"noise-source", "curand"},
      {"device", "cpu"},
      {"precision", "fp32"},
      {"threads", "2"},
      {"metrics-interval", "3"},
      {"report-epochs", "2"},
      {"picture-count", "2"},
      {"keep-checkpoints", "3"},
      {"checkpoint-minutes", "0.5"},
      {"max-minutes", "60"},
  };
  return values;
}

/// Returns the settings of a small training, with `key` set to `value` unless `value` is empty.
Config small_config(const std::string& data, const std::string& key, const std::string& value) {
  Config config;
  apply_toml(
      config,
      "hidden = [4]\nlatent-dim = 2\nepochs = 1\nbatch-size = 8\npicture-count = 0\nthreads = 1",
      "small settings");
  config.dataset = data;
  // Settings that are valid only together with others.
  for (const char* of_convolutions : {"channels", "kernel-size", "downsampling", "upsampling",
                                      "normalization", "residual-blocks"})
    if (key == of_convolutions) config.network = NetworkType::conv;
  if (key == "code-l1") config.bottleneck = Bottleneck::deterministic;
  if (key == "kl-capacity-epochs") config.kl_capacity = 1.0;
  if (key == "learning-rate-milestones")
    config.learning_rate_schedule = math::Decay::of<math::MultistepDecay>();
  if (!value.empty()) apply_setting(config, key, value);
  return config;
}

TEST(CliSettings, ReachTheRunFromFlagAndFile) {
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "data", 4);
  const Config defaults;
  std::set<std::string> seen;
  for_each_setting(defaults, [&](const char* name, const auto& unused, const auto&, const char*) {
    const std::string key = name;
    SCOPED_TRACE(key);
    if (key == "dataset") return;  // below
    ASSERT_TRUE(other_values().contains(key)) << "give it a value above";
    const std::string value = other_values().at(key);
    const Config wanted = small_config(data, key, value);
    const Config unset = small_config(data, key, "");
    ASSERT_NE(wanted, unset) << "not another value";

    const std::string small = directory.write("small.toml", to_toml(unset)).string();
    const std::string by_key = directory.write(key + ".toml", to_toml(wanted)).string();
    const std::string flag_run = (directory / (key + "-flag")).string();
    const std::string key_run = (directory / (key + "-key")).string();
    // A recipe on the command line must agree with the one in the file.
    const std::string base = key == "recipe" ? by_key : small;
    if (key == "noise-source") {  // cuRAND may be missing: both must fail alike then
      const Outcome flag =
          run_elbo({"train", "--config", base, "--out", flag_run, "--noise-source", value});
      const Outcome file = run_elbo({"train", "--config", by_key, "--out", key_run});
      EXPECT_EQ(flag.code, file.code);
      EXPECT_EQ(flag.err, file.err);
      EXPECT_TRUE(flag.code == 0 || flag.err.find("cuRAND") != std::string::npos) << flag.err;
      return;
    }
    std::vector<std::string> flag = {"--" + key, value};
    if (std::is_same_v<decltype(unused), const bool&>) flag.pop_back();  // the bare flag means true
    const Outcome flagged = run_elbo(
        std::vector<std::string>{"train", "--config", base, "--out", flag_run, "--quiet"} + flag);
    const Outcome keyed = run_elbo({"train", "--config", by_key, "--out", key_run, "--quiet"});
    EXPECT_EQ(flagged.err, keyed.err);                     // at most a note
    if (key == "image-size" || key == "image-channels") {  // the data set is an array
      EXPECT_EQ(flagged.code, 2);
      EXPECT_EQ(keyed.code, 2);
      EXPECT_TRUE(flagged.err.starts_with("elbo: " + key + " " + value + " has no effect on rows"));
      return;
    }
    EXPECT_EQ(flagged.code, 0) << flagged.err;
    EXPECT_EQ(keyed.code, 0) << keyed.err;
    const std::string idle = key == "steps" ? "epochs" : key;
    EXPECT_TRUE(flagged.err.empty() || flagged.err.starts_with("elbo: note: " + idle + " "))
        << flagged.err;
    EXPECT_EQ(read_bytes(flag_run + "/config.toml"), to_toml(wanted));
    EXPECT_EQ(read_bytes(key_run + "/config.toml"), to_toml(wanted));
    EXPECT_EQ(read_bytes(flag_run + "/checkpoints/last.safetensors"),
              read_bytes(key_run + "/checkpoints/last.safetensors"));
  });
}

// No double equals these whole numbers.
TEST(CliSettings, RealSettingsTakeTheDoubleNearestToAnInteger) {
  const TomlSettings toml("a = 9007199254740993\nb = -9223372036854775807\n", "settings.toml");
  double value = 0.0;
  toml.read("a", value);
  EXPECT_EQ(value, 9007199254740992.0);
  toml.read("b", value);
  EXPECT_EQ(value, -9223372036854775808.0);
}

// A path may contain any bytes. It is written to config.toml and must be read back unchanged.
TEST(CliSettings, TheDataSetHasAnyName) {
  const TemporaryDirectory directory;
  for (const std::string name :
       {"\u00e9 \u65e5", "latin-\xe9", "100%25", "a\"'\\b", "two\nlines", "\n'"}) {
    SCOPED_TRACE(name);
    const std::string data = make_dataset(directory, name), run = (directory / "run").string();
    Config config = small_config(data, "", "");
    const std::string file = directory.write("small.toml", to_toml(config)).string();
    expect_done({"train", "--config", file, "--out", run, "--quiet"});
    expect_done({"resume", run, "--epochs", "3", "--quiet"});
    Config read;
    apply_toml_file(read, directory / "run/config.toml");
    EXPECT_EQ(read.dataset, std::filesystem::canonical(data));
    std::filesystem::remove_all(run);
  }
}

TEST(CliSettings, TheDataSetIsAnArgumentAFlagOrAKey) {
  const TemporaryDirectory directory;
  const std::string one = make_dataset(directory, "one"), two = make_dataset(directory, "two");
  const std::string config =
      directory.write("small.toml", to_toml(small_config(one, "", ""))).string();
  const auto dataset_of = [&](const std::string& run) {
    Config read;
    apply_toml_file(read, directory / (run + "/config.toml"));
    return read.dataset;
  };
  const auto train = [&](const std::string& run, const std::vector<std::string>& more) {
    expect_done(std::vector<std::string>{"train", "--config", config, "--quiet", "--out",
                                         (directory / run).string()} +
                more);
    return dataset_of(run);
  };
  EXPECT_EQ(train("key", {}), std::filesystem::canonical(one));
  EXPECT_EQ(train("flag", {"--dataset", two}), std::filesystem::canonical(two));
  EXPECT_EQ(train("argument", {two}), std::filesystem::canonical(two));
}

TEST(CliSettings, ARecipeSetsWhatNothingElseSays) {
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "data");
  const std::string run = (directory / "run").string();
  expect_notes({"train", data, "--out", run, "--recipe", "ppca", "--latent-dim", "2", "--epochs",
                "1", "--threads", "1", "--quiet"},
               {"epochs 1 replaces steps 100000, which was set before"});
  const std::string config = read_bytes(run + "/config.toml");
  for (const char* line : {"recipe = \"ppca\"", "hidden = []", "latent-dim = 2", "epochs = 1",
                           "likelihood = \"gaussian-shared\"", "validation-fraction = 0"})
    EXPECT_NE(config.find(std::string(line)), std::string::npos) << line << " not in\n" << config;
}

TEST(CliSettings, NoHiddenLayersAtAll) {
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "data");
  const std::string run = (directory / "run").string();
  expect_done(
      {"train", data, "--out", run, "--hidden", "", "--epochs", "1", "--threads", "1", "--quiet"});
  EXPECT_NE(read_bytes(run + "/config.toml").find("hidden = []\n"), std::string::npos);
}

}  // namespace
}  // namespace elbo

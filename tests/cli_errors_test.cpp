// On invalid input the elbo program exits with status 2 or 3, prints one line that names the file
// or the setting, and leaves no files behind.
#include <gtest/gtest.h>

#include <memory>

#include "tests/made_files.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int kUsage = 2;
constexpr int kData = 3;

class CliErrors : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = std::make_unique<TemporaryDirectory>();
    data_ = make_dataset(*shared_, "data");
    run_ = (*shared_ / "run").string();
    expect_done(tiny_training(data_, run_));
  }
  static void TearDownTestSuite() { shared_.reset(); }

  std::string path(std::string_view name) const { return (directory_ / name).string(); }

  /// Expects training on a directory with the single file `name` to fail and to create no run
  /// directory.
  void expect_bad_file(const std::string& name, const std::string& content, Words words) {
    const TemporaryDirectory data;
    const std::string file = data.write(name, content).string();
    words.push_back(name);
    expect_bad_training({"train", data.path().string(), "--out", path("out")}, kData, words);
  }
  void expect_bad_training(const Words& arguments, int code, const Words& words) {
    expect_complaint(arguments, code, words);
    EXPECT_FALSE(fs::exists(path("out")));
  }

  static inline std::unique_ptr<TemporaryDirectory> shared_;
  static inline std::string data_, run_;
  TemporaryDirectory directory_;
};

TEST_F(CliErrors, DirectoryMissingOrEmpty) {
  expect_bad_training({"train", path("none"), "--out", path("out")}, kData, {path("none")});
  fs::create_directory(path("empty"));
  expect_bad_training({"train", path("empty"), "--out", path("out")}, kData, {path("empty")});
}

TEST_F(CliErrors, IdxFiles) {
  const std::string name = "train-images-idx3-ubyte";
  expect_bad_file(name, idx_images(4, 15), {"truncated", "32 bytes, 31"});
  expect_bad_file(name, idx_images(4, 17), {"oversized", "32 bytes, 33"});
  expect_bad_file(name, idx_images(4, 16).substr(0, 9), {});
  expect_bad_file(name, idx_images(0, 0), {"no rows"});
  expect_bad_file(name, "\x01" + idx_images(4, 16).substr(1), {"magic"});
  expect_bad_file(name, "", {});
}

TEST_F(CliErrors, GzipCutShort) {
  const std::string whole = gzipped(idx_images(4, 16));
  for (const size_t length : {whole.size() - 1, whole.size() - 9, size_t{5}})
    expect_bad_file("train-images-idx3-ubyte.gz", whole.substr(0, length), {});
}

TEST_F(CliErrors, ImagesAndLabelsThatDiffer) {
  const TemporaryDirectory data;
  data.write("train-images-idx3-ubyte", idx_images(4, 16));
  data.write("train-labels-idx1-ubyte", idx_labels(3));
  expect_bad_training({"train", data.path().string(), "--out", path("out")}, kData,
                      {"train-labels-idx1-ubyte", "3", "4"});
}

TEST_F(CliErrors, NpyFiles) {
  const std::string four = floats({0, 0.25f, 0.5f, 1});
  expect_bad_file("train.npy", npy("|O", false, "2, 2", four), {"O"});
  expect_bad_file("train.npy", npy("<f4", true, "2, 2", four), {"ortran"});
  expect_bad_file("train.npy", npy(">f4", false, "2, 2", four), {">f4"});
  expect_bad_file("train.npy", npy("<f4", false, "2, 3", four), {"24", "16"});
  expect_bad_file("train.npy", npy("<f4", false, "2, 1", four), {"8", "16"});
  expect_bad_file("train.npy", npy("<f4", false, "0, 2", ""), {"no rows"});
  expect_bad_file("train.npy", npy("<f4", false, "-2, 2", four), {});
  expect_bad_file("train.npy", npy("<c8", false, "2, 1", four), {"c8"});
  expect_bad_file("train.npy", "PK\3\4", {});
}

TEST_F(CliErrors, ValuesThatAreNoNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  expect_bad_file("train.npy", npy("<f4", false, "2, 2", floats({0, 0.5f, nan, 1})),
                  {"row 1", "nan"});
  expect_bad_file("train.npy", npy("<f4", false, "2, 2", floats({0, -infinity, 0, 1})),
                  {"row 0", "inf"});
}

TEST_F(CliErrors, FlagsOutOfRange) {
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"epochs", "-1"},
      {"epochs", "0"},
      {"batch-size", "0"},
      {"latent-dim", "-3"},
      {"hidden", "5,-2"},
      {"hidden", "5,,2"},
      {"samples", "0"},
      {"beta", "-1"},
      {"validation-fraction", "1"},
      {"learning-rate", "0"},
      {"seed", "-1"},
      {"threads", "-2"},
      {"learning-rate", "1x"},
      {"epochs", "2.5"},
      {"epochs", "99999999999999999999"},
      {"mse-variance", "nan"},
      {"metrics-interval", "-1"},
      {"keep-checkpoints", "0"},
      {"checkpoint-minutes", "-1"},
      {"max-minutes", "-0.5"},
      {"image-size", "-1"},
      {"image-size", "8193"},
      {"data-window", "-1"},
      {"data-window", "127"}};
  for (const auto& [key, value] : wrong)
    expect_bad_training({"train", data_, "--out", path("out"), "--" + std::string(key), value},
                        kUsage, {std::string(key) + ": got '"});
}

TEST_F(CliErrors, NamesThatDoNotExist) {
  const std::vector<std::tuple<const char*, const char*, const char*>> wrong = {
      {"recipe", "vea", "'vae'"},
      {"likelihood", "gausian", "gaussian-shared"},
      {"activation", "rleu", "leaky-relu"},
      {"optimizer", "adm", "adamw"},
      {"learning-rate-schedule", "cosin", "cosine"},
      {"dequantize", "maybe", "uniform"},
      {"binarize", "maybe", "dynamic"},
      {"image-channels", "gray", "grey"},
      {"posterior-variance", "x", "shared"},
      {"output-init", "x", "zero"},
      {"on-divergence", "stopp", "rollback"},
      {"noise-source", "white", "philox"},
      {"device", "gpu", "cuda:N"}};
  for (const auto& [key, value, offered] : wrong)
    expect_bad_training({"train", data_, "--out", path("out"), "--" + std::string(key), value},
                        kUsage, {std::string(key) + ": ", value, offered});
}

TEST_F(CliErrors, CommandsAndFlagsThatDoNotExist) {
  expect_complaint({"trian"}, kUsage, {"'trian'", "'train'"});
  expect_complaint({"generate", "shaps", path("out")}, kUsage, {"'shaps'", "'shapes'"});
  expect_complaint({"generate"}, kUsage, {"elbo generate: a command is missing", "shapes"});
  expect_complaint({"bench", "--model", "784-400"}, kUsage, {"'784-400'", "784-400-z20"});
  expect_complaint({"bench", "--batch", "0"}, kUsage,
                   {"batch: got '0', expected numbers of at least 1"});
  expect_complaint({"list", "recipe"}, kUsage, {"'recipes'"});
  expect_bad_training({"train", data_, "--out", path("out"), "--epoch", "3"}, kUsage,
                      {"'--epoch'", "'--epochs'"});
  expect_bad_training({"train", data_, "--outt", path("out")}, kUsage, {"'--outt'", "'--out'"});
  expect_bad_training({"train", data_}, kUsage, {"--out"});
  expect_bad_training({"train", "--out", path("out")}, kUsage, {"DATASET"});
  expect_bad_training({"train", data_, "more", "--out", path("out")}, kUsage, {"'more'"});
  expect_bad_training({"train", data_, "--out", path("out"), "--epochs"}, kUsage, {"--epochs"});
}

TEST_F(CliErrors, OptionsMisused) {
  const std::vector<std::pair<Words, const char*>> wrong = {
      {{"--epochs", "--seed", "3"},
       "--epochs: a value is missing before '--seed'; write --epochs=VALUE for one that begins "
       "with '-'"},
      {{"--epochs"}, "--epochs: a value is missing"},
      {{"--epochs="}, "epochs: got '', expected a whole number"},
      {{"--config=", "--epochs", "3"}, "config: got '', expected a name or a path"},
      {{"--epochs", "3", "--epochs", "4"}, "--epochs: given more than once"},
      {{"--quiet", "--quiet"}, "--quiet: given more than once"},
      {{"--crop", "1", "--shift", "2"}, "'--crop' and '--shift' are one option; use one of them"},
      {{"--quiet=yes"}, "--quiet: got 'yes', but it takes no value"},
      {{"--quiet", "--verbose"}, "--quiet cannot be combined with --verbose: use one"},
      {{"--skip-bad", "false"},
       "unexpected argument 'false'; to give --skip-bad a value, write --skip-bad=false"},
      {{"--skip-bad="}, "--skip-bad: got '', expected true or false"},
      {{"--dataset", "b"}, "cannot be combined with --dataset: give the data set once"},
      {{"--beta", "-inf"}, "--beta: a value is missing before '-inf'"},
      {{"--beta=-inf"}, "beta: got '-inf', expected a number"},
      {{"--epochs", "99999999999999999999"},
       "epochs: got '99999999999999999999', expected at most 1000000000"},
      {{"--epochs", "-99999999999999999999"},
       "epochs: got '-99999999999999999999', expected at least 1"}};
  for (const auto& [flags, complaint] : wrong)
    expect_bad_training(Words{"train", data_, "--out", path("out")} + flags, kUsage, {complaint});
  expect_bad_training({"train", data_, "more", "--out", path("out")}, kUsage,
                      {"unexpected argument 'more'; DATASET is '" + data_ + "' already"});
  expect_bad_training({"train", "", "--out", path("out")}, kUsage,
                      {"DATASET: got '', expected a name or a path"});
  expect_complaint({"sample", run_, "--seed", "-1", "--out", path("out.png")}, kUsage,
                   {"seed: got '-1', expected at least 0"});
  expect_complaint({"evaluate", run_, data_, "--checkpoint", "worst"}, kUsage,
                   {"checkpoint: got 'worst', expected one of best, last"});
}

TEST_F(CliErrors, HelpOfNothing) {
  const std::string help = expect_done({"evaluate", "--help"});
  for (const Words& same : {Words{"help", "evaluate"}, Words{"--help", "evaluate"},
                            Words{"-h", "evaluate"}, Words{"evaluate", run_, "-h"}})
    EXPECT_EQ(expect_done(same), help) << same[0];
  expect_complaint({"help", "evalute"}, kUsage, {"did you mean 'evaluate'?"});
  expect_complaint({"evaluate", "--help", "kl"}, kUsage, {"'kl'", "`elbo evaluate --help`"});
}

TEST_F(CliErrors, ConfigFiles) {
  const std::vector<std::pair<const char*, Words>> wrong = {
      {"latent_dim = 3", {"'latent_dim'", "'latent-dim'"}},
      {"epoch = 3", {"'epoch'", "'epochs'"}},
      {"epochs = '3'", {"settings.toml: epochs: got '", "whole number"}},
      {"epochs = 2.5", {"epochs: got '2.5'", "whole number"}},
      {"likelihood = 3", {"likelihood: got '3'", "string"}},
      {"beta = 'one'", {"beta: got '", "number"}},
      {"beta = nan", {"beta: got 'nan'"}},
      {"hidden = [4, 'x']", {"hidden: got '", "whole numbers"}},
      {"skip-bad = 'true'", {"skip-bad: got '\"true\"'", "true or false"}},
      {"skip-bad = 1", {"skip-bad: got '1'", "true or false"}},
      {"hidden = 4", {"hidden: got '4'", "whole numbers"}},
      {"hidden = [5, -2]", {"hidden: got '-2'"}},
      {"epochs = -1", {"settings.toml: epochs: got '-1'"}},
      {"recipe = 'vea'", {"recipe: ", "'vae'"}},
      {"epochs = 1\nepochs = 2", {"settings.toml:2"}},
      {"epochs = ", {"settings.toml:1"}},
      {"[model]\nepochs = 2", {"'model'"}}};
  for (const auto& [text, words] : wrong) {
    const std::string file = directory_.write("settings.toml", text).string();
    expect_bad_training({"train", data_, "--out", path("out"), "--config", file}, kUsage, words);
  }
  expect_bad_training({"train", data_, "--out", path("out"), "--config", path("none.toml")}, kUsage,
                      {"none.toml"});
  expect_bad_training({"train", data_, "--out", path("out"), "--config", data_}, kUsage, {data_});
}

TEST_F(CliErrors, ARunDirectoryIsNeverOverwritten) {
  const auto state = [&] {
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(run_))
      if (entry.is_regular_file()) all += entry.path().string() + read_bytes(entry.path());
    return all;
  };
  const std::string before = state();
  expect_complaint(tiny_training(data_, run_), kUsage, {"out: '" + run_ + "'", "resume"});
  EXPECT_EQ(state(), before);
  fs::create_directory(path("there"));
  expect_complaint(tiny_training(data_, path("there")), kUsage, {path("there")});
  EXPECT_TRUE(fs::is_empty(path("there")));
}

TEST_F(CliErrors, DataOfAnotherKind) {
  const std::string wider = make_dataset(directory_, "wider", 4);
  expect_complaint({"evaluate", run_, wider}, kData, {wider, "2x4", "2x3"});
  expect_complaint({"evaluate", run_, wider, "--importance-samples", "5"}, kData,
                   {wider, "2x4", "2x3"});
  expect_complaint({"encode", run_, wider, "--out", path("out.npy")}, kData, {wider, "2x4"});
  expect_complaint({"reconstruct", run_, wider, "--out", path("out.png")}, kData, {wider, "2x4"});
  const std::string images = path("images");
  directory_.write("images/train.npy", npy("|u1", false, "2, 2, 3", std::string(12, '\1')));
  expect_complaint({"evaluate", run_, images}, kData, {images, "floating-point"});
  expect_complaint({"evaluate", run_, data_, "--split", "tset"}, kData, {"'tset'", "validation"});
  const std::string outside = path("outside");
  directory_.write("outside/train.npy", npy("<f4", false, "2, 2", floats({0, 0.5f, 3, 1})));
  expect_bad_training({"train", outside, "--out", path("out"), "--likelihood", "bernoulli"}, kData,
                      {outside, "bernoulli"});
  EXPECT_FALSE(fs::exists(path("out.npy")) || fs::exists(path("out.png")));
}

TEST_F(CliErrors, CheckpointsMissingOrDamaged) {
  expect_complaint({"evaluate", path("none"), data_}, kData, {path("none")});
  expect_complaint({"resume", path("none")}, kData, {path("none")});
  expect_complaint({"resume", data_}, kData, {data_, "config.toml"});
  fs::create_directory(path("hollow"));
  expect_complaint({"sample", path("hollow"), "--out", path("out.png")}, kData, {"best"});

  const std::string whole = read_bytes(fs::path(run_) / "checkpoints/best.safetensors");
  const auto expect_damaged = [&](const std::string& content) {
    const std::string file = directory_.write("bad.safetensors", content).string();
    expect_complaint({"evaluate", file, data_}, kData, {"bad.safetensors"});
    expect_complaint({"inspect", file}, kData, {"bad.safetensors"});
    expect_complaint({"sample", file, "--out", path("out.png")}, kData, {"bad.safetensors"});
  };
  for (const size_t length : {size_t{0}, size_t{7}, size_t{100}, whole.size() - 1})
    expect_damaged(whole.substr(0, length));
  const auto with_damaged = [&](const char* field) {
    std::string changed = whole;
    changed.at(changed.find(field) + 2) = '~';
    return changed;
  };
  for (const char* field :
       {"\"data_offsets\"", "\"F32\"", "elbo-checkpoint", "\"shape\"", "latent-dim"})
    expect_damaged(with_damaged(field));
  std::string other_name = with_damaged("encoder.0.weight");
  other_name.at(other_name.find("\"checksum\"") + 1) = 'C';  // intact, but of another model
  const std::string renamed = directory_.write("renamed.safetensors", other_name).string();
  expect_complaint({"evaluate", renamed, data_}, kData, {renamed, "encoder.0.weight"});
  expect_damaged("\xff\xff\xff\xff\xff\xff\xff\x7f" + whole.substr(8));
  EXPECT_FALSE(fs::exists(path("out.png")));
}

TEST_F(CliErrors, WhatIsAskedOfAModel) {
  const auto npy_file = [&](const char* name, const std::string& content) {
    return directory_.write(name, content).string();
  };
  expect_complaint({"sample", run_, "--out", path("out.jpg")}, kUsage, {"out.jpg", ".png"});
  expect_complaint({"sample", run_, "--out", path("out")}, kUsage, {"out", ".npy"});
  expect_complaint({"encode", run_, data_, "--out", path("out.png")}, kUsage, {"out.png", ".npy"});
  expect_complaint({"reconstruct", run_, data_, "--out", path("out.npy")}, kUsage, {".png"});
  expect_complaint({"sample", run_, "--count", "0", "--out", path("out.png")}, kUsage, {"count"});
  expect_complaint({"sample", run_, "--count", "-5", "--out", path("out.png")}, kUsage, {"count"});
  expect_complaint({"evaluate", run_, data_, "--samples", "0"}, kUsage, {"samples"});
  expect_complaint({"evaluate", run_, data_, "--samples", "two"}, kUsage, {"samples", "two"});
  for (const char* samples : {"0", "-1"})
    expect_complaint({"evaluate", run_, data_, "--importance-samples", samples}, kUsage,
                     {"importance-samples", samples, "at least 1"});
  expect_complaint({"evaluate", run_, data_, "--importance-samples", "1e3"}, kUsage,
                   {"importance-samples", "1e3"});
  expect_complaint({"evaluate", run_, data_, "--importance-samples", "4294967297"}, kUsage,
                   {"importance-samples", "at most 4294967296"});
  expect_complaint({"evaluate", run_, data_, "--importance-samples", "5", "--split", "tset"}, kData,
                   {"'tset'", "validation"});
  expect_complaint({"evaluate", run_, data_, "--importance-samples", "99999999999999999999"},
                   kUsage, {"importance-samples", "at most 4294967296"});
  expect_complaint({"evaluate", run_, data_, "--importance-samples", "5", "--checkpoint", "worst"},
                   kUsage, {"worst", "best"});
  expect_complaint({"evaluate", run_, data_, "--checkpoint", "worst"}, kUsage, {"worst", "best"});
  expect_complaint({"evaluate", run_, data_, "--threads", "-1"}, kUsage, {"threads"});
  expect_complaint({"sample", run_, "--out", path("no/such/place.png")}, kData, {"place.png"});

  const std::string wide = npy_file("wide.npy", npy("<f4", false, "1, 3", floats({0, 1, 2})));
  expect_complaint({"decode", run_, wide, "--out", path("out.npy")}, kData, {wide, "1x3", "2"});
  const std::string flat = npy_file("flat.npy", npy("<f4", false, "2,", floats({0, 1})));
  expect_complaint({"decode", run_, flat, "--out", path("out.npy")}, kData, {flat});
  expect_complaint({"decode", run_, path("none.npy"), "--out", path("out.npy")}, kData,
                   {"none.npy"});
  for (const char* name : {"out", "out.jpg", "out.png", "out.npy"})
    EXPECT_FALSE(fs::exists(path(name))) << name;
}

TEST_F(CliErrors, LikelihoodsOfModelsWithoutOne) {
  const auto trained = [&](const char* recipe) {
    const std::string run = path(recipe);
    const Outcome outcome =
        run_elbo(tiny_training(data_, run, "1") + Words{"--recipe", recipe, "--quiet"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return run;
  };
  for (const char* recipe : {"autoencoder", "mlp-classifier"}) {
    const std::string run = trained(recipe);
    expect_complaint({"evaluate", run, data_, "--importance-samples", "5"}, kUsage,
                     {"importance-samples", "expected bottleneck gaussian"});
    expect_complaint({"evaluate", run, data_, "--importance-samples", "0"}, kUsage,
                     {"importance-samples: got '0'", "at least 1"});
  }
}

TEST_F(CliErrors, GeneratedDataSets) {
  expect_complaint({"generate", "shapes", data_}, kUsage, {data_, "not empty"});
  for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{
           {"--size", "-3"}, {"--train-count", "0"}, {"--test-count", "-1"}, {"--seed", "x"}}) {
    expect_complaint({"generate", "shapes", path("out"), flag, value}, kUsage, {flag.substr(2)});
    EXPECT_FALSE(fs::exists(path("out"))) << flag;
  }
}

}  // namespace
}  // namespace elbo

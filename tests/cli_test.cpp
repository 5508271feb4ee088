// The elbo program, used as its help documents.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "host/io/safetensors.hpp"
#include "kernels/device.hpp"
#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::vector<Json> json_lines(const fs::path& file) {
  std::istringstream text(read_bytes(file));
  std::vector<Json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

bool is_png(const fs::path& file) { return read_bytes(file).starts_with("\x89PNG\r\n\x1a\n"); }

/// Trains one model that all tests here share.
class Cli : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    data_ = make_dataset(*directory_, "data");
    run_ = (*directory_ / "run").string();
    expect_done(tiny_training(data_, run_));
  }
  static void TearDownTestSuite() { directory_.reset(); }

  static std::string path(std::string_view name) { return (*directory_ / name).string(); }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
  static inline std::string data_, run_;
};

TEST_F(Cli, VersionIsOneLine) { EXPECT_EQ(expect_done({"--version"}), "elbo " ELBO_VERSION "\n"); }

TEST_F(Cli, HelpFitsTheTerminal) {
  for (const char* command : {"", "train", "resume", "evaluate", "analyze", "sample", "reconstruct",
                              "encode", "decode", "inspect", "list", "generate", "bench"}) {
    std::vector<std::string> arguments = {"--help"};
    if (*command != '\0') arguments.insert(arguments.begin(), command);
    std::istringstream help(expect_done(arguments));
    EXPECT_FALSE(help.str().empty());
    for (std::string line; std::getline(help, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(Cli, ARunDirectoryIsComplete) {
  for (const char* file : {"config.toml", "metrics.jsonl", "summary.json",
                           "checkpoints/last.safetensors", "checkpoints/best.safetensors"})
    EXPECT_TRUE(fs::is_regular_file(fs::path(run_) / file)) << file;
  for (const char* picture : {"samples/epoch-0001.png", "samples/epoch-0002.png",
                              "reconstructions/epoch-0001.png", "reconstructions/epoch-0002.png",
                              "interpolations/epoch-0001.png", "interpolations/epoch-0002.png"})
    EXPECT_TRUE(is_png(fs::path(run_) / picture)) << picture;
  EXPECT_TRUE(contains(read_bytes(fs::path(run_) / "config.toml"), "latent-dim = 2\n"));
}

TEST_F(Cli, MetricsHaveTheirFields) {
  const std::vector<Json> lines = json_lines(fs::path(run_) / "metrics.jsonl");
  // 22 rows to train on (2 of 24 held out) make 3 steps of at most 8 per epoch.
  uint64_t last_train_step = 0, validations = 0;
  for (const Json& line : lines) {
    for (const char* field :
         {"step", "epoch", "elbo", "reconstruction", "kl", "learning_rate", "seconds"})
      EXPECT_TRUE(line.at(field).is_number()) << field;
    EXPECT_NEAR(line["elbo"].get<double>(),
                line["reconstruction"].get<double>() - line["kl"].get<double>(), 1e-6);
    if (line.at("split") == "train") {
      EXPECT_GT(line.at("samples_per_second").get<double>(), 0.0);
      EXPECT_GT(line["step"].get<uint64_t>(), last_train_step);
      last_train_step = line["step"];
    } else {
      EXPECT_EQ(line["split"], "validation");
      ++validations;
    }
  }
  EXPECT_EQ(last_train_step, 6u);
  EXPECT_EQ(validations, 2u);
}

TEST_F(Cli, LongNumbersKeepTheirColumns) {
  // An ELBO below -10,000, as 64 x 64 colour images have.
  const TemporaryDirectory directory;
  const std::string data = make_dataset(directory, "wide", 60000);
  std::istringstream said(expect_done(tiny_training(data, (directory / "run").string())));
  int reports = 0;
  for (std::string line; std::getline(said, line);) {
    std::istringstream words(line);
    double epoch = 0, step = 0, elbo = 0, reconstruction = 0, kl = 0;
    if (!(words >> epoch >> step)) continue;
    ++reports;
    EXPECT_EQ(words.peek(), ' ') << line;
    EXPECT_TRUE(words >> elbo >> reconstruction >> kl) << line;
    EXPECT_LT(elbo, -10000) << line;
    EXPECT_NEAR(elbo, reconstruction - kl, 0.02) << line;
  }
  EXPECT_EQ(reports, 2);
}

TEST_F(Cli, TheSummaryHoldsTheTestElbo) {
  const Json summary = Json::parse(read_bytes(fs::path(run_) / "summary.json"));
  EXPECT_EQ(summary.at("step"), 6);
  EXPECT_EQ(summary.at("epoch"), 2);
  EXPECT_EQ(summary.at("stopped_early"), false);
  EXPECT_EQ(summary.at("test").at("count"), 6);
  EXPECT_TRUE(summary.at("best_validation").at("score").is_number());
}

TEST_F(Cli, EvaluatePrintsOneObject) {
  for (const auto& [split, count] : std::vector<std::pair<std::string, int>>{
           {"train", 22}, {"validation", 2}, {"test", 6}, {"all", 30}}) {
    const Json result =
        Json::parse(expect_done({"evaluate", run_, data_, "--split", split, "--json"}));
    EXPECT_EQ(result.at("count"), count) << split;
    EXPECT_GE(result.at("active_units").get<int>(), 0);
    EXPECT_GE(result.at("kl").get<double>(), 0.0);
    const double elbo = result.at("elbo");
    EXPECT_NEAR(elbo, result.at("reconstruction").get<double>() - result["kl"].get<double>(),
                1e-9 * std::abs(elbo));
    // The data are real numbers: bits per dimension are nats / (6 dimensions * log 2).
    EXPECT_NEAR(result.at("bits_per_dim").get<double>(), -elbo / (6 * std::log(2.0)), 1e-9);
  }
  const std::string text = expect_done({"evaluate", run_, data_});
  EXPECT_TRUE(text.starts_with("test: 6 rows\n")) << text;
  for (const char* word : {"nats per sample", "bits/dim", "\n  elbo ", "\n  reconstruction ",
                           "\n  kl ", " ± ", "active units\n"})
    EXPECT_TRUE(contains(text, word)) << word << " in\n" << text;
}

TEST_F(Cli, EvaluateBoundsTheLikelihoodWhereAsked) {
  const std::vector<std::string> evaluate = {"evaluate", run_, data_, "--threads", "1"};
  const Json plain = Json::parse(expect_done(evaluate + std::vector<std::string>{"--json"}));
  for (const char* name : {"nll", "nll_standard_error", "nll_bits_per_dim",
                           "nll_bits_per_dim_standard_error", "importance_samples"})
    EXPECT_FALSE(plain.contains(name)) << name;

  const std::vector<std::string> weighed =
      evaluate + std::vector<std::string>{"--importance-samples", "500"};
  const std::vector<std::string> as_json = weighed + std::vector<std::string>{"--json"};
  Json result = Json::parse(expect_done(as_json));
  EXPECT_EQ(result.at("importance_samples"), 500);
  EXPECT_TRUE(result["importance_samples"].is_number_integer());
  const double nll = result.at("nll");
  EXPECT_GT(result.at("nll_standard_error").get<double>(), 0.0);
  EXPECT_NEAR(result.at("nll_bits_per_dim").get<double>(), nll / (6 * std::log(2.0)), 1e-9);
  EXPECT_EQ(Json::parse(expect_done(as_json)), result) << "other bits the second time";
  for (const char* name : {"nll", "nll_standard_error", "nll_bits_per_dim",
                           "nll_bits_per_dim_standard_error", "importance_samples"})
    result.erase(name);
  EXPECT_EQ(result, plain) << "the option changed what has nothing to do with it";

  const std::string text = expect_done(weighed);
  EXPECT_TRUE(contains(text, "\n  nll ")) << text;
  EXPECT_TRUE(contains(text, "-log p(x)") && contains(text, "500 importance samples")) << text;
  EXPECT_FALSE(contains(expect_done(evaluate), "log p(x)"));
  EXPECT_TRUE(contains(expect_done({"evaluate", "--help"}), "--importance-samples K"));
}

TEST_F(Cli, GreyTargetsAreNamed) {
  const std::string run = path("grey");
  std::vector<std::string> training = tiny_training(data_, run);
  training.insert(training.end(), {"--likelihood", "bernoulli", "--binarize", "none"});
  const std::string told = expect_done(training);
  EXPECT_TRUE(contains(told, "note: grey targets") && contains(told, "; floor ")) << told;
  const std::string text = expect_done({"evaluate", run, data_, "--importance-samples", "5"});
  EXPECT_TRUE(contains(text, "a cross-entropy, not a likelihood; floor ")) << text;
  const Json result = Json::parse(expect_done({"evaluate", run, data_, "--json"}));
  const double floor = result.at("cross_entropy_floor");
  EXPECT_GT(floor, 0.0);
  EXPECT_GT(-result.at("reconstruction").get<double>(), floor);
}

TEST_F(Cli, EvaluateOfLastIsNotThatOfAnotherFile) {
  const std::string file = (fs::path(run_) / "checkpoints/last.safetensors").string();
  EXPECT_EQ(expect_done({"evaluate", run_, data_, "--json", "--checkpoint", "last"}),
            expect_done({"evaluate", file, data_, "--json"}));
}

TEST_F(Cli, SampleWritesWhatTheEndingSays) {
  EXPECT_EQ(expect_done({"sample", run_, "--count", "5", "--out", path("s.npy")}), "");
  EXPECT_EQ(open_npy(path("s.npy")).shape, (Shape{5, 2, 3}));
  expect_done({"sample", run_, "--count", "5", "--out", path("s.png")});
  EXPECT_TRUE(is_png(path("s.png")));

  expect_done({"sample", run_, "--count", "5", "--seed", "1", "--out", path("same.npy")});
  expect_done({"sample", run_, "--count", "5", "--seed", "2", "--out", path("other.npy")});
  EXPECT_EQ(read_bytes(path("s.npy")), read_bytes(path("same.npy")));
  EXPECT_NE(read_bytes(path("s.npy")), read_bytes(path("other.npy")));
}

TEST_F(Cli, ReconstructWritesAPicture) {
  expect_done({"reconstruct", run_, data_, "--count", "3", "--out", path("r.png")});
  EXPECT_TRUE(is_png(path("r.png")));
}

TEST_F(Cli, CodesGoOutAndComeBack) {
  expect_done({"encode", run_, data_, "--split", "test", "--out", path("z.npy")});
  expect_done({"encode", run_, data_, "--split", "test", "--with-logvar", "--out", path("zl.npy")});
  const NpyArray means = open_npy(path("z.npy")), both = open_npy(path("zl.npy"));
  ASSERT_EQ(means.shape, (Shape{6, 2}));
  ASSERT_EQ(both.shape, (Shape{6, 4}));
  const std::vector<float> z = to_floats(means, path("z.npy"));
  const std::vector<float> zl = to_floats(both, path("zl.npy"));
  for (size_t row = 0; row < 6; ++row)
    for (size_t k = 0; k < 2; ++k) EXPECT_EQ(z[2 * row + k], zl[4 * row + k]);

  expect_done({"decode", run_, path("z.npy"), "--out", path("x.npy")});
  EXPECT_EQ(open_npy(path("x.npy")).shape, (Shape{6, 2, 3}));
  expect_done({"decode", run_, path("z.npy"), "--out", path("x.png")});
  EXPECT_TRUE(is_png(path("x.png")));
}

TEST_F(Cli, InspectKnowsThreeKinds) {
  const std::string of_data = expect_done({"inspect", data_});
  EXPECT_TRUE(contains(of_data, "2x3") && contains(of_data, "24 rows")) << of_data;
  const std::string of_run = expect_done({"inspect", run_});
  EXPECT_TRUE(contains(of_run, "after step 6") && contains(of_run, "posterior.weight")) << of_run;
  const std::string file = (fs::path(run_) / "checkpoints/last.safetensors").string();
  EXPECT_EQ(expect_done({"inspect", file}), of_run);
}

TEST_F(Cli, ListShowsEveryKind) {
  const std::string all = expect_done({"list"});
  for (const char* name : {"recipes:", "ppca", "likelihoods:", "gaussian-shared", "activations:",
                           "leaky-relu", "optimizers:", "adamw", "schedules:", "cosine", "CPU"})
    EXPECT_TRUE(contains(all, name)) << name;
  EXPECT_EQ(expect_done({"list", "schedules"}),
            "schedules:\n  constant\n  linear\n  cosine\n  exponential\n  multistep\n");
  EXPECT_TRUE(contains(expect_done({"list", "optimizers"}), "\n  adam               Kingma"));
}

TEST_F(Cli, GenerateMakesADataSetThatTrains) {
  const std::string shapes = path("shapes");
  const std::string told = expect_done(
      {"generate", "shapes", shapes, "--train-count", "16", "--test-count", "4", "--size", "8"});
  EXPECT_TRUE(contains(told, "16 rows") && contains(told, "8x8")) << told;
  expect_done(tiny_training(shapes, path("shapes-run")) +
              std::vector<std::string>{"--likelihood", "bernoulli", "--quiet"});
}

TEST_F(Cli, BenchTimesEveryModelAndBatch) {
  const auto result = nlohmann::json::parse(
      expect_done({"bench", "--model", "784-400-z20,784-200-200-z50", "--batch", "4,6", "--seconds",
                   "0.001", "--threads", "1", "--device", "cpu", "--json"}));
  EXPECT_EQ(result["device"], make_cpu_device(1)->describe());
  EXPECT_GT(result["product_gf_per_s"], 0.0);
  std::vector<std::pair<std::string, int>> timed;
  for (const auto& step : result["steps"]) {
    timed.emplace_back(step["model"], step["batch"]);
    EXPECT_GT(step["products_ms"], 0.0);
    EXPECT_NEAR(step["samples_per_s"].get<double>() * step["step_ms"].get<double>(),
                1e3 * step["batch"].get<double>(), 1e-6);
    // Each weight takes part in two multiply-adds per input (forward, weight gradient), and in a
    // third (input gradient) except in the first layer. The layers of 784-400-z20 have 784 * 400,
    // 400 * 40, 20 * 400 and 400 * 784 weights.
    const double flops = 2.0 * (5 * 784 * 400 + 3 * 60 * 400) * step["batch"].get<double>();
    if (step["model"] == "784-400-z20") {
      EXPECT_NEAR(step["gf_per_s"].get<double>() * step["step_ms"].get<double>(), 1e-6 * flops,
                  1e-12 * flops);
    }
  }
  EXPECT_EQ(
      timed,
      (decltype(timed){
          {"784-400-z20", 4}, {"784-400-z20", 6}, {"784-200-200-z50", 4}, {"784-200-200-z50", 6}}));
}

TEST_F(Cli, AProfileAccountsForTheWholeStep) {
  const auto result = nlohmann::json::parse(
      expect_done({"bench", "--profile", "--model", "784-200-200-z50", "--batch", "4", "--seconds",
                   "0.001", "--threads", "1", "--device", "cpu", "--json"}));
  EXPECT_GT(result["copy_gb_per_s"], 0.0);
  double percent = 0.0;
  int count = 0;
  std::string names;
  for (const auto& op : result["steps"][0]["profile"]) {
    percent += op["percent_of_step"].get<double>();
    count += op["count"].get<int>();
    const std::string name = op["op"];
    names += name + '\n';
    // The name of a fused op contains the name of its product.
    const bool is_product = name.find("dense_") != name.npos;
    EXPECT_EQ(op.contains("gf_per_s"), is_product) << op;
    EXPECT_EQ(op.contains("gb_per_s"), !is_product) << op;
  }
  EXPECT_NEAR(percent, 100.0, 1e-9);
  // Six layers: forward, weight gradients, and input gradients of all layers but the first.
  EXPECT_EQ(count, 6 + 6 + 5 + 5);
  for (const char* name :
       {"dense_forward", "dense_backward_weights", "dense_backward_input", "gather_batch",
        "latent_forward", "latent_backward", "likelihood_terms", "optimizer_update"})
    EXPECT_NE(names.find(name), names.npos) << name;
}

TEST_F(Cli, QuietPrintsNothing) {
  EXPECT_EQ(expect_done(tiny_training(data_, path("quiet")) + std::vector<std::string>{"--quiet"}),
            "");
}

TEST_F(Cli, TrainEndsWithItsPicturesAndNumbers) {
  const std::string told = expect_done(tiny_training(data_, path("told")));
  EXPECT_TRUE(contains(told, "\n    2        6 ")) << told;
  EXPECT_TRUE(contains(told, "\n  elbo ")) << told;
  EXPECT_TRUE(contains(told, path("told") + "/samples/epoch-0002.png")) << told;
  EXPECT_FALSE(contains(told, "\r")) << "a bar where there is no terminal";
}

TEST_F(Cli, ResumingEqualsTrainingOn) {
  const std::string whole = path("whole"), halves = path("halves");
  expect_done(tiny_training(data_, whole, "4"));
  expect_done(tiny_training(data_, halves));
  expect_done({"resume", halves, "--epochs", "4", "--quiet"});
  const SafetensorsFile one(fs::path(whole) / "checkpoints/last.safetensors");
  const SafetensorsFile two(fs::path(halves) / "checkpoints/last.safetensors");
  EXPECT_EQ(one.metadata().at("step"), "12");
  EXPECT_EQ(two.metadata().at("step"), "12");
  for (const auto& [name, shape] : std::vector<std::pair<std::string, Shape>>{
           {"encoder.0.weight", {4, 6}}, {"optimizer.second_moment.encoder.0.weight", {4, 6}}}) {
    std::vector<float> a(24), b(24);
    one.read(name, shape, a);
    two.read(name, shape, b);
    EXPECT_EQ(a, b) << name;
  }
}

TEST_F(Cli, NeedsNoNvidiaLibraryToStart) {
  if (std::system("readelf --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no readelf";
  const std::string program = "readelf -d '" + std::string(kElboProgram) + "'";
  EXPECT_NE(std::system((program + " | grep NEEDED | grep -E 'libcu|libnv'").c_str()), 0);
}

}  // namespace
}  // namespace elbo

// `elbo analyze --out` and `--factors`: the files written agree with encode, decode and --json.
#include <png.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/program.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr int64_t kRows = 40, kDim = 64;

class AnalyzeFiles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    expect_done({"generate", "shapes", path("data"), "--train-count", "80", "--test-count",
                 std::to_string(kRows), "--size", "8"});
    train("vae", {"--likelihood", "bernoulli", "--latent-dim", "5"});
    train("plane", {"--likelihood", "gaussian", "--latent-dim", "2"});
    train("plain", {"--recipe", "autoencoder", "--latent-dim", "2"});
    train("classes", {"--recipe", "mlp-classifier"});
  }
  static void TearDownTestSuite() { directory_.reset(); }

  static std::string path(std::string_view name) { return (*directory_ / name).string(); }
  static void train(const std::string& run, const Words& settings) {
    expect_done(Words{"train", path("data"), "--out", path(run), "--hidden", "16", "--epochs", "1",
                      "--batch-size", "16", "--threads", "1", "--device", "cpu", "--quiet"} +
                settings);
  }
  static Words analyze(const std::string& run, const Words& flags) {
    return Words{"analyze", path(run), path("data"), "--device", "cpu"} + flags;
  }
  static std::vector<float> read(const fs::path& file, const Shape& shape) {
    const NpyArray array = open_npy(file);
    EXPECT_EQ(array.shape, shape) << file;
    return to_floats(array, file);
  }
  static std::vector<float> decode(const std::string& run, const std::vector<float>& z,
                                   int64_t latent) {
    const auto count = static_cast<int64_t>(z.size()) / latent;
    write_npy(path("z.npy"), {count, latent}, z);
    expect_done({"decode", path(run), path("z.npy"), "--out", path("x.npy"), "--device", "cpu"});
    return read(path("x.npy"), {count, 8, 8});
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
};

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    names.insert(entry.path().filename().string());
  return names;
}

/// Expects an RGB PNG that is not blank.
void expect_picture(const fs::path& file) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&image, file.c_str()), 0) << file;
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  ASSERT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << file;
  EXPECT_GT(image.width, 100u) << file;
  EXPECT_GT(image.height, 100u) << file;
  EXPECT_GT((std::set<std::uint8_t>(pixels.begin(), pixels.end()).size()), 4u) << file;
}

/// Returns rows [from, from + count) of an array [.., width].
std::vector<float> part(const std::vector<float>& values, int64_t from, int64_t count,
                        int64_t width) {
  return {values.begin() + from * width, values.begin() + (from + count) * width};
}

/// Expects decoded images to be equal up to rounding: the order of additions may depend on the
/// batch size. Outputs are sums of 17 products below 8, and the output functions have slopes of at
/// most 1.
void expect_decoded(const std::vector<float>& got, const std::vector<float>& want) {
  constexpr double kBound = 17 * 8 * std::numeric_limits<float>::epsilon();
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], kBound) << i;
}

TEST_F(AnalyzeFiles, WritesThePrintedResult) {
  const fs::path out = path("vae-out");
  const std::string printed = expect_done(analyze("vae", {"--json", "--out", out.string()}));
  EXPECT_EQ(names_in(out),
            (std::set<std::string>{"analysis.json", "codes.npy", "codes.png", "interpolations.npy",
                                   "interpolations.png", "kl.png", "log_variances.npy",
                                   "traversals.npy", "traversals.png"}));
  EXPECT_EQ(Json::parse(read_bytes(out / "analysis.json")), Json::parse(printed));
  for (const char* name : {"codes.png", "interpolations.png", "kl.png", "traversals.png"})
    expect_picture(out / name);
  // The printed result is the same without --out.
  EXPECT_EQ(expect_done(analyze("vae", {"--json"})), printed);

  expect_done({"encode", path("vae"), path("data"), "--with-logvar", "--out", path("both.npy"),
               "--device", "cpu"});
  const std::vector<float> both = read(path("both.npy"), {kRows, 10});
  const std::vector<float> codes = read(out / "codes.npy", {kRows, 5});
  const std::vector<float> log_variances = read(out / "log_variances.npy", {kRows, 5});
  for (int64_t row = 0; row < kRows; ++row) {
    EXPECT_EQ(part(codes, row, 1, 5), part(both, 2 * row, 1, 5));
    EXPECT_EQ(part(log_variances, row, 1, 5), part(both, 2 * row + 1, 1, 5));
  }
}

TEST_F(AnalyzeFiles, ImagesAreDecodedCodes) {
  const fs::path out = path("decoded-out");
  expect_done(analyze("vae", {"--out", out.string()}));
  const Json json = Json::parse(read_bytes(out / "analysis.json"));

  // One row for each active dimension, in order of decreasing KL; a single row if none is active.
  const std::vector<double> kl = json.at("posterior").at("kl_per_dimension");
  const std::vector<size_t> inactive = json["posterior"].at("inactive");
  std::vector<size_t> shown;
  for (size_t j = 0; j < kl.size(); ++j)
    if (!std::ranges::binary_search(inactive, j) || inactive.size() == kl.size())
      shown.push_back(j);
  std::ranges::stable_sort(shown, std::ranges::greater{}, [&](size_t j) { return kl[j]; });
  if (inactive.size() == kl.size()) shown.resize(1);
  const auto rows = static_cast<int64_t>(shown.size());
  const std::vector<float> traversals = read(out / "traversals.npy", {rows, 13, 8, 8});
  std::vector<float> z;
  for (const size_t j : shown)
    for (int step = -6; step <= 6; ++step) {
      z.resize(z.size() + 5);
      z[z.size() - 5 + j] = 0.5f * static_cast<float>(step);
    }
  expect_decoded(traversals, decode("vae", z, 5));

  const std::vector<float> codes = read(out / "codes.npy", {kRows, 5});
  const std::vector<float> between = read(out / "interpolations.npy", {8, 11, 8, 8});
  // The eight pairs use 16 rows that are two or three apart; the first pair is rows 0 and 2.
  const std::vector<float> ends = decode("vae", part(codes, 0, 3, 5), 5);
  expect_decoded(part(between, 1, 1, kDim), part(ends, 0, 1, kDim));
  expect_decoded(part(between, 9, 1, kDim), part(ends, 2, 1, kDim));
  // The midpoint of the spherical interpolation is the sum of the two codes, scaled to the circle.
  double dot = 0.0, first = 0.0, second = 0.0;
  for (size_t j = 0; j < 5; ++j) {
    dot += double{codes[j]} * codes[10 + j];
    first += double{codes[j]} * codes[j];
    second += double{codes[10 + j]} * codes[10 + j];
  }
  const double scale = std::sqrt(0.5 / (1.0 + dot / std::sqrt(first * second)));
  std::vector<float> middle;
  for (size_t j = 0; j < 5; ++j)
    middle.push_back(static_cast<float>(scale * (double{codes[j]} + codes[10 + j])));
  expect_decoded(part(between, 5, 1, kDim), decode("vae", middle, 5));
  // The outer columns contain the two input rows, binarized as the model saw them.
  for (const int64_t column : {0, 10})
    for (const float value : part(between, column, 1, kDim)) EXPECT_TRUE(value == 0 || value == 1);
  EXPECT_NE(part(between, 0, 1, kDim), part(between, 10, 1, kDim));
}

TEST_F(AnalyzeFiles, DrawsManifoldAndDeviations) {
  const fs::path out = path("plane-out");
  expect_done(analyze("plane", {"--out", out.string()}));
  for (const char* name : {"manifold.png", "deviations.png", "codes.png"})
    expect_picture(out / name);
  const std::vector<float> plane = read(out / "manifold.npy", {20, 20, 8, 8});
  // Corners are the quantiles 2.5 % and 97.5 %: z0 grows to the right, z1 grows upwards.
  const float end = 1.959963985f;
  const std::vector<float> corners =
      decode("plane", {-end, end, end, end, -end, -end, end, -end}, 2);
  int64_t corner = 0;
  for (const int64_t index : {0, 19, 380, 399}) {
    expect_decoded(part(plane, index, 1, kDim), part(corners, corner++, 1, kDim));
  }
  const std::vector<float> deviations = read(out / "deviations.npy", {3, 8, 8});
  const Json decoder = Json::parse(read_bytes(out / "analysis.json")).at("decoder");
  EXPECT_EQ(decoder.at("smallest_deviation"),
            *std::min_element(deviations.begin(), deviations.begin() + kDim));
  EXPECT_EQ(decoder.at("largest_deviation"),
            *std::max_element(deviations.end() - kDim, deviations.end()));
  for (int64_t i = 0; i < kDim; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_LE(deviations[at], deviations[at + kDim] * (1 + 1e-6));
    EXPECT_LE(deviations[at + kDim], deviations[at + 2 * kDim] * (1 + 1e-6));
  }
}

TEST_F(AnalyzeFiles, WritesOnlyApplicableFiles) {
  const fs::path plain = path("plain-out"), classes = path("classes-out");
  expect_done(analyze("plain", {"--out", plain.string()}));
  EXPECT_EQ(names_in(plain),
            (std::set<std::string>{"analysis.json", "codes.npy", "codes.png", "interpolations.npy",
                                   "interpolations.png", "manifold.npy", "manifold.png",
                                   "traversals.npy", "traversals.png"}));
  // No loss pulls these codes towards a prior, so each dimension is traversed from the 1 % to the
  // 99 % quantile of the codes while the other dimension stays at its mean. Of 40 rows, these
  // quantiles are the smallest and the largest code.
  const std::vector<float> codes = read(plain / "codes.npy", {kRows, 2});
  std::vector<double> mean(2), square(2);
  std::vector<std::vector<float>> sorted(2);
  for (size_t i = 0; i < codes.size(); ++i) {
    mean[i % 2] += codes[i] / double{kRows};
    sorted[i % 2].push_back(codes[i]);
  }
  for (size_t i = 0; i < codes.size(); ++i) square[i % 2] += std::pow(codes[i] - mean[i % 2], 2);
  const size_t first = square[0] >= square[1] ? 0 : 1;  // largest variance first
  std::vector<float> z;
  for (const size_t j : {first, 1 - first}) {
    std::ranges::sort(sorted[j]);
    for (const float value : {sorted[j].front(), sorted[j].back()}) {
      z.push_back(static_cast<float>(mean[0]));
      z.push_back(static_cast<float>(mean[1]));
      z[z.size() - 2 + j] = value;
    }
  }
  const std::vector<float> want = decode("plain", z, 2);
  const std::vector<float> traversals = read(plain / "traversals.npy", {2, 13, 8, 8});
  int64_t row = 0;
  for (const int64_t index : {0, 12, 13, 25}) {
    expect_decoded(part(traversals, index, 1, kDim), part(want, row++, 1, kDim));
  }

  expect_done(analyze("classes", {"--out", classes.string()}));
  EXPECT_EQ(names_in(classes), (std::set<std::string>{"analysis.json"}));
}

TEST_F(AnalyzeFiles, RejectsNonEmptyDirectory) {
  fs::create_directories(path("empty"));
  expect_done(analyze("classes", {"--out", path("empty")}));
  expect_complaint(analyze("classes", {"--out", path("empty")}), 2, {"empty", "not empty"});
  expect_complaint(analyze("classes", {"--out", path("data/test-factors.npy")}), 3,
                   {"test-factors.npy"});
  EXPECT_EQ(names_in(path("empty")).size(), 1u);
}

TEST_F(AnalyzeFiles, InformationAndPriorKlSumToKl) {
  const Json json = Json::parse(expect_done(analyze("vae", {"--json"})));
  const Json& aggregate = json.at("aggregate");
  EXPECT_EQ(aggregate.at("draws"), kRows);
  EXPECT_EQ(aggregate.at("log_count"), std::log(double{kRows}));
  const double information = aggregate.at("mutual_information");
  EXPECT_LE(information, std::log(double{kRows}));
  // The standard error of a sum is at most the sum of the standard errors.
  const double error = aggregate.at("mutual_information_standard_error").get<double>() +
                       aggregate.at("prior_kl_standard_error").get<double>();
  EXPECT_NEAR(information + aggregate.at("prior_kl").get<double>(),
              json.at("posterior").at("kl").get<double>(), 5.0 * error);
  EXPECT_TRUE(json.at("findings").is_array());
}

TEST_F(AnalyzeFiles, DrawsTheRequestedNumberOfCodes) {
  const Json some = Json::parse(expect_done(analyze("vae", {"--json", "--draws", "7"})));
  EXPECT_EQ(some.at("aggregate").at("draws"), 7);
  EXPECT_EQ(some["aggregate"].at("log_count"), std::log(double{kRows}));
  expect_complaint(analyze("vae", {"--draws", "0"}), 2, {"draws", "'0'", "at least 1"});
}

TEST_F(AnalyzeFiles, UsesTheFactorsOfTheSplit) {
  for (const char* split : {"test", "train", "validation", "all"}) {
    SCOPED_TRACE(split);
    const Json json = Json::parse(expect_done(analyze("vae", {"--json", "--split", split})));
    const Json& factors = json.at("factors");
    ASSERT_EQ(factors.at("entropy").size(), 5u);
    ASSERT_EQ(factors.at("normalized_mutual_information").size(), 5u);
    for (const Json& row : factors["normalized_mutual_information"])
      for (const Json& value : row) EXPECT_LE(value.get<double>(), 1.0 + 1e-9);
    // The first factor is the label, whose entropy the analysis of the classifier computes too.
    const Json classes = Json::parse(expect_done(analyze("classes", {"--json", "--split", split})));
    EXPECT_NEAR(factors["entropy"][0].get<double>(),
                classes.at("classes").at("label_entropy").get<double>(), 1e-12);
    EXPECT_FALSE(classes.contains("factors"));
  }
  const std::string found = expect_done(analyze("vae", {"--json"}));
  EXPECT_EQ(expect_done(analyze("vae", {"--json", "--factors", path("data/test-factors.npy")})),
            found);
  const std::string output = expect_done(analyze("vae", {}));
  EXPECT_NE(output.find("mutual information gap"), std::string::npos) << output;
}

TEST_F(AnalyzeFiles, RejectsInvalidFactors) {
  expect_complaint(analyze("vae", {"--factors", path("data/train-factors.npy")}), 3,
                   {"train-factors.npy", "80x5", "40 x factors"});
  expect_complaint(analyze("vae", {"--factors", path("none.npy")}), 3, {"none.npy"});
  expect_complaint(analyze("plain", {"--factors", path("data/test-factors.npy")}), 2,
                   {"factors", "bottleneck"});
}

}  // namespace
}  // namespace elbo

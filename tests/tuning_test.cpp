// Choosing between the kernel and a library's products, from measurements made up here.
#include "kernels/cuda/tuning.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/file_fixture.hpp"

namespace elbo::cuda {
namespace {

constexpr int32_t kRows = 128;

DenseForward forward(int32_t in, int32_t out, float* y) {
  DenseForward op;
  op.rows = {nullptr, kRows, 1};
  op.in = in;
  op.out = out;
  op.activation = math::Activation::of<math::Relu>();
  op.y = y;
  return op;
}

DenseBackwardInput backward(int32_t in, int32_t out, const float* saved) {
  DenseBackwardInput op;
  op.rows = {nullptr, kRows, 1};
  op.in = in;
  op.out = out;
  op.activation = math::Activation::of<math::Relu>();
  op.saved = saved;
  return op;
}

TEST(Tuning, KeysTellApartWhatIsMeasuredApart) {
  float place[4];
  std::vector<std::string> keys;
  DenseForward op = forward(784, 400, place);
  keys.push_back(tuning_key(op));
  op.tf32 = true;
  keys.push_back(tuning_key(op));
  op.x = reinterpret_cast<math::Bfloat16*>(place);
  op.tf32 = false;
  keys.push_back(tuning_key(op));
  op.y = reinterpret_cast<math::Bfloat16*>(place);
  keys.push_back(tuning_key(op));
  op.activation = math::Activation::of<math::Tanh>();
  keys.push_back(tuning_key(op));
  op.rows.per_input = 2;
  keys.push_back(tuning_key(op));
  keys.push_back(tuning_key(backward(784, 400, place)));
  keys.push_back(tuning_key(backward(784, 400, nullptr)));
  DenseBackwardWeights weights;
  weights.rows = {nullptr, kRows, 1};
  weights.in = 784;
  weights.out = 400;
  keys.push_back(tuning_key(weights));
  weights.accumulate = true;
  keys.push_back(tuning_key(weights));
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]);
  EXPECT_EQ(tuning_key(SquaredNorm{}), "");
}

TEST(Tuning, TakesTheFastest) {
  float y[1];
  const Program program = {forward(8, 4, y), SquaredNorm{}};
  EXPECT_EQ(choose(program, {}), (std::vector<std::string>{"", ""}));
  const std::string key = tuning_key(program[0]);
  EXPECT_EQ(choose(program, {{key, {.kernel = 2.0, .best_time = 2.0}}}).front(), "");
  EXPECT_EQ(choose(program, {{key, {.kernel = 2.0, .best = "fast", .best_time = 1.0}}}).front(),
            "fast");
}

// A backward product that reads a mask is of use only if the forward product that writes it does
// not cost more than it saves.
TEST(Tuning, TakesMasksInPairs) {
  float hidden[1], other[1];
  const Program program = {forward(8, 4, hidden), forward(4, 8, other), backward(8, 4, other),
                           backward(4, 6, hidden)};
  const auto chosen = [&](double writes, double reads) {
    std::map<std::string, Measurement> m;
    m[tuning_key(program[0])] = {5.0, "plain", 3.0, "writes", writes};
    m[tuning_key(program[3])] = {5.0, "plain", 3.0, "reads", reads};
    m[tuning_key(program[2])] = {5.0, "", 5.0, "reads", 1.0};
    m[tuning_key(program[1])] = {5.0, "", 5.0};  // nothing writes the mask it would read
    return choose(program, m);
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(chosen(3.5, 2.0), (Names{"writes", "", "", "reads"}));
  EXPECT_EQ(chosen(4.5, 2.0), (Names{"plain", "", "", "plain"}));
}

TEST(Tuning, FileKeepsMeasurements) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "deep" / "choices.txt";
  const Measurement both = {4.25, "cuBLASLt RELU_BIAS #0", 3.5, "cuBLASLt RELU_AUX_BIAS #1", 3.75};
  const Measurement kernel = {4.25, "", 4.25};
  {
    TuningFile file(path);
    EXPECT_EQ(file.find("a key"), nullptr);
    EXPECT_TRUE(file.add("a key", both));
    EXPECT_TRUE(file.add("another", kernel));
  }
  std::ofstream(path, std::ios::app) << "half a li";
  const TuningFile file(path);
  ASSERT_NE(file.find("a key"), nullptr);
  EXPECT_EQ(file.find("a key")->best, both.best);
  EXPECT_EQ(file.find("a key")->masked, both.masked);
  EXPECT_EQ(file.find("a key")->kernel, both.kernel);
  EXPECT_EQ(file.find("a key")->best_time, both.best_time);
  EXPECT_EQ(file.find("a key")->masked_time, both.masked_time);
  ASSERT_NE(file.find("another"), nullptr);
  EXPECT_EQ(file.find("another")->best, "");
  EXPECT_EQ(file.find("half a li"), nullptr);
}

TEST(Tuning, GoesOnWithoutAFile) {
  TuningFile nowhere{std::filesystem::path()};
  EXPECT_FALSE(nowhere.add("a key", {}));
  EXPECT_NE(nowhere.find("a key"), nullptr);
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "not a folder";
  TuningFile blocked(directory / "file" / "choices.txt");
  EXPECT_FALSE(blocked.add("a key", {}));
}

}  // namespace
}  // namespace elbo::cuda

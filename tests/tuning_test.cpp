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

/// Each differs from all others in one thing.
std::vector<ConvolutionForward> convolutions(float* place) {
  const ConvolutionForward op = {.rows = {nullptr, kRows, 1},
                                 .shape = {{8, 6, 4}, {4, 3, 2}, 3, 2, 1, 1},
                                 .activation = math::Activation::of<math::Relu>(),
                                 .x = {},
                                 .weight = {},
                                 .y = {},
                                 .preactivation = place};
  std::vector<ConvolutionForward> all(13, op);
  all[1].rows.per_input = 2;
  all[2].shape.wide.height = 9;
  all[3].shape.wide.width = 7;
  all[4].shape.wide.channels = 6;
  all[5].shape.narrow.channels = 6;
  all[6].shape.kernel = 4;
  all[7].shape.stride = 1;
  all[8].shape.padding = 2;
  all[9].shape.groups = 2;
  all[10].transposed = true;
  all[11].precision = Precision::tf32;
  all[12].activation = math::Activation::of<math::Tanh>();
  return all;
}

TEST(Tuning, KeysTellApartWhatIsMeasuredApart) {
  float place[4];
  std::vector<std::string> keys;
  DenseForward op = forward(784, 400, place);
  keys.push_back(tuning_key(op));
  op.precision = Precision::tf32;
  keys.push_back(tuning_key(op));
  op.x = reinterpret_cast<math::Bfloat16*>(place);
  op.precision = Precision::fp32;
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
  for (ConvolutionForward convolution : convolutions(place)) {
    keys.push_back(tuning_key(convolution));
    ConvolutionBackwardInput input;
    input.rows = convolution.rows;
    input.shape = convolution.shape;
    input.transposed = convolution.transposed;
    input.precision = convolution.precision;
    input.grad_y = convolution.x;
    input.saved = convolution.preactivation;
    input.activation = convolution.activation;
    keys.push_back(tuning_key(input));
  }
  ConvolutionBackwardWeights gradient;
  keys.push_back(tuning_key(gradient));
  gradient.accumulate = true;
  keys.push_back(tuning_key(gradient));
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]);
  for (const Op& other : {Op(SquaredNorm{}), Op(L1Terms{}), Op(GroupNormBackward{})})
    EXPECT_EQ(tuning_key(other), "");
}

TEST(Tuning, KnowsWhatIsAProduct) {
  const auto kinds = [](const Op& op) {
    return std::pair(is_matrix_product(op), is_convolution(op));
  };
  EXPECT_EQ(kinds(DenseForward{}), std::pair(true, false));
  EXPECT_EQ(kinds(DenseBackwardWeights{}), std::pair(true, false));
  EXPECT_EQ(kinds(ConvolutionForward{}), std::pair(false, true));
  EXPECT_EQ(kinds(ConvolutionBackwardInput{}), std::pair(false, true));
  EXPECT_EQ(kinds(ConvolutionBackwardWeights{}), std::pair(false, true));
  EXPECT_EQ(kinds(ResampleForward{}), std::pair(false, false));
}

/// A library that knows one way of every op.
class NamedLibrary : public ProductLibrary {
 public:
  explicit NamedLibrary(std::string name) : name_(std::move(name)) {}
  std::string version() const override { return name_ + " 1"; }
  std::vector<std::unique_ptr<LibraryProduct>> candidates(const Op&) override {
    struct Product : LibraryProduct {
      explicit Product(std::string name) : text(std::move(name)) {}
      void enqueue(Stream) override {}
      bool whole() const override { return true; }
      std::string name() const override { return text; }
      std::string text;
    };
    std::vector<std::unique_ptr<LibraryProduct>> list;
    list.push_back(std::make_unique<Product>(name_));
    return list;
  }

 private:
  std::string name_;
};

TEST(ProductLibraries, KnowTheWaysOfAll) {
  ProductLibraries libraries;
  EXPECT_TRUE(libraries.empty());
  libraries.add(std::make_unique<NamedLibrary>("one"));
  EXPECT_EQ(libraries.version(), "one 1");
  libraries.add(std::make_unique<NamedLibrary>("two"));
  EXPECT_FALSE(libraries.empty());
  EXPECT_EQ(libraries.version(), "one 1 two 1");
  std::vector<std::string> names;
  for (const auto& product : libraries.candidates(DenseForward{})) names.push_back(product->name());
  EXPECT_EQ(names, (std::vector<std::string>{"one", "two"}));
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

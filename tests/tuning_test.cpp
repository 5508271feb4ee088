// Choice between the kernel and a library's products, from fake measurements.
#include "kernels/cuda/tuning.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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
  alignas(64) float place[16];
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
  DenseForward unaligned = forward(784, 400, place);
  unaligned.x = reinterpret_cast<const float*>(4);
  keys.push_back(tuning_key(unaligned));
  EXPECT_NE(keys.back(), keys.front());
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
  EXPECT_EQ(chosen(3.5, 2.4), (Names{"plain", "", "", "plain"})) << "no lead of 5 %";
}

/// Of every op, all pointers that a library is given, one of them 4 bytes off a multiple of 64, the
/// next one 16 and the last one 8 bytes.
TEST(Tuning, AlignmentIsThatOfTheLeastAlignedArray) {
  const auto at = [](uintptr_t address) { return reinterpret_cast<float*>(address); };
  DenseForward op;
  EXPECT_EQ(alignment_of(op), 64u) << "null pointers are not read";
  op.x = at(128);
  op.weight = at(256);
  op.y = at(64);
  EXPECT_EQ(alignment_of(op), 64u);
  op.bias = at(64 + 4);
  EXPECT_EQ(alignment_of(op), 4u);
  op.bias = at(64 + 16);
  EXPECT_EQ(alignment_of(op), 16u);
  op.bias_bf16 = reinterpret_cast<math::Bfloat16*>(64 + 2);
  EXPECT_EQ(alignment_of(op), 2u);
  const auto expect_eight = [](auto changed) { EXPECT_EQ(alignment_of(changed), 8u); };
  DenseBackwardInput input;
  for (ConstReals DenseBackwardInput::*each :
       {&DenseBackwardInput::grad_y, &DenseBackwardInput::weight}) {
    DenseBackwardInput changed = input;
    changed.*each = at(64 + 8);
    expect_eight(changed);
  }
  input.grad_x = at(64 + 8);
  expect_eight(input);
  DenseBackwardWeights weights;
  weights.grad_bias = at(64 + 8);
  expect_eight(weights);
  ConvolutionBackwardWeights gradient;
  gradient.grad_weight = at(64 + 8);
  expect_eight(gradient);
  ConvolutionForward convolution;
  convolution.bias = at(64 + 8);
  expect_eight(convolution);
}

struct NamedProduct : LibraryProduct {
  explicit NamedProduct(std::string name) : text(std::move(name)) {}
  void enqueue(Stream) override {}
  bool whole() const override { return true; }
  bool writes_mask() const override { return text.starts_with("masked"); }
  std::string name() const override { return text; }
  std::string text;
};

// The charge for a kernel that nothing overlaps with is 0.7 us; a lead of less than 5 % is none.
TEST(Tuning, LibraryMustLeadByMoreThanTimesDiffer) {
  const auto best_of = [](double kernel, std::vector<double> times) {
    Measurement m{.kernel = kernel, .best_time = kernel};
    for (const double time : times) m.consider(NamedProduct(std::to_string(time)), time);
    return m;
  };
  EXPECT_EQ(best_of(4.0, {3.9}).best, "");
  EXPECT_EQ(best_of(4.0, {3.2}).best, "") << "charged, it takes 3.9";
  EXPECT_EQ(best_of(4.0, {3.0}).best, std::to_string(3.0));
  EXPECT_DOUBLE_EQ(best_of(4.0, {3.0}).best_time, 3.7);
  EXPECT_EQ(best_of(1000.0, {960.0}).best, "");
  EXPECT_EQ(best_of(1000.0, {940.0}).best, std::to_string(940.0));
  EXPECT_EQ(best_of(1000.0, {900.0, 899.0, 901.0}).best, std::to_string(899.0));
  Measurement m{.kernel = 4.0, .best_time = 4.0};
  m.consider(NamedProduct("masked"), 5.0);
  EXPECT_EQ(m.best, "");
  EXPECT_EQ(m.masked, "masked");
  EXPECT_DOUBLE_EQ(m.masked_time, 5.7);
}

TEST(Tuning, CandidateCostsTwentyMilliseconds) {
  EXPECT_EQ(timing_plan(3.0).repeats, 20);
  EXPECT_EQ(timing_plan(3.0).graphs, 7);
  for (const double once : {1.0, 100.0, 130.0, 500.0, 2000.0, 3000.0, 7000.0, 20000.0, 1e6}) {
    const TimingPlan plan = timing_plan(once);
    if (plan.graphs == 0) continue;  // the run that found `once` is enough
    EXPECT_GE(plan.repeats, 1);
    EXPECT_LE(plan.runs() * once, 20000.0) << once;
  }
  EXPECT_GT(timing_plan(9000.0).graphs, 0);
  EXPECT_EQ(timing_plan(11000.0).graphs, 0);
}

TEST(Tuning, GivesUpOnCandidatesFarSlowerThanTheBest) {
  EXPECT_TRUE(is_hopeless(2100.0, 1000.0));
  EXPECT_FALSE(is_hopeless(1900.0, 1000.0));
  EXPECT_FALSE(is_hopeless(15.0, 4.0)) << "of short runs the host is most of the time";
}

TEST(Tuning, FileNameHasAllThatChoicesDependOn) {
  const std::string name = tuning_file_name("NVIDIA H200", 13000, "cuBLASLt 130400", "0a1b");
  EXPECT_EQ(name, "NVIDIA-H200-driver-13000-cuBLASLt-130400-kernels-0a1b.txt");
}

TEST(Tuning, FileKeepsMeasurements) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "deep" / "choices.txt";
  const Measurement both = {4.25, "cuBLASLt RELU_BIAS #0", 3.5, "cuBLASLt RELU_AUX_BIAS #1", 3.75};
  const Measurement kernel = {4.25, "", 4.25};
  {
    TuningFile file(path);
    EXPECT_EQ(file.find("a key"), nullptr);
    file.add("a key", both);
    EXPECT_TRUE(file.written());
    file.add("another", kernel);
    EXPECT_TRUE(file.written());
  }
  std::ofstream(path, std::ios::app) << "half a li";
  TuningFile file(path);
  ASSERT_NE(file.find("a key"), nullptr);
  EXPECT_EQ(file.find("a key")->best, both.best);
  EXPECT_EQ(file.find("a key")->masked, both.masked);
  EXPECT_EQ(file.find("a key")->kernel, both.kernel);
  EXPECT_EQ(file.find("a key")->best_time, both.best_time);
  EXPECT_EQ(file.find("a key")->masked_time, both.masked_time);
  ASSERT_NE(file.find("another"), nullptr);
  EXPECT_EQ(file.find("another")->best, "");
  EXPECT_EQ(file.find("half a li"), nullptr);
  file.add("behind half a line", both);
  EXPECT_NE(TuningFile(path).find("behind half a line"), nullptr);
}

// The line that another process is writing may end within a number.
TEST(Tuning, IgnoresALineWithoutItsEnd) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "choices.txt") << "key\tname\t\t4.5 3.25 1e3";
  EXPECT_EQ(TuningFile(directory / "choices.txt").find("key"), nullptr);
}

TEST(Tuning, FirstLineCounts) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "choices.txt";
  std::ofstream(path) << "key\tfirst\t\t4 3 1e30\nkey\tsecond\t\t4 2 1e30\n";
  TuningFile file(path);
  ASSERT_NE(file.find("key"), nullptr);
  EXPECT_EQ(file.find("key")->best, "first");
}

TEST(Tuning, ProcessesThatMeasureAtOnceChooseAlike) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "choices.txt";
  TuningFile one(path), other(path);
  EXPECT_EQ(one.find("key"), nullptr);
  EXPECT_EQ(other.find("key"), nullptr);
  EXPECT_EQ(one.add("key", {4.0, "one's", 3.0}).best, "one's");
  EXPECT_TRUE(one.written());
  EXPECT_EQ(other.add("key", {4.0, "the other's", 3.0}).best, "one's");
  EXPECT_TRUE(other.written());
  other.add("second key", {4.0, "the other's", 3.0});
  ASSERT_NE(one.find("second key"), nullptr) << "reads what others have added";
  EXPECT_EQ(one.find("second key")->best, "the other's");
  std::ifstream lines(path);
  size_t count = 0;
  for (std::string line; std::getline(lines, line);) ++count;
  EXPECT_EQ(count, 2u);
}

// 8 processes with 50 keys: every key is written once, and all take that line.
TEST(Tuning, FileIsLockedWhileItIsWritten) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "choices.txt";
  constexpr int kProcesses = 8, kKeys = 50;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    TuningFile file(path);
    std::ofstream taken(directory / std::to_string(process));
    for (int key = 0; key < kKeys; ++key)
      taken << file.add("key " + std::to_string(key), {4.0, std::to_string(process), 3.0}).best
            << '\n';
    taken.close();
    _exit(0);
  }
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  const auto content = [&](const std::string& name) {
    std::ifstream file(directory / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string lines = content("choices.txt");
  EXPECT_EQ(std::ranges::count(lines, '\n'), kKeys);
  for (int process = 1; process < kProcesses; ++process)
    EXPECT_EQ(content(std::to_string(process)), content("0"));
}

TEST(Tuning, GoesOnWithoutAFile) {
  TuningFile nowhere{std::filesystem::path()};
  nowhere.add("a key", {});
  EXPECT_FALSE(nowhere.written());
  EXPECT_NE(nowhere.find("a key"), nullptr);
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "not a folder";
  TuningFile blocked(directory / "file" / "choices.txt");
  blocked.add("a key", {});
  EXPECT_FALSE(blocked.written());
  TuningFile folder(directory.path());
  EXPECT_EQ(folder.find("a key"), nullptr);
  folder.add("a key", {});
  EXPECT_FALSE(folder.written());
}

}  // namespace
}  // namespace elbo::cuda

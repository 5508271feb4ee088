// cuDNN as a product library, tested on a fake: the requests, the choice of algorithms, and that
// the arrays and descriptors passed to cuDNN describe the op.
#include "kernels/cuda/cudnn.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "kernels/cuda/gpu_error.hpp"
#include "tests/batch_shapes.hpp"
#include "tests/convolution_shapes.hpp"
#include "tests/fake_cudnn.hpp"

namespace elbo::cuda {
namespace {

using Names = std::vector<std::string>;

class Cudnn : public testing::Test {
 protected:
  Cudnn() : file_(dlopen(ELBO_FAKE_CUDNN, RTLD_NOW)) {
    fake_ = reinterpret_cast<decltype(&::fake_cudnn)>(dlsym(file_, "fake_cudnn"))();
    *fake_ = {};
  }
  ~Cudnn() override { dlclose(file_); }

  std::unique_ptr<ProductLibrary> make(std::string& reason) {
    const auto allocate = [this](size_t bytes) -> std::shared_ptr<void> {
      if (bytes > free_bytes_) throw OutOfMemory("no room");
      return std::shared_ptr<unsigned char[]>(new unsigned char[bytes]);
    };
    const LibrarySearch search = {{"no such file", ELBO_FAKE_CUDNN}, ""};
    return make_cudnn(allocate, reason, &search);
  }
  std::unique_ptr<ProductLibrary> make() {
    std::string reason;
    auto library = make(reason);
    EXPECT_NE(library, nullptr) << reason;
    return library;
  }
  static Names names(const Candidates& candidates) {
    Names list;
    for (const auto& product : candidates.products) list.push_back(product->name());
    return list;
  }

  void* file_;
  FakeCudnn* fake_;
  size_t free_bytes_ = 1 << 20;
};

/// Returns an op without arrays, for tests that depend only on the shape.
ConvolutionForward forward() {
  ConvolutionForward op;
  op.rows = {nullptr, 2, 1};
  op.shape = {{9, 7, 6}, {5, 4, 8}, 3, 2, 1, 2};
  op.activation = math::Activation::of<math::Tanh>();
  return op;
}

TEST_F(Cudnn, SelectsDirectDeterministicAlgorithmsThatFit) {
  const auto library = make();
  EXPECT_EQ(names(library->candidates(forward())), (Names{"cuDNN forward #1", "cuDNN forward #2"}));
  ConvolutionForward op = forward();
  op.transposed = true;
  EXPECT_EQ(names(library->candidates(op)), Names{"cuDNN backward data #1"});
  ConvolutionBackwardInput input;
  input.rows = op.rows;
  input.shape = op.shape;
  EXPECT_EQ(names(library->candidates(input)), Names{"cuDNN backward data #1"});
  input.transposed = true;
  EXPECT_EQ(names(library->candidates(input)),
            (Names{"cuDNN forward #1", "cuDNN forward #2"}));
  ConvolutionBackwardWeights weights;
  weights.rows = op.rows;
  weights.shape = op.shape;
  EXPECT_EQ(names(library->candidates(weights)), Names{"cuDNN backward filter #1"});
}

TEST_F(Cudnn, FusesSupportedEpilogues) {
  const auto library = make();
  const auto taken = [&](auto change) {
    ConvolutionForward op = forward();
    change(op);
    return names(library->candidates(op));
  };
  float number = 0.0f;
  const Names both = {"cuDNN forward #1 with bias", "cuDNN forward #1",
                      "cuDNN forward #2 with bias", "cuDNN forward #2"};
  const Names first = {"cuDNN forward #1 with bias", "cuDNN forward #1", "cuDNN forward #2"};
  const Names none = {"cuDNN forward #1", "cuDNN forward #2"};
  const auto relu = math::Activation::of<math::Relu>();
  EXPECT_EQ(taken([&](auto& op) { op.activation = relu; }), both);
  EXPECT_EQ(taken([&](auto& op) { op.activation = {}; }), first);
  EXPECT_EQ(taken([&](auto& op) {
              op.activation = relu;
              op.preactivation = &number;
            }),
            none);
  EXPECT_EQ(taken([&](auto& op) {
              op.activation = relu;
              op.x.format = op.weight.format = op.y.format = Format::bf16;
            }),
            none);
}

TEST_F(Cudnn, ProposesNothingForUnsupportedOps) {
  const auto library = make();
  EXPECT_TRUE(library->candidates(DenseForward{}).products.empty());
  ConvolutionForward op = forward();
  op.y.format = Format::bf16;  // but the operands are floats
  EXPECT_TRUE(library->candidates(op).products.empty());
  op = forward();
  op.shape.narrow.height -= 1;  // fewer pixels than cuDNN would compute
  EXPECT_TRUE(library->candidates(op).products.empty());
  EXPECT_TRUE(fake_->log.empty());
}

TEST_F(Cudnn, OmitsAlgorithmsThatExceedMemory) {
  const auto library = make();
  free_bytes_ = 999;
  const Candidates candidates = library->candidates(forward());
  EXPECT_EQ(names(candidates), Names{"cuDNN forward #2"});
  EXPECT_EQ(candidates.shortage, "no room");
  free_bytes_ = 1000;
  EXPECT_EQ(library->candidates(forward()).shortage, "");
}

// The algorithms load 16 bytes at a time, so every array must be aligned to 16 bytes.
TEST_F(Cudnn, ProposesNothingForMisalignedArrays) {
  const auto library = make();
  const auto at = [](uintptr_t address) { return reinterpret_cast<float*>(address); };
  ConvolutionForward op = forward();
  op.x = op.weight = at(64);
  op.bias = at(64);
  op.y = at(64);
  EXPECT_FALSE(library->candidates(op).products.empty());
  ConvolutionForward changed = op;
  changed.x = at(64 + 4);
  EXPECT_TRUE(library->candidates(changed).products.empty());
  changed = op;
  changed.bias = at(64 + 8);
  EXPECT_TRUE(library->candidates(changed).products.empty());
  ConvolutionBackwardWeights weights;
  weights.rows = op.rows;
  weights.shape = op.shape;
  EXPECT_FALSE(library->candidates(weights).products.empty());
  weights.grad_weight = at(64 + 4);
  EXPECT_TRUE(library->candidates(weights).products.empty());
}

TEST_F(Cudnn, DescribesTheConvolution) {
  const auto library = make();
  const auto request = [&](const Op& op) {
    fake_->log.clear();
    library->candidates(op);
    return fake_->log.empty() ? "" : fake_->log.front();
  };
  ConvolutionForward op = forward();
  const std::string sizes = "2x9x7x6, weight f32 8x3x3x3, padding 1 1 stride 2 2 groups 2 ";
  EXPECT_EQ(request(op), "forward: wide f32 " + sizes + "fma, narrow f32 2x5x4x8");
  op.precision = Precision::tf32;
  EXPECT_EQ(request(op), "forward: wide f32 " + sizes + "default, narrow f32 2x5x4x8");
  op.transposed = true;
  EXPECT_EQ(request(op), "backward data: wide f32 " + sizes + "default, narrow f32 2x5x4x8");
  op = forward();
  op.x.format = op.weight.format = op.y.format = Format::bf16;
  EXPECT_EQ(request(op),
            "forward: wide bf16 2x9x7x6, weight bf16 8x3x3x3, padding 1 1 stride 2 2 groups 2 "
            "tensor, narrow bf16 2x5x4x8");
  ConvolutionBackwardWeights weights;  // its gradient is always float
  weights.rows = op.rows;
  weights.shape = op.shape;
  weights.x.format = weights.grad_y.format = Format::bf16;
  EXPECT_EQ(request(weights),
            "backward filter: wide bf16 2x9x7x6, weight f32 8x3x3x3, padding 1 1 stride 2 2 "
            "groups 2 tensor, narrow bf16 2x5x4x8");
}

/// Compares the result of every algorithm whose whole() equals `whole` with the CPU's.
/// `make_op(workspace)` returns the op and its result array.
template <class MakeOp>
void expect_results(ProductLibrary& library, bool whole, size_t count, MakeOp make_op) {
  const auto device = make_cpu_device(1);
  Workspace wanted(device);
  const auto wanted_op = make_op(wanted);
  wanted.run({wanted_op.first});
  const std::vector<float> want = wanted.get(wanted_op.second, count);
  int compared = 0;
  for (size_t i = 0;; ++i) {
    Workspace w(device);
    const auto [op, result] = make_op(w);
    const auto candidates = library.candidates(op).products;
    if (i == candidates.size()) break;
    if (candidates[i]->whole() != whole) continue;
    candidates[i]->enqueue({});
    EXPECT_TRUE(same_bits(w.get(result, count), want)) << candidates[i]->name();
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

// Sums of products of eighths are exact in every order. If the bias is zero and the activation the
// identity, an algorithm without epilogue also computes the complete result.
TEST_F(Cudnn, ResultsMatchTheCpu) {
  const auto library = make();
  for (const ConvolutionCase& c : convolutions())
    for (const bool transposed : {false, true}) {
      if (c.shifted != 0 || c.wide(c.active) > 2000) continue;
      SCOPED_TRACE(testing::Message() << c << (transposed ? ", transposed" : ""));
      const size_t in = transposed ? c.narrow(c.active) : c.wide(c.active),
                   out = transposed ? c.wide(c.active) : c.narrow(c.active);
      const auto channels =
          static_cast<size_t>(transposed ? c.shape.wide.channels : c.shape.narrow.channels);
      const auto prepare = [&](Workspace& w, auto& op) {
        StepState state;
        state.rows = c.active;
        op.rows = {w.put(std::vector{state}), c.active, 1};
        op.shape = c.shape;
        op.transposed = transposed;
      };
      const auto expect_forward = [&](bool whole, math::Activation activation) {
        expect_results(*library, whole, out, [&](Workspace& w) {
          ConvolutionForward op;
          prepare(w, op);
          op.activation = activation;
          op.x = w.put(odd_eighths(in, 1));
          op.weight = w.put(odd_eighths(c.weights(), 2));
          op.bias = w.put(whole ? odd_eighths(channels, 8) : std::vector<float>(channels));
          float* y = w.output<float>(out);
          op.y = y;
          return std::pair{op, y};
        });
      };
      expect_forward(false, {});
      if (!transposed) {
        expect_forward(true, {});
        expect_forward(true, math::Activation::of<math::Relu>());
      }
      expect_results(*library, true, in, [&](Workspace& w) {
        ConvolutionBackwardInput op;
        prepare(w, op);
        op.grad_y = w.put(odd_eighths(out, 3));
        op.weight = w.put(odd_eighths(c.weights(), 4));
        float* grad_x = w.output<float>(in);
        op.grad_x = grad_x;
        return std::pair{op, grad_x};
      });
      for (const bool accumulate : {false, true})
        expect_results(*library, false, c.weights(), [&](Workspace& w) {
          ConvolutionBackwardWeights op;
          prepare(w, op);
          op.accumulate = accumulate;
          op.grad_y = w.put(odd_eighths(out, 5));
          op.x = w.put(odd_eighths(in, 6));
          op.grad_weight =
              accumulate ? w.put(odd_eighths(c.weights(), 7)) : w.output<float>(c.weights());
          op.grad_bias = w.output<float>(channels);
          return std::pair{op, op.grad_weight};
        });
    }
}

TEST_F(Cudnn, ReportsUnfinishedOps) {
  const auto library = make();
  ConvolutionForward op = forward();
  op.activation = math::Activation::of<math::Relu>();
  for (const auto& product : library->candidates(op).products)
    EXPECT_EQ(product->whole(), product->name().ends_with("with bias"));
  ConvolutionBackwardInput input;
  input.rows = op.rows;
  input.shape = op.shape;
  float saved = 0.0f;
  for (const bool transposed : {false, true})
    for (const bool activated : {false, true}) {
      input.transposed = transposed;
      input.saved = activated ? &saved : nullptr;
      for (const auto& product : library->candidates(input).products)
        EXPECT_EQ(product->whole(), !activated) << product->name();
    }
  ConvolutionBackwardWeights weights;
  weights.rows = op.rows;
  weights.shape = op.shape;
  for (const auto& product : library->candidates(weights).products) EXPECT_FALSE(product->whole());
}

TEST_F(Cudnn, RunsOnTheGivenStream) {
  const auto library = make();
  ConvolutionForward op = forward();
  std::vector<float> x(2 * 9 * 7 * 6), weight(8 * 3 * 3 * 3), y(2 * 5 * 4 * 8);
  op.x = x.data();
  op.weight = weight.data();
  op.y = y.data();
  const auto candidates = library->candidates(op).products;
  fake_->log.clear();
  candidates[0]->enqueue(Stream(reinterpret_cast<CUstream_st*>(0x10)));
  candidates[1]->enqueue(Stream(reinterpret_cast<CUstream_st*>(0x20)));
  EXPECT_EQ(fake_->log,
            (Names{"forward #1 workspace 1000 stream 0x10", "forward #2 workspace 0 stream 0x20"}));
}

TEST_F(Cudnn, ReportsWhyItIsUnavailable) {
  std::string reason;
  const LibrarySearch missing = {{"no such file", "nor this"}, "two places"};
  EXPECT_EQ(make_cudnn({}, reason, &missing), nullptr);
  EXPECT_TRUE(reason.starts_with("cannot load cuDNN: no such file")) << reason;
  EXPECT_TRUE(reason.ends_with("; looked for in two places")) << reason;
  fake_->version = 80905;
  EXPECT_EQ(make(reason), nullptr);
  EXPECT_EQ(reason, "the installed cuDNN is version 80905, expected version 9");
  *fake_ = {};
  fake_->starts = false;
  EXPECT_EQ(make(reason), nullptr);
  EXPECT_EQ(reason, "cuDNN failed to start: as the test wants it");
}

TEST_F(Cudnn, ReleasesItsObjects) {
  {
    auto library = make();
    EXPECT_EQ(library->version(), "cuDNN 91900");
    EXPECT_EQ(library->path(), ELBO_FAKE_CUDNN);
    const auto products = library->candidates(forward()).products;
    const int alive = fake_->alive;
    EXPECT_GT(alive, 1);
    library.reset();
    EXPECT_EQ(fake_->alive, alive) << "products must keep their descriptors alive";
  }
  EXPECT_EQ(fake_->alive, 0);
}

}  // namespace
}  // namespace elbo::cuda

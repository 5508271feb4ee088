// Measuring cuBLASLt's products: the requests, and the handling of failures.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/trial.hpp"

namespace elbo::cuda {
namespace {

using Names = std::vector<std::string>;

constexpr int32_t kRows = 16;
constexpr size_t kArray = 1 << 16;  // bytes

/// Consecutive arrays, and ops on them of which only the shape matters.
class ProductTrialsTest : public testing::Test {
 protected:
  ProductTrialsTest() {
    ELBO_CUDA(cudaMemset(memory_.get(), 0, 8 * kArray));
    std::string reason;
    library_ = make_cublaslt(reason);
    reason_ = reason;
  }
  void SetUp() override {
    if (library_ == nullptr) GTEST_SKIP() << reason_;
  }

  char* array(int number, size_t offset = 0) const {
    return static_cast<char*>(memory_.get()) + static_cast<size_t>(number) * kArray + offset;
  }
  Reals reals(int number, Format format = Format::f32) const { return {array(number), format}; }
  const StepState* state() const { return reinterpret_cast<const StepState*>(array(7)); }

  DenseForward forward(int32_t in, int32_t out, Format format = Format::f32) const {
    DenseForward op;
    op.rows = {state(), kRows, 1};
    op.in = in;
    op.out = out;
    op.activation = math::Activation::of<math::Relu>();
    op.x = reals(0, format);
    op.weight = reals(1, format);
    op.bias = reals(2).f32();
    if (format == Format::bf16) op.bias_bf16 = reals(3, format).as<math::Bfloat16>();
    op.y = reals(4, format);
    return op;
  }
  DenseBackwardInput backward(int32_t in, int32_t out, Format format) const {
    DenseBackwardInput op;
    op.rows = {state(), kRows, 1};
    op.in = in;
    op.out = out;
    op.activation = math::Activation::of<math::Relu>();
    op.grad_y = reals(0, format);
    op.weight = reals(1, format);
    op.saved = reals(4, format);
    op.grad_x = reals(5, format);
    return op;
  }
  DenseBackwardWeights weights(int32_t in, int32_t out) const {
    DenseBackwardWeights op;
    op.rows = {state(), kRows, 1};
    op.in = in;
    op.out = out;
    op.grad_y = reals(0);
    op.x = reals(1);
    op.grad_weight = reals(2).f32();
    op.grad_bias = reals(3).f32();
    return op;
  }
  bool offers(const Op& op, const std::string& kind = "") const {
    return std::ranges::any_of(library_->candidates(op).products, [&](const auto& product) {
      return product->name().find(kind) != std::string::npos;
    });
  }

  DeviceMemory memory_{8 * kArray, "a test"};
  OwnedStream stream_;
  std::unique_ptr<ProductLibrary> library_;
  std::string reason_;
};

TEST_F(ProductTrialsTest, LibraryIsAskedForAlignedArraysAlone) {
  const DenseForward op = forward(32, 32);
  EXPECT_TRUE(offers(op));
  for (const size_t offset : {4, 8}) {
    const auto moved = [&](int number) { return reinterpret_cast<float*>(array(number, offset)); };
    DenseForward changed = op;
    changed.x = moved(0);
    EXPECT_FALSE(offers(changed));
    changed = op;
    changed.weight = moved(1);
    EXPECT_FALSE(offers(changed));
    changed = op;
    changed.bias = moved(2);
    EXPECT_FALSE(offers(changed));
    changed = op;
    changed.y = moved(4);
    EXPECT_FALSE(offers(changed));
  }
}

TEST_F(ProductTrialsTest, LibraryIsAskedForAlignedLinesAlone) {
  EXPECT_TRUE(offers(forward(20, 32)));
  EXPECT_FALSE(offers(forward(50, 32)));
  EXPECT_FALSE(offers(forward(32, 50)));
  EXPECT_TRUE(offers(forward(24, 32, Format::bf16)));
  EXPECT_FALSE(offers(forward(20, 32, Format::bf16)));
  EXPECT_FALSE(offers(backward(32, 20, Format::bf16)));
}

TEST_F(ProductTrialsTest, BiasGradientIsFusedInWideLayersAlone) {
  for (const int32_t out : {1, 4, 8, 12, 20, 28}) EXPECT_FALSE(offers(weights(32, out), "BGRADB"));
  for (const int32_t out : {16, 24, 64}) EXPECT_TRUE(offers(weights(32, out), "BGRADB"));
}

TEST_F(ProductTrialsTest, MaskIsHeldByItsProducts) {
  auto writers = library_->candidates(forward(32, 32));
  EXPECT_TRUE(offers(backward(32, 32, Format::f32), "DRELU"));
  auto readers = library_->candidates(backward(32, 32, Format::f32));
  writers.products.clear();
  EXPECT_TRUE(offers(backward(32, 32, Format::f32), "DRELU"));
  readers.products.clear();
  EXPECT_FALSE(offers(backward(32, 32, Format::f32), "DRELU"));
}

// The library wants a bias in bfloat16 for a mask of a layer whose output is in bfloat16.
TEST_F(ProductTrialsTest, ProductsThatReadAMaskAreMeasured) {
  for (const Format format : {Format::f32, Format::bf16}) {
    const Measurement m = make_trials(stream_.get())->measure(backward(32, 32, format), *library_);
    EXPECT_TRUE(m.masked.starts_with("cuBLASLt DRELU")) << m.masked;
  }
}

// A product that adds to its result would leave the double of it.
TEST_F(ProductTrialsTest, TryingAProductChangesNothing) {
  DenseBackwardWeights op = weights(32, 32);
  op.accumulate = true;
  const std::vector<float> ones(2048, 1.0f);
  for (const int number : {0, 1, 2})
    ELBO_CUDA(cudaMemcpy(array(number), ones.data(), 4 * ones.size(), cudaMemcpyHostToDevice));
  const auto candidates = library_->candidates(op);
  ASSERT_FALSE(candidates.products.empty());
  EXPECT_GE(make_trials(stream_.get())->try_out(op, *candidates.products[0]), 1u);
  std::vector<float> after(ones.size());
  ELBO_CUDA(cudaMemcpy(after.data(), array(2), 4 * after.size(), cudaMemcpyDeviceToHost));
  EXPECT_EQ(after, ones);
}

/// A library whose products call a function of the test instead.
class Meddling : public ProductLibrary {
 public:
  using Act = std::function<void(LibraryProduct&, Stream)>;

  Meddling(ProductLibrary& library, Act act) : library_(library), act_(std::move(act)) {}
  std::string version() const override { return library_.version(); }
  std::string path() const override { return library_.path(); }
  Candidates candidates(const Op& op) override {
    Candidates all;
    auto products = library_.candidates(op).products;
    products.resize(1);
    all.products.push_back(std::make_unique<Product>(std::move(products[0]), act_));
    return all;
  }

 private:
  struct Product : LibraryProduct {
    Product(std::unique_ptr<LibraryProduct> product, const Act& act)
        : inner(std::move(product)), acting(act) {}
    void enqueue(Stream stream) override { acting(*inner, stream); }
    bool whole() const override { return inner->whole(); }
    std::string name() const override { return inner->name(); }
    std::unique_ptr<LibraryProduct> inner;
    const Act& acting;
  };
  ProductLibrary& library_;
  Act act_;
};

// Once for its result, and once for its time.
TEST_F(ProductTrialsTest, ProductsThatAreFarTooSlowAreRunTwice) {
  int calls = 0;
  Meddling slow(*library_, [&](LibraryProduct& product, Stream stream) {
    ++calls;
    for (int i = 0; i < 100; ++i) product.enqueue(stream);
  });
  EXPECT_EQ(make_trials(stream_.get())->measure(backward(32, 32, Format::f32), slow).best, "");
  EXPECT_EQ(calls, 2);
}

TEST_F(ProductTrialsTest, RefusedProductsAreCandidatesLess) {
  Meddling refusing(*library_, [](LibraryProduct&, Stream) { throw DeviceError("not supported"); });
  Measurement m = make_trials(stream_.get())->measure(forward(32, 32), refusing);
  EXPECT_EQ(m.best, "");
  EXPECT_GT(m.kernel, 0.0);
  EXPECT_EQ(m.shortage, "");
  Meddling hungry(*library_, [](LibraryProduct&, Stream) {
    const DeviceMemory all(size_t{1} << 60, "all there is");
  });
  m = make_trials(stream_.get())->measure(forward(32, 32), hungry);
  EXPECT_EQ(m.best, "");
  EXPECT_NE(m.shortage.find("all there is"), std::string::npos);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

// In a process of its own, which has no GPU afterwards. The fault is in a product whose result is
// not in memory.
TEST_F(ProductTrialsTest, FaultsEndTheMeasuring) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto fault = [&] {
    DenseForward wild = forward(32, 32);
    wild.y = reinterpret_cast<float*>(64);
    const auto candidates = library_->candidates(wild);
    Meddling faulty(*library_, [&](LibraryProduct&, Stream stream) {
      candidates.products[0]->enqueue(stream);
    });
    try {
      make_trials(stream_.get())->measure(forward(32, 32), faulty);
      std::fputs("measured", stderr);
    } catch (const GpuLost& error) {
      std::fputs(error.what(), stderr);
      std::_Exit(7);
    }
    std::_Exit(1);
  };
  EXPECT_EXIT(fault(), testing::ExitedWithCode(7),
              "the GPU is lost to this process: .* while trying cuBLASLt DEFAULT #0 for dense_fo");
}

}  // namespace
}  // namespace elbo::cuda

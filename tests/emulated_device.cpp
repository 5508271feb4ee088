#include "tests/emulated_device.hpp"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <utility>

#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/library.hpp"
#include "kernels/host_copy.hpp"
#include "tests/convolution_shapes.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elbo {
namespace {

using cuda::emulation::Executor;

/// A matrix with a row stride and a column stride, in elements.
struct Strided {
  const float* data;
  int64_t row, column;
  double at(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

/// Sums in double, which is closer to the exact product than any float BLAS.
class LoopProduct : public cuda::LibraryProduct {
 public:
  LoopProduct(int64_t rows, int64_t columns, int64_t depth, Strided left, Strided right,
              float* result, bool accumulate = false)
      : rows_(rows),
        columns_(columns),
        depth_(depth),
        left_(left),
        right_(right),
        result_(result),
        accumulate_(accumulate) {}

  void enqueue(cuda::Stream) override {
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < columns_; ++j) {
        float& result = result_[i * columns_ + j];
        double sum = accumulate_ ? result : 0.0;
        for (int64_t k = 0; k < depth_; ++k) sum += left_.at(i, k) * right_.at(k, j);
        result = static_cast<float>(sum);
      }
  }
  bool whole() const override { return false; }
  std::string name() const override { return "loop"; }

 private:
  int64_t rows_, columns_, depth_;
  Strided left_, right_;
  float* result_;
  bool accumulate_;
};

std::unique_ptr<cuda::LibraryProduct> loop_product(const DenseForward& op) {
  return std::make_unique<LoopProduct>(op.rows.capacity(), op.out, op.in,
                                       Strided{op.x.f32(), op.in, 1},
                                       Strided{op.weight.f32(), 1, op.in}, op.y.f32());
}
std::unique_ptr<cuda::LibraryProduct> loop_product(const DenseBackwardInput& op) {
  return std::make_unique<LoopProduct>(op.rows.capacity(), op.in, op.out,
                                       Strided{op.grad_y.f32(), op.out, 1},
                                       Strided{op.weight.f32(), op.in, 1}, op.grad_x.f32());
}
std::unique_ptr<cuda::LibraryProduct> loop_product(const DenseBackwardWeights& op) {
  return std::make_unique<LoopProduct>(
      op.out, op.in, op.rows.capacity(), Strided{op.grad_y.f32(), 1, op.out},
      Strided{op.x.f32(), op.in, 1}, op.grad_weight, op.accumulate);
}

class LoopConvolution : public cuda::LibraryProduct {
 public:
  /// Computes `count` sums in double; `add` adds all products to them.
  LoopConvolution(float* result, int64_t count, bool accumulate,
                  std::function<void(std::vector<double>&)> add)
      : result_(result), count_(count), accumulate_(accumulate), add_(std::move(add)) {}

  void enqueue(cuda::Stream) override {
    std::vector<double> sums(static_cast<size_t>(count_));
    if (accumulate_) std::copy(result_, result_ + count_, sums.begin());
    add_(sums);
    for (size_t i = 0; i < sums.size(); ++i) result_[i] = static_cast<float>(sums[i]);
  }
  bool whole() const override { return false; }
  std::string name() const override { return "loop"; }

 private:
  float* result_;
  int64_t count_;
  bool accumulate_;
  std::function<void(std::vector<double>&)> add_;
};

/// Returns the product that computes one side of a convolution from the other: the wide side if
/// `to_wide`, otherwise the narrow side.
std::unique_ptr<cuda::LibraryProduct> loop_convolution(const ConvolutionShape& s, int64_t rows,
                                                       bool to_wide, const float* source,
                                                       const float* weight, float* result) {
  return std::make_unique<LoopConvolution>(
      result, rows * (to_wide ? s.wide : s.narrow).size(), false, [=](std::vector<double>& sums) {
        for_convolution_products(s, rows, [&](int64_t wide, int64_t narrow, int64_t w) {
          const int64_t from = to_wide ? narrow : wide, to = to_wide ? wide : narrow;
          sums[static_cast<size_t>(to)] += static_cast<double>(source[from]) * weight[w];
        });
      });
}
std::unique_ptr<cuda::LibraryProduct> loop_product(const ConvolutionForward& op) {
  return loop_convolution(op.shape, op.rows.capacity(), op.transposed, op.x.f32(), op.weight.f32(),
                          op.y.f32());
}
std::unique_ptr<cuda::LibraryProduct> loop_product(const ConvolutionBackwardInput& op) {
  return loop_convolution(op.shape, op.rows.capacity(), !op.transposed, op.grad_y.f32(),
                          op.weight.f32(), op.grad_x.f32());
}
std::unique_ptr<cuda::LibraryProduct> loop_product(const ConvolutionBackwardWeights& op) {
  const float* wide = (op.transposed ? op.grad_y : op.x).f32();
  const float* narrow = (op.transposed ? op.x : op.grad_y).f32();
  return std::make_unique<LoopConvolution>(
      op.grad_weight, op.shape.weights(), op.accumulate, [=](std::vector<double>& sums) {
        for_convolution_products(
            op.shape, op.rows.capacity(), [&](int64_t w, int64_t n, int64_t weight) {
              sums[static_cast<size_t>(weight)] += static_cast<double>(wide[w]) * narrow[n];
            });
      });
}

/// Flushes subnormals to zero while in scope, as a GPU does with nvcc's -ftz=true.
class FlushSubnormals {
 public:
#if defined(__x86_64__)
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#endif
};

class EmulatedExecutable : public Executable {
 public:
  EmulatedExecutable(Executor executor, Program program, EmulatedProducts products)
      : executor_(std::move(executor)), program_(std::move(program)), products_(products) {}

  void run(uint64_t repeats) override {
    const cuda::emulation::ScopedExecutor scope(executor_);
    const FlushSubnormals flush;
    for (uint64_t i = 0; i < repeats; ++i)
      for (const Op& op : program_) std::visit([&](const auto& each) { launch(each); }, op);
  }

 private:
  template <class O>
  void launch(const O& op) const {
    // Exactly the requested size, so that a sanitizer detects overruns, and filled with NaN, so
    // that reads of unwritten elements show.
    std::vector<float> scratch(cuda::scratch_bytes(op) / sizeof(float),
                               std::numeric_limits<float>::quiet_NaN());
    const cuda::Queue queue = {.stream = nullptr, .scratch = scratch.data(), .early_reads = true};
    if constexpr (requires { loop_product(op); }) {
      if (products_ == EmulatedProducts::library) {
        loop_product(op)->enqueue(nullptr);
        return cuda::finish_library_product(op, queue);
      }
    }
    cuda::launch_op(op, queue);
  }

  Executor executor_;
  Program program_;
  EmulatedProducts products_;
};

class EmulatedDevice : public Device {
 public:
  EmulatedDevice(Executor executor, EmulatedProducts products)
      : executor_(std::move(executor)), products_(products) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  std::string describe() const override { return "emulated GPU"; }
  bool shares_host_memory() const noexcept override { return false; }

  void* allocate(size_t bytes, std::string_view) override {
    constexpr size_t kAlignment = 64;
    void* memory =
        std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void release(void* memory) noexcept override { std::free(memory); }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill_zero(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }
  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return std::make_unique<HostCopy>(from, bytes);
  }

  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<EmulatedExecutable>(executor_, std::move(program), products_);
  }
  void synchronize() override {}

 private:
  Executor executor_;
  EmulatedProducts products_;
};

}  // namespace

std::shared_ptr<Device> make_emulated_device(Executor executor, EmulatedProducts products) {
  return std::make_shared<EmulatedDevice>(std::move(executor), products);
}

}  // namespace elbo

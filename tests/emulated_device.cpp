#include "tests/emulated_device.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/cuda/execution.cuh"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elbo {
namespace {

using cuda::Gemm;
using cuda::MatrixProduct;
using cuda::emulation::Executor;

/// Sums in double: nearer to the exact product than any BLAS in float.
class LoopGemm : public Gemm {
 public:
  void multiply(const MatrixProduct& p) override {
    const int64_t a_row = p.a_transposed ? 1 : p.k, a_column = p.a_transposed ? p.m : 1;
    const int64_t b_row = p.b_transposed ? 1 : p.n, b_column = p.b_transposed ? p.k : 1;
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = 0.0;
        for (int64_t k = 0; k < p.k; ++k)
          sum += static_cast<double>(p.a[i * a_row + k * a_column]) * p.b[k * b_row + j * b_column];
        p.c[i * p.n + j] = static_cast<float>(sum);
      }
  }
};

/// Flushes subnormals while in scope, as nvcc's -ftz=true makes a GPU do.
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
  EmulatedExecutable(Executor executor, Program program)
      : executor_(std::move(executor)), program_(std::move(program)) {}

  void run(uint64_t repeats) override {
    const cuda::emulation::ScopedExecutor scope(executor_);
    const FlushSubnormals flush;
    LoopGemm gemm;
    for (uint64_t i = 0; i < repeats; ++i) cuda::launch_program(program_, {nullptr, gemm});
  }

 private:
  Executor executor_;
  Program program_;
};

class EmulatedDevice : public Device {
 public:
  explicit EmulatedDevice(Executor executor) : executor_(std::move(executor)) {}

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

  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<EmulatedExecutable>(executor_, std::move(program));
  }
  void synchronize() override {}

 private:
  Executor executor_;
};

}  // namespace

std::shared_ptr<Device> make_emulated_device(Executor executor) {
  return std::make_shared<EmulatedDevice>(std::move(executor));
}

}  // namespace elbo

// An NVIDIA GPU as a device: one stream, on which everything is queued in order.
#include <cuda_runtime.h>

#include "kernels/core/error.hpp"
#include "kernels/cuda/cublas_gemm.hpp"
#include "kernels/cuda/execution.cuh"
#include "kernels/device.hpp"

namespace elbo {
namespace cuda {

/// Does nothing; asked whether this program has machine code for a GPU.
__global__ void image_probe_kernel() {}

namespace {

void check(cudaError_t status, std::string_view action) {
  if (status == cudaSuccess) return;
  throw DeviceError("the GPU failed to " + std::string(action) + ": " + cudaGetErrorString(status) +
                    " (" + cudaGetErrorName(status) + ")");
}

/// Counts the GPUs; where that fails, nothing else may be asked of CUDA.
CudaProbe count_devices() {
  CudaProbe probe;
  const cudaError_t status = cudaGetDeviceCount(&probe.devices);
  if (status == cudaSuccess && probe.devices > 0) return probe;
  probe.devices = 0;  // not written by a call that failed
  switch (status) {
    case cudaSuccess:
    case cudaErrorNoDevice:
      probe.reason = "there is no NVIDIA GPU";
      break;
    case cudaErrorInsufficientDriver:
      probe.reason = "there is no NVIDIA driver, or one older than CUDA " +
                     std::to_string(CUDART_VERSION / 1000) + " needs";
      break;
    default:
      probe.reason = std::string("CUDA does not start: ") + cudaGetErrorString(status) + " (" +
                     cudaGetErrorName(status) + ")";
  }
  return probe;
}

/// Why GPU `ordinal` cannot be used, or "". Makes it the current one.
std::string defect(int ordinal) {
  cudaFuncAttributes attributes;
  cudaError_t status = cudaSetDevice(ordinal);
  if (status == cudaSuccess) status = cudaFuncGetAttributes(&attributes, image_probe_kernel);
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    cudaGetLastError();
    return "this build has no code for its architecture (set ELBO_CUDA_ARCHITECTURES)";
  }
  if (status != cudaSuccess) {
    cudaGetLastError();
    return cudaGetErrorString(status);
  }
  try {
    load_cublas();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

/// A GPU's stream, shared by the device and the programs prepared for it.
class StreamContext {
 public:
  explicit StreamContext(int ordinal) : ordinal_(ordinal) {
    make_current();
    // Ordered with the default stream too, where cuRAND works.
    check(cudaStreamCreate(&stream_), "create a stream");
    gemm_ = make_cublas_gemm(stream_);
  }
  ~StreamContext() {
    cudaSetDevice(ordinal_);
    gemm_.reset();
    cudaStreamDestroy(stream_);
  }
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

  /// CUDA's current device is a property of the calling thread.
  void make_current() const { check(cudaSetDevice(ordinal_), "be selected"); }
  void synchronize() const {
    make_current();
    check(cudaStreamSynchronize(stream_), "finish its work");
  }
  int ordinal() const { return ordinal_; }
  cudaStream_t stream() const { return stream_; }
  Queue queue() const { return {stream_, *gemm_}; }

 private:
  int ordinal_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Gemm> gemm_;
};

class CudaExecutable : public Executable {
 public:
  CudaExecutable(std::shared_ptr<const StreamContext> context, Program program)
      : context_(std::move(context)), program_(std::move(program)) {}

  void run(uint64_t repeats) override {
    context_->make_current();
    for (uint64_t i = 0; i < repeats; ++i) launch_program(program_, context_->queue());
  }

 private:
  std::shared_ptr<const StreamContext> context_;
  Program program_;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(int ordinal) : context_(std::make_shared<StreamContext>(ordinal)) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  std::string describe() const override {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, context_->ordinal()), "describe itself");
    return std::string(properties.name) + " (cuda:" + std::to_string(context_->ordinal()) + "), " +
           mebibytes(properties.totalGlobalMem);
  }
  bool shares_host_memory() const noexcept override { return false; }

  void* allocate(size_t bytes, std::string_view purpose) override {
    context_->make_current();
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not sticky: the device stays usable
      size_t free = 0, total = 0;
      check(cudaMemGetInfo(&free, &total), "tell its free memory");
      throw DeviceError("out of GPU memory: " + std::string(purpose) + " needs " +
                        mebibytes(bytes) + ", " + mebibytes(free) + " of " + mebibytes(total) +
                        " are free; a smaller batch size or model needs less");
    }
    check(status, "allocate memory");
    return memory;
  }
  void release(void* memory) noexcept override {
    cudaSetDevice(context_->ordinal());
    cudaFree(memory);
  }
  void upload(void* to_device, const void* from_host, size_t bytes) override {
    copy(to_device, from_host, bytes, cudaMemcpyHostToDevice);
  }
  void download(void* to_host, const void* from_device, size_t bytes) override {
    copy(to_host, from_device, bytes, cudaMemcpyDeviceToHost);
  }
  void fill_zero(void* on_device, size_t bytes) override {
    context_->make_current();
    check(cudaMemsetAsync(on_device, 0, bytes, context_->stream()), "clear memory");
  }

  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<CudaExecutable>(context_, std::move(program));
  }
  void synchronize() override { context_->synchronize(); }

 private:
  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    context_->make_current();
    check(cudaMemcpyAsync(to, from, bytes, kind, context_->stream()), "copy memory");
    context_->synchronize();
  }

  std::shared_ptr<const StreamContext> context_;
};

}  // namespace
}  // namespace cuda

CudaProbe probe_cuda() noexcept {
  try {
    CudaProbe probe = cuda::count_devices();
    if (probe.devices == 0) return probe;
    std::string reason = cuda::defect(0);
    if (!reason.empty()) return {0, std::move(reason)};
    return probe;
  } catch (...) {
    return {};
  }
}

std::shared_ptr<Device> make_cuda_device(int ordinal) {
  const CudaProbe probe = cuda::count_devices();
  if (probe.devices == 0) throw DeviceError("no GPU can be used: " + probe.reason);
  const std::string name = "cuda:" + std::to_string(ordinal);
  if (ordinal < 0 || ordinal >= probe.devices)
    throw DeviceError("device " + name + " does not exist: this machine has cuda:0" +
                      (probe.devices > 1 ? " to cuda:" + std::to_string(probe.devices - 1) : ""));
  if (const std::string reason = cuda::defect(ordinal); !reason.empty())
    throw DeviceError("device " + name + " cannot be used: " + reason);
  return std::make_shared<cuda::CudaDevice>(ordinal);
}

}  // namespace elbo

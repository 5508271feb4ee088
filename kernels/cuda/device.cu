// An NVIDIA GPU as a device: one stream, on which everything is queued in order.
#include <cuda_runtime.h>

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/executable.hpp"
#include "kernels/cuda/transfer_queue.hpp"
#include "kernels/device.hpp"

namespace elbo {
namespace cuda {

/// Does nothing; asked whether this program has machine code for a GPU.
__global__ void image_probe_kernel() {}

namespace {

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
  return "";
}

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

/// Through memory that the GPU writes to directly; an event tells when it is there.
class CudaDownload : public Download {
 public:
  CudaDownload(std::shared_ptr<const StreamContext> context, const void* from, size_t bytes)
      : context_(std::move(context)) {
    context_->make_current();
    check(cudaMallocHost(&host_, bytes), "find room for what it reports");
    check(cudaEventCreateWithFlags(&there_, cudaEventDisableTiming), "create an event");
    check(cudaMemcpyAsync(host_, from, bytes, cudaMemcpyDeviceToHost, context_->stream()),
          "copy memory");
    check(cudaEventRecord(there_, context_->stream()), "record an event");
  }
  ~CudaDownload() override {
    cudaSetDevice(context_->ordinal());
    if (there_ != nullptr) cudaEventSynchronize(there_);
    cudaEventDestroy(there_);
    cudaFreeHost(host_);
  }
  CudaDownload(const CudaDownload&) = delete;
  CudaDownload& operator=(const CudaDownload&) = delete;

  const std::byte* wait() override {
    context_->make_current();
    check(cudaEventSynchronize(there_), "finish its work");
    return static_cast<const std::byte*>(host_);
  }

 private:
  std::shared_ptr<const StreamContext> context_;
  void* host_ = nullptr;
  cudaEvent_t there_ = nullptr;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(int ordinal) : context_(std::make_shared<StreamContext>(ordinal)) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  std::string describe() const override {
    const cudaDeviceProp& properties = context_->properties();
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
      const MemoryInfo info = memory_info();
      throw DeviceError("out of GPU memory: " + std::string(purpose) + " needs " +
                        mebibytes(bytes) + ", " + mebibytes(info.free) + " of " +
                        mebibytes(info.total) +
                        " are free; a smaller batch size, data window or model needs less");
    }
    check(status, "allocate memory");
    return memory;
  }
  void release(void* memory) noexcept override {
    cudaSetDevice(context_->ordinal());
    cudaFree(memory);
  }
  size_t free_memory() const override { return memory_info().free; }
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
  std::unique_ptr<TransferQueue> make_transfer_queue(size_t staging_bytes) override {
    return cuda::make_transfer_queue(context_, staging_bytes);
  }

  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return std::make_unique<CudaDownload>(context_, from, bytes);
  }

  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<CudaExecutable>(context_, std::move(program));
  }
  void synchronize() override { context_->synchronize(); }

 private:
  struct MemoryInfo {
    size_t free = 0, total = 0;
  };
  MemoryInfo memory_info() const {
    context_->make_current();
    MemoryInfo info;
    check(cudaMemGetInfo(&info.free, &info.total), "tell its free memory");
    return info;
  }
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

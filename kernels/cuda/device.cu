// An NVIDIA GPU as a device: one stream, on which everything is queued in order.
#include <cuda_runtime.h>

#include <algorithm>
#include <list>

#include "kernels/cuda/executable.hpp"
#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/transfer_queue.hpp"
#include "kernels/device.hpp"

namespace elbo {
namespace cuda {

/// Does nothing; used to test whether the program contains machine code for a GPU.
__global__ void image_probe_kernel() {}

namespace {

/// Counts the GPUs. If that fails, no other CUDA function may be called.
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

/// Makes GPU `ordinal` the current one. Returns why the GPU cannot be used, or "".
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

std::string size_text(size_t bytes) {
  constexpr size_t kMebibyte = size_t{1} << 20;
  return bytes < kMebibyte ? std::to_string(bytes) + " bytes"
                           : std::to_string(bytes / kMebibyte) + " MiB";
}

/// Pinned blocks for downloads, kept for reuse because pinning and unpinning wait for the GPU. One
/// stream orders all copies, so a block may be lent again before its last copy is done.
class DownloadBlocks {
 public:
  struct Block {
    PinnedMemory memory;
    size_t bytes = 0;
    Event there = untimed();
  };
  using Loan = std::list<Block>;  // a list of one block, which moves without allocating

  explicit DownloadBlocks(std::shared_ptr<const StreamContext> context)
      : context_(std::move(context)) {}
  ~DownloadBlocks() {
    check_nothrow(cudaSetDevice(context_->ordinal()));
    check_nothrow(cudaStreamSynchronize(context_->stream()));
  }
  DownloadBlocks(const DownloadBlocks&) = delete;
  DownloadBlocks& operator=(const DownloadBlocks&) = delete;

  const StreamContext& context() const { return *context_; }
  Loan take(size_t bytes) {
    context_->make_current();
    Loan loan;
    const auto fits = [&](const Block& block) { return block.bytes >= bytes; };
    const auto found = std::ranges::find_if(free_, fits);
    if (found != free_.end())
      loan.splice(loan.end(), free_, found);
    else
      loan.push_back({PinnedMemory(bytes, "downloads"), bytes});
    return loan;
  }
  void give_back(Loan& loan) noexcept { free_.splice(free_.end(), loan); }

 private:
  std::shared_ptr<const StreamContext> context_;
  std::list<Block> free_;
};

class CudaDownload : public Download {
 public:
  CudaDownload(std::shared_ptr<DownloadBlocks> blocks, const void* from, size_t bytes)
      : CudaDownload(std::move(blocks), bytes) {
    const cudaStream_t stream = blocks_->context().stream();
    ELBO_CUDA(cudaMemcpyAsync(block().memory.get(), from, bytes, cudaMemcpyDeviceToHost, stream));
    block().there.record(stream);
  }
  ~CudaDownload() override { blocks_->give_back(loan_); }
  CudaDownload(const CudaDownload&) = delete;
  CudaDownload& operator=(const CudaDownload&) = delete;

  const std::byte* wait() override {
    blocks_->context().make_current();
    block().there.wait();
    return block().memory.get();
  }

 private:
  CudaDownload(std::shared_ptr<DownloadBlocks> blocks, size_t bytes)
      : blocks_(std::move(blocks)), loan_(blocks_->take(bytes)) {}
  DownloadBlocks::Block& block() { return loan_.front(); }

  std::shared_ptr<DownloadBlocks> blocks_;
  DownloadBlocks::Loan loan_;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(int ordinal)
      : context_(std::make_shared<StreamContext>(ordinal)),
        downloads_(std::make_shared<DownloadBlocks>(context_)) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  std::string describe() const override {
    const cudaDeviceProp& properties = context_->properties();
    return std::string(properties.name) + " (cuda:" + std::to_string(context_->ordinal()) + "), " +
           size_text(properties.totalGlobalMem);
  }
  bool shares_host_memory() const noexcept override { return false; }

  void* allocate(size_t bytes, std::string_view purpose) override {
    context_->make_current();
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not sticky: the device stays usable
      const MemoryInfo info = memory_info();
      throw DeviceError("out of GPU memory: cannot allocate " + size_text(bytes) + " for " +
                        std::string(purpose) + "; " + size_text(info.free) + " of " +
                        size_text(info.total) +
                        " are free; a smaller batch size, data window or model needs less");
    }
    check(status, "cudaMalloc");
    return memory;
  }
  void release(void* memory) noexcept override {
    check_nothrow(cudaSetDevice(context_->ordinal()));
    check_nothrow(cudaFree(memory));
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
    ELBO_CUDA(cudaMemsetAsync(on_device, 0, bytes, context_->stream()));
  }
  std::unique_ptr<TransferQueue> make_transfer_queue(size_t staging_bytes) override {
    return cuda::make_transfer_queue(context_, staging_bytes);
  }

  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return std::make_unique<CudaDownload>(downloads_, from, bytes);
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
    ELBO_CUDA(cudaMemGetInfo(&info.free, &info.total));
    return info;
  }
  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    context_->make_current();
    ELBO_CUDA(cudaMemcpyAsync(to, from, bytes, kind, context_->stream()));
    context_->synchronize();
  }

  std::shared_ptr<const StreamContext> context_;
  std::shared_ptr<DownloadBlocks> downloads_;
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

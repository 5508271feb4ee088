#include "kernels/cuda/transfer_queue.hpp"

#include "kernels/cuda/check.hpp"

namespace elbo::cuda {
namespace {

/// A place in a stream's work that other work waits for.
class Mark {
 public:
  explicit Mark(unsigned flags = 0) {
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | flags), "create an event");
  }
  ~Mark() { cudaEventDestroy(event_); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "record an event"); }
  /// What is queued on `stream` from now on waits for the place last recorded, if any.
  void hold(cudaStream_t stream) const {
    check(cudaStreamWaitEvent(stream, event_, 0), "wait for an event");
  }
  void wait() const { check(cudaEventSynchronize(event_), "copy data to it"); }

 private:
  cudaEvent_t event_ = nullptr;
};

class CopyStream {
 public:
  // Not ordered with the default stream, as the programs' stream is.
  CopyStream() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
  }
  ~CopyStream() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes) {
    check(cudaMallocHost(&memory_, bytes),
          "pin " + std::to_string(bytes) + " bytes of the host's memory");
  }
  ~PinnedMemory() { cudaFreeHost(memory_); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(memory_); }

 private:
  void* memory_ = nullptr;
};

class CudaTransferQueue : public TransferQueue {
 public:
  CudaTransferQueue(std::shared_ptr<const StreamContext> context, size_t staging_bytes)
      : context_(std::move(context)), staging_bytes_(staging_bytes), staging_(2 * staging_bytes) {}
  ~CudaTransferQueue() override { cudaSetDevice(context_->ordinal()); }

  // The producer is a thread of its own, for which the GPU has to be chosen.
  void acquire(int slot) override {
    context_->make_current();
    released_[slot].hold(stream_);
  }
  std::byte* stage() override {
    sent_[buffer_].record(stream_);
    buffer_ = 1 - buffer_;
    sent_[buffer_].wait();
    return staging_.data() + static_cast<size_t>(buffer_) * staging_bytes_;
  }
  void send(void* to_device, const std::byte* staged, size_t bytes) override {
    check(cudaMemcpyAsync(to_device, staged, bytes, cudaMemcpyHostToDevice, stream_),
          "copy data to it");
  }
  void commit(int slot) override { committed_[slot].record(stream_); }

  void wait(int slot) override {
    context_->make_current();
    committed_[slot].hold(context_->stream());
  }
  void release(int slot) override {
    context_->make_current();
    released_[slot].record(context_->stream());
  }

 private:
  std::shared_ptr<const StreamContext> context_;
  size_t staging_bytes_;
  PinnedMemory staging_;
  Mark released_[2], committed_[2];  // by slot
  // By staging buffer. The producer sleeps while it waits: the host's cores have other work.
  Mark sent_[2] = {Mark(cudaEventBlockingSync), Mark(cudaEventBlockingSync)};
  int buffer_ = 0;     // staged last
  CopyStream stream_;  // ends first, after its last copy
};

}  // namespace

std::unique_ptr<TransferQueue> make_transfer_queue(std::shared_ptr<const StreamContext> context,
                                                   size_t staging_bytes) {
  context->make_current();
  return std::make_unique<CudaTransferQueue>(std::move(context), staging_bytes);
}

}  // namespace elbo::cuda

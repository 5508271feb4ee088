#include "kernels/cuda/transfer_queue.hpp"

#include "kernels/cuda/handles.hpp"

namespace elbo::cuda {
namespace {

class CudaTransferQueue : public TransferQueue {
 public:
  CudaTransferQueue(std::shared_ptr<const StreamContext> context, size_t staging_bytes)
      : context_(std::move(context)),
        staging_bytes_(staging_bytes),
        staging_(2 * staging_bytes, "staging rows of the data set") {}
  ~CudaTransferQueue() override { check_nothrow(cudaSetDevice(context_->ordinal())); }

  // The producer is another thread, in which the GPU must be selected.
  void acquire(int slot) override {
    context_->make_current();
    released_[slot].hold(stream_.get());
  }
  std::byte* stage() override {
    sent_[buffer_].record(stream_.get());
    buffer_ = 1 - buffer_;
    sent_[buffer_].wait();
    return staging_.get() + static_cast<size_t>(buffer_) * staging_bytes_;
  }
  void send(void* to_device, const std::byte* staged, size_t bytes) override {
    ELBO_CUDA(cudaMemcpyAsync(to_device, staged, bytes, cudaMemcpyHostToDevice, stream_.get()));
  }
  void commit(int slot) override { committed_[slot].record(stream_.get()); }

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
  Event released_[2] = {untimed(), untimed()}, committed_[2] = {untimed(), untimed()};  // by slot
  // By staging buffer. The producer blocks while it waits, so that the core can do other work.
  Event sent_[2] = {untimed(cudaEventBlockingSync), untimed(cudaEventBlockingSync)};
  int buffer_ = 0;  // staged last
  // Not ordered with the default stream. It is the last member, because its destructor waits for
  // the copies.
  OwnedStream stream_{cudaStreamNonBlocking};
};

}  // namespace

std::unique_ptr<TransferQueue> make_transfer_queue(std::shared_ptr<const StreamContext> context,
                                                   size_t staging_bytes) {
  context->make_current();
  return std::make_unique<CudaTransferQueue>(std::move(context), staging_bytes);
}

}  // namespace elbo::cuda

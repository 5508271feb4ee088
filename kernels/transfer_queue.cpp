#include "kernels/transfer_queue.hpp"

#include <vector>

#include "kernels/device.hpp"

namespace elbo {
namespace {

/// For devices whose copies and programs finish before the call returns, so that there is nothing
/// to order.
class ImmediateTransferQueue : public TransferQueue {
 public:
  ImmediateTransferQueue(Device& device, size_t staging_bytes)
      : device_(device), staging_(staging_bytes) {}

  void acquire(int) override {}
  std::byte* stage() override { return staging_.data(); }
  void send(void* to_device, const std::byte* staged, size_t bytes) override {
    device_.upload(to_device, staged, bytes);
  }
  void commit(int) override {}
  void wait(int) override {}
  void release(int) override {}

 private:
  Device& device_;
  std::vector<std::byte> staging_;
};

}  // namespace

std::unique_ptr<TransferQueue> Device::make_transfer_queue(size_t staging_bytes) {
  return std::make_unique<ImmediateTransferQueue>(*this, staging_bytes);
}

}  // namespace elbo

// Copies from the host to a device while programs run there.
#pragma once

#include <cstddef>

namespace elbo {

/// Fills two slots of device memory alternately: a host thread, the producer, copies into one slot
/// while the programs that another thread, the consumer, runs read the other. The calls below order
/// copies and programs on the device; the two threads must ensure themselves that neither takes a
/// slot before the other has released it.
class TransferQueue {
 public:
  virtual ~TransferQueue() = default;

  // The producer:
  /// Copies sent after this call wait for the programs that were run before release(slot).
  virtual void acquire(int slot) = 0;
  /// Returns host memory of the queue's staging size, after the copies sent from it have finished.
  /// Valid until the next call.
  virtual std::byte* stage() = 0;
  /// Copies `bytes` bytes of the memory that stage() returned last. May return before they are
  /// copied.
  virtual void send(void* to_device, const std::byte* staged, size_t bytes) = 0;
  /// Ends the copies to the slot that acquire(slot) began.
  virtual void commit(int slot) = 0;

  // The consumer:
  /// Programs run after this call wait for the copies sent before commit(slot).
  virtual void wait(int slot) = 0;
  /// Programs run after this call do not read the slot, until wait(slot).
  virtual void release(int slot) = 0;
};

}  // namespace elbo

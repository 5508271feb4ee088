// Copies from the host to a device while programs run there.
#pragma once

#include <cstddef>

namespace elbo {

/// Fills two slots of device memory in turn: a thread of the host, the producer, copies into one
/// while the thread that runs programs, the consumer, has them read the other. The calls below
/// order the copies and the programs on the device; that neither thread takes a slot before the
/// other has given it back is theirs to see to.
class TransferQueue {
 public:
  virtual ~TransferQueue() = default;

  // The producer:
  /// Copies sent from now on wait for the programs that were run before release(slot).
  virtual void acquire(int slot) = 0;
  /// Host memory to fill, of as many bytes as the queue was made for; waits for what was sent from
  /// there before. Valid until the next call.
  virtual std::byte* stage() = 0;
  /// Copies `bytes` bytes, part of what stage() gave last. May return before they are copied.
  virtual void send(void* to_device, const std::byte* staged, size_t bytes) = 0;
  /// What was sent since acquire(slot) is all that is sent there for now.
  virtual void commit(int slot) = 0;

  // The consumer:
  /// Programs run from now on wait for what was sent before commit(slot).
  virtual void wait(int slot) = 0;
  /// Programs run from now on leave the slot alone, until wait(slot).
  virtual void release(int slot) = 0;
};

}  // namespace elbo

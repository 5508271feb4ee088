// Copies to a GPU on a separate stream, from pinned memory.
#pragma once

#include "kernels/cuda/stream_context.hpp"
#include "kernels/transfer_queue.hpp"

namespace elbo::cuda {

/// A queue with two staging buffers of `staging_bytes` bytes, concurrent with the programs on
/// `context`'s stream. Throws DeviceError if pinned memory cannot be allocated.
std::unique_ptr<TransferQueue> make_transfer_queue(std::shared_ptr<const StreamContext> context,
                                                   size_t staging_bytes);

}  // namespace elbo::cuda

// Copies to a GPU on a stream of their own, from pinned memory.
#pragma once

#include "kernels/cuda/stream_context.hpp"
#include "kernels/transfer_queue.hpp"

namespace elbo::cuda {

/// A queue with two staging buffers of `staging_bytes` bytes, beside the programs on `context`'s
/// stream. Throws DeviceError where there is no pinned memory to be had.
std::unique_ptr<TransferQueue> make_transfer_queue(std::shared_ptr<const StreamContext> context,
                                                   size_t staging_bytes);

}  // namespace elbo::cuda

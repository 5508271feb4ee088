#include "kernels/cuda/snapshot.hpp"

#include <algorithm>

#include "kernels/cuda/port.cuh"

namespace elbo::cuda {

struct ComparisonArgs {
  const unsigned char *one, *other;
  size_t bytes;
  unsigned long long* differing;
};

/// The bytes after the last whole word count as a word.
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(256) snapshot_comparison_kernel(ComparisonArgs args) {
  const size_t words = args.bytes / sizeof(uint32_t);
  const size_t thread = size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const auto* one = reinterpret_cast<const uint32_t*>(args.one);
  const auto* other = reinterpret_cast<const uint32_t*>(args.other);
  unsigned long long differing = 0;
  for (size_t i = thread; i < words; i += size_t{gridDim.x} * blockDim.x)
    differing += one[i] != other[i] ? 1 : 0;
  if (thread == 0) {
    bool tail = false;
    for (size_t i = words * sizeof(uint32_t); i < args.bytes; ++i)
      tail = tail || args.one[i] != args.other[i];
    differing += tail ? 1 : 0;
  }
  if (differing != 0) atomicAdd(args.differing, differing);
}

Snapshot::Snapshot(const std::vector<Access>& ranges, cudaStream_t stream)
    : stream_(stream), count_(sizeof(unsigned long long), "comparing memory") {
  for (const Access& range : ranges) {
    ELBO_ASSERT(range.begin % sizeof(uint32_t) == 0);
    const size_t bytes = range.end - range.begin;
    copies_.push_back(
        {reinterpret_cast<void*>(range.begin), bytes, DeviceMemory(bytes, "a copy of the model")});
  }
  take();
}

Snapshot::~Snapshot() { check_nothrow(cudaStreamSynchronize(stream_)); }

void Snapshot::take() const {
  for (const Copy& copy : copies_)
    ELBO_CUDA(cudaMemcpyAsync(copy.memory.get(), copy.original, copy.bytes,
                              cudaMemcpyDeviceToDevice, stream_));
}

void Snapshot::restore() const {
  for (const Copy& copy : copies_)
    ELBO_CUDA(cudaMemcpyAsync(copy.original, copy.memory.get(), copy.bytes,
                              cudaMemcpyDeviceToDevice, stream_));
}

uint64_t Snapshot::differing_words() const {
  constexpr unsigned kThreads = 256;
  constexpr size_t kMostBlocks = 2048;  // more than are resident on any GPU
  ELBO_CUDA(cudaMemsetAsync(count_.get(), 0, sizeof(unsigned long long), stream_));
  for (const Copy& copy : copies_) {
    const size_t blocks = copy.bytes / (kThreads * sizeof(uint32_t)) + 1;
    launch(snapshot_comparison_kernel, static_cast<unsigned>(std::min(blocks, kMostBlocks)),
           kThreads, 0, Stream{stream_},
           {static_cast<const unsigned char*>(copy.original),
            static_cast<const unsigned char*>(copy.memory.get()), copy.bytes,
            static_cast<unsigned long long*>(count_.get())});
  }
  unsigned long long differing = 0;
  ELBO_CUDA(
      cudaMemcpyAsync(&differing, count_.get(), sizeof differing, cudaMemcpyDeviceToHost, stream_));
  ELBO_CUDA(cudaStreamSynchronize(stream_));
  return differing;
}

}  // namespace elbo::cuda

// Where kernels are queued; without CUDA's headers, which the tests do not have.
#pragma once

struct CUstream_st;  // CUDA's; a cudaStream_t points to one

namespace elbo::cuda {

/// A CUDA stream. On an overlapping one a kernel starts while the one before it ends (programmatic
/// dependent launch): it must call wait_for_previous_kernel before it touches memory.
struct Stream {
  CUstream_st* handle = nullptr;
  bool overlapping = false;

  constexpr Stream(CUstream_st* stream = nullptr, bool overlaps = false)
      : handle(stream), overlapping(overlaps) {}
};

/// Where an op runs.
struct Queue {
  Stream stream;
  void* scratch = nullptr;   // as many bytes as scratch_bytes(op) says (kernels/cuda/execution.cuh)
  bool early_reads = false;  // early_reads(op) is complete before the op's first kernel starts
};

}  // namespace elbo::cuda

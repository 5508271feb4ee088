// The stream of kernels, declared without CUDA's headers, which the tests do not have.
#pragma once

struct CUstream_st;  // CUDA's; a cudaStream_t points to one

namespace elbo::cuda {

/// A CUDA stream. On an overlapping stream a kernel starts while the previous one ends
/// (programmatic dependent launch), and must call wait_for_previous_kernel before it accesses
/// memory other than its early reads.
struct Stream {
  CUstream_st* handle = nullptr;
  bool overlapping = false;

  constexpr Stream(CUstream_st* stream = nullptr, bool overlaps = false)
      : handle(stream), overlapping(overlaps) {}
};

/// The environment of an op.
struct Queue {
  Stream stream;
  void* scratch = nullptr;   // scratch_bytes(op) bytes (kernels/cuda/execution.cuh)
  bool early_reads = false;  // no running kernel writes early_reads(op) when the op starts
};

}  // namespace elbo::cuda

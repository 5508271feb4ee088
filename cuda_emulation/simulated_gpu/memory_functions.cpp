// The CUDA runtime's functions: device memory, pinned memory, copies.
#include <cstring>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"

using namespace elbo::cuda::simulated;

namespace {

constexpr int kUnfinished = 0xa5;  // content of the target until an asynchronous copy has run

uint64_t number(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

void need_device_memory(const Call& call, const void* pointer, size_t bytes) {
  Memory& memory = Memory::get();
  if (memory.find(number(pointer), bytes) == nullptr)
    call.misuse(cudaErrorInvalidValue, "of " + memory.describe(pointer, bytes));
}

void check_direction(const Call& call, cudaMemcpyKind kind, bool from_device, bool to_device) {
  if (kind == cudaMemcpyDefault) return;
  const bool wants_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool wants_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  if (wants_from != from_device || wants_to != to_device)
    call.misuse(cudaErrorInvalidValue, "the direction does not match the pointers");
}

/// `waits`: the call returns after the copy is complete. Otherwise a copy of pageable memory runs
/// in the call or later, as the option `pageable` says.
void copy(Call& call, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
          cudaStream_t stream, bool waits) {
  CUstream_st& where = call.stream(stream);
  Memory& memory = Memory::get();
  const bool to_device = memory.is_device(to), from_device = memory.is_device(from);
  check_direction(call, kind, from_device, to_device);
  if (bytes == 0) return;
  if (to_device) need_device_memory(call, to, bytes);
  if (from_device) need_device_memory(call, from, bytes);
  Operation operation;
  operation.name = std::string("copy ") + (from_device ? "device" : "host") + " to " +
                   (to_device ? "device" : "host") + ", " + std::to_string(bytes) + " bytes";
  Copy work{to, from, bytes, 0, {}};
  const bool captured = where.capture != nullptr;
  const bool late = Options::get().late_pageable && !waits;
  const auto* source = static_cast<const std::byte*>(from);
  if (!from_device && (memory.is_pinned(from, bytes) || late || captured))
    work.source_hash = hash_of(from, bytes);
  else if (!from_device)
    work.staged.assign(source, source + bytes);
  operation.work = std::move(work);
  const bool returns_early = !to_device && !captured && (memory.is_pinned(to, bytes) || late);
  if (returns_early) std::memset(to, kUnfinished, bytes);
  call.submit(where, std::move(operation));
  if (!captured && (waits || (!to_device && !returns_early))) call.wait_for(where.last);
}

void fill(Call& call, void* to, int value, size_t bytes, cudaStream_t stream) {
  CUstream_st& where = call.stream(stream);
  if (bytes == 0) return;
  need_device_memory(call, to, bytes);
  call.submit(where, {.name = "fill of " + std::to_string(bytes) + " bytes",
                      .work = Fill{to, value, bytes}});
}

cudaError_t pin(const char* name, void** pointer, size_t bytes) {
  return call(name, kUnsafeInCapture, [&](Call& call) {
    *pointer = bytes == 0 ? nullptr : Memory::get().pin(bytes);
    if (bytes != 0 && *pointer == nullptr) call.refuse(cudaErrorMemoryAllocation);
  });
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return call("cudaMalloc", kUnsafeInCapture, [&](Call& call) {
    const uint64_t address = bytes == 0 ? 0 : Memory::get().allocate(bytes);
    if (bytes != 0 && address == 0) call.refuse(cudaErrorMemoryAllocation);
    *pointer = reinterpret_cast<void*>(address);
  });
}

cudaError_t cudaFree(void* pointer) {
  return call("cudaFree", kUnsafeInCapture | kReleases, [&](Call& call) {
    if (pointer == nullptr) return;
    call.wait_for_all();
    if (!Memory::get().release(number(pointer)))
      call.misuse(cudaErrorInvalidValue, "of " + Memory::get().describe(pointer, 1));
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return pin("cudaMallocHost", pointer, bytes);
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return pin("cudaHostAlloc", pointer, bytes);
}

cudaError_t cudaFreeHost(void* pointer) {
  return call("cudaFreeHost", kUnsafeInCapture | kReleases, [&](Call& call) {
    if (pointer == nullptr) return;
    const size_t bytes = Memory::get().pinned_bytes(pointer);
    if (bytes == 0) call.misuse(cudaErrorInvalidValue, "of memory that is not pinned");
    // The documentation does not say that cudaFreeHost waits for copies.
    if (Gpu::get().is_copy_queued(pointer, bytes))
      call.misuse(cudaErrorInvalidValue, "of memory that a queued copy uses");
    Memory::get().unpin(pointer);
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call("cudaMemGetInfo", kOrdinary, [&](Call&) {
    *total = Options::get().memory;
    *free = *total - Memory::get().used();
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", kOrdinary,
              [&](Call& call) { copy(call, to, from, bytes, kind, stream, false); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return call("cudaMemcpy", kUnsafeInCapture,
              [&](Call& call) { copy(call, to, from, bytes, kind, nullptr, true); });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", kOrdinary,
              [&](Call& call) { fill(call, to, value, bytes, stream); });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return call("cudaMemset", kUnsafeInCapture,
              [&](Call& call) { fill(call, to, value, bytes, nullptr); });
}

}  // extern "C"

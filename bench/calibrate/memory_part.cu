// Point (f): memory bandwidth: device copy, reads that hit the L2 cache, pinned transfers.
#include <cstring>

#include "bench/calibrate/gpu.cuh"
#include "bench/calibrate/parts.hpp"
#include "kernels/math/philox.hpp"

namespace elbo::calibrate {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 30;
constexpr size_t kTransferBytes = size_t{1} << 28;
constexpr unsigned kThreads = 256;

__global__ void fill_kernel(uint4* out, size_t count) {
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const math::Bits4 bits = math::philox4x32(1, 2, i);
    out[i] = make_uint4(bits.value[0], bits.value[1], bits.value[2], bits.value[3]);
  }
}

/// Copies with accesses of 16 bytes, four of them in flight per thread.
__global__ void __launch_bounds__(kThreads)
    copy_kernel(const uint4* __restrict__ from, uint4* __restrict__ to, size_t count) {
  constexpr int kInFlight = 4;
  const size_t first = size_t{blockIdx.x} * (kInFlight * kThreads) + threadIdx.x;
  uint4 held[kInFlight];
#pragma unroll
  for (int i = 0; i < kInFlight; ++i)
    if (first + i * kThreads < count) held[i] = from[first + i * kThreads];
#pragma unroll
  for (int i = 0; i < kInFlight; ++i)
    if (first + i * kThreads < count) to[first + i * kThreads] = held[i];
}

__global__ void compare_kernel(const uint4* a, const uint4* b, size_t count,
                               unsigned long long* different) {
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const uint4 x = a[i], y = b[i];
    if (x.x != y.x || x.y != y.y || x.z != y.z || x.w != y.w) atomicAdd(different, 1ull);
  }
}

/// Reads `count` quads `passes` times, bypassing the L1 cache, and adds all their numbers to `sum`.
__global__ void __launch_bounds__(kThreads)
    read_kernel(const uint4* from, size_t count, int passes, unsigned long long* sum) {
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  unsigned long long total = 0;
  for (int pass = 0; pass < passes; ++pass) {
    // A thread starts at another index in each pass, so that the compiler cannot reuse the values
    // of an earlier pass.
    size_t i = (size_t{blockIdx.x} + static_cast<size_t>(pass)) % gridDim.x * blockDim.x;
#pragma unroll 4
    for (i += threadIdx.x; i < count; i += stride) {
      const uint4 value = __ldcg(from + i);
      total += static_cast<unsigned long long>(value.x) + value.y + value.z + value.w;
    }
  }
  __shared__ unsigned long long block_total;
  if (threadIdx.x == 0) block_total = 0;
  __syncthreads();
  atomicAdd(&block_total, total);
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(sum, block_total);
}

class Memory {
 public:
  Memory(const Gpu& gpu, size_t bytes) : gpu_(gpu), from_(bytes / sizeof(uint4)), word_(1) {
    launch(gpu.stream(), grid(), fill_kernel, from_.data(), from_.size());
    gpu.synchronize();
  }
  const DeviceArray<uint4>& source() const { return from_; }
  LaunchShape grid() const { return {.blocks = 8 * gpu_.multiprocessors(), .threads = kThreads}; }

  unsigned long long word_after(const std::function<void(unsigned long long*)>& enqueue) const {
    check(cudaMemsetAsync(word_.data(), 0, word_.bytes(), gpu_.stream()), "clear memory");
    enqueue(word_.data());
    gpu_.synchronize();
    unsigned long long word = 0;
    check(cudaMemcpy(&word, word_.data(), word_.bytes(), cudaMemcpyDeviceToHost), "copy memory");
    return word;
  }
  unsigned long long* word() const { return word_.data(); }

 private:
  const Gpu& gpu_;
  DeviceArray<uint4> from_;
  DeviceArray<unsigned long long> word_;
};

Json rate_fields(const Samples& samples, double bytes) {
  Json fields = time_fields(samples);
  fields["gb_per_s"] = 1e-3 * bytes / samples.median();
  return fields;
}

/// Measures a copy of kCopyBytes. The rate counts bytes read and bytes written.
Json measure_copy(const Gpu& gpu, bool by_kernel) {
  const Memory memory(gpu, kCopyBytes);
  const DeviceArray<uint4>& from = memory.source();
  const DeviceArray<uint4> to(from.size());
  check(cudaMemsetAsync(to.data(), 0xff, to.bytes(), gpu.stream()), "fill memory");
  const auto enqueue = [&] {
    if (by_kernel)
      launch(gpu.stream(),
             {.blocks = static_cast<unsigned>((from.size() + 4 * kThreads - 1) / (4 * kThreads)),
              .threads = kThreads},
             copy_kernel, from.data(), to.data(), from.size());
    else
      check(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), cudaMemcpyDeviceToDevice,
                            gpu.stream()),
            "copy memory");
  };
  enqueue();
  const unsigned long long different = memory.word_after([&](unsigned long long* word) {
    launch(gpu.stream(), memory.grid(), compare_kernel, from.data(), to.data(), from.size(), word);
  });
  if (different != 0) throw DeviceError("wrong result: a copy differs from its source");
  Json fields = {{"bytes", 2 * from.bytes()}};
  fields.update(rate_fields(gpu.time(kRepetitions, enqueue), 2.0 * from.bytes()));
  return fields;
}

/// Measures repeated reads of `bytes` bytes, which fit in the L2 cache.
Json measure_l2_read(const Gpu& gpu, size_t bytes) {
  constexpr int kPasses = 128;  // hundreds of microseconds, so that start and end hardly count
  const Memory memory(gpu, bytes);
  const DeviceArray<uint4>& from = memory.source();
  const auto enqueue = [&](int passes, unsigned long long* sum) {
    launch(gpu.stream(), memory.grid(), read_kernel, from.data(), from.size(), passes, sum);
  };
  const auto sum_of = [&](int passes) {
    return memory.word_after([&](unsigned long long* word) { enqueue(passes, word); });
  };
  std::vector<uint32_t> values(from.bytes() / sizeof(uint32_t));
  check(cudaMemcpy(values.data(), from.data(), from.bytes(), cudaMemcpyDeviceToHost),
        "copy memory");
  unsigned long long sum = 0;
  for (const uint32_t value : values) sum += value;
  if (sum_of(kPasses) != kPasses * sum)
    throw DeviceError("wrong result: the sum of what was read is not the sum of what is there");
  Json fields = {{"bytes", from.bytes()}, {"passes", kPasses}};
  fields.update(rate_fields(gpu.time(kRepetitions, [&] { enqueue(kPasses, memory.word()); }),
                            static_cast<double>(kPasses) * from.bytes()));
  return fields;
}

Json measure_transfer(const Gpu& gpu, cudaMemcpyKind kind) {
  const auto pinned = [] {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, kTransferBytes), "allocate pinned memory");
    return std::unique_ptr<char, Destroy<cudaFreeHost>>(static_cast<char*>(memory));
  };
  const Memory memory(gpu, kTransferBytes);
  const DeviceArray<char> there(kTransferBytes);
  const auto here = pinned(), back = pinned();
  const auto copy = [&](void* to, const void* from, cudaMemcpyKind direction) {
    check(cudaMemcpyAsync(to, from, kTransferBytes, direction, gpu.stream()), "copy memory");
  };
  std::memset(back.get(), 0xff, kTransferBytes);
  copy(here.get(), memory.source().data(), cudaMemcpyDeviceToHost);  // random data
  copy(there.data(), here.get(), cudaMemcpyHostToDevice);
  copy(back.get(), there.data(), cudaMemcpyDeviceToHost);
  gpu.synchronize();
  if (std::memcmp(here.get(), back.get(), kTransferBytes) != 0)
    throw DeviceError("wrong result: what came back is not what was sent");
  const Samples samples = gpu.time(kRepetitions, [&] {
    if (kind == cudaMemcpyHostToDevice)
      copy(there.data(), here.get(), kind);
    else
      copy(back.get(), there.data(), kind);
  });
  Json fields = {{"bytes", kTransferBytes}};
  fields.update(rate_fields(samples, static_cast<double>(kTransferBytes)));
  return fields;
}

}  // namespace

void run_memory(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  const bool has_room = gpu.free_bytes() > 2 * kCopyBytes + (size_t{1} << 28);
  for (const bool by_kernel : {false, true}) {
    const std::string name = by_kernel ? "device copy/kernel" : "device copy/cudaMemcpy";
    if (has_room)
      report.row(
          name, [&] { return measure_copy(gpu, by_kernel); }, usable);
    else
      report.not_measured(name, "needs 2.25 GiB of free GPU memory");
  }
  for (const size_t divisor : {4, 2})
    report.row(
        "L2 read/1 of " + std::to_string(divisor),
        [&] { return measure_l2_read(gpu, gpu.l2_bytes() / divisor); }, usable);
  report.row(
      "pinned/host to device", [&] { return measure_transfer(gpu, cudaMemcpyHostToDevice); },
      usable);
  report.row(
      "pinned/device to host", [&] { return measure_transfer(gpu, cudaMemcpyDeviceToHost); },
      usable);
}

}  // namespace elbo::calibrate

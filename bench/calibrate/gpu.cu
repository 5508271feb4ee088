#include "bench/calibrate/gpu.cuh"

#include <algorithm>
#include <fstream>
#include <regex>

#include "kernels/device.hpp"

namespace elbo::calibrate {
namespace {

__global__ void wait_kernel(uint64_t nanoseconds) {
  uint64_t start, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  do {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (now - start < nanoseconds);
}

__global__ void cycles_kernel(long long cycles) {
  const long long start = clock64();
  while (clock64() - start < cycles) {
  }
}

bool has_passed(cudaEvent_t event) {
  const cudaError_t status = cudaEventQuery(event);
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(status, "query an event");
  return true;
}

double microseconds_between(cudaEvent_t begin, cudaEvent_t end) {
  float milliseconds = 0.0f;
  check(cudaEventElapsedTime(&milliseconds, begin, end), "measure time");
  return 1e3 * static_cast<double>(milliseconds);
}

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, 0), "tell an attribute");
  return value;
}

/// Returns "13.0" for 13000.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// Returns the version of the driver's kernel module, or null if it is unknown.
Json driver_release() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  std::smatch match;
  if (!std::regex_search(line, match, std::regex("[0-9]+\\.[0-9]+(\\.[0-9]+)?"))) return nullptr;
  return match.str();
}

}  // namespace

void check(cudaError_t status, std::string_view action) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears a non-sticky error, so that no later check reports it
  throw DeviceError("the GPU failed to " + std::string(action) + ": " + cudaGetErrorString(status) +
                    " (" + cudaGetErrorName(status) + ")");
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream), "create a stream");
  return Stream(stream);
}

Event make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags), "create an event");
  return Event(event);
}

GraphExec instantiate(cudaGraph_t graph, cudaStream_t stream) {
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph, 0), "instantiate a graph");
  GraphExec owner(executable);
  check(cudaGraphUpload(executable, stream), "upload a graph");
  return owner;
}

GraphExec capture(cudaStream_t stream, const std::function<void()>& enqueue) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "begin a capture");
  cudaGraph_t captured = nullptr;
  try {
    enqueue();
  } catch (...) {
    cudaStreamEndCapture(stream, &captured);  // otherwise the stream stays in capture mode
    cudaGetLastError();
    const Graph abandoned(captured);
    throw;
  }
  const cudaError_t status = cudaStreamEndCapture(stream, &captured);
  const Graph graph(captured);
  check(status, "end a capture");
  return instantiate(graph.get(), stream);
}

Gpu::Gpu() {
  const CudaProbe probe = probe_cuda();
  if (probe.devices == 0) throw DeviceError("no GPU can be used: " + probe.reason);
  check(cudaSetDevice(0), "be selected");
  check(cudaGetDeviceProperties(&properties_, 0), "describe itself");
  stream_ = make_stream();
}

size_t Gpu::free_bytes() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "tell its free memory");
  return free;
}

void Gpu::synchronize() const { check(cudaStreamSynchronize(stream()), "finish its work"); }

bool Gpu::usable() const noexcept {
  const bool finished = cudaDeviceSynchronize() == cudaSuccess;
  cudaGetLastError();
  return finished;
}

Samples Gpu::time(int repetitions, const std::function<void()>& enqueue) const {
  constexpr int kBatch = 8;
  constexpr int kAttempts = 5;
  std::vector<Event> events;
  for (int i = 0; i <= kBatch; ++i) events.push_back(make_event());

  enqueue();
  synchronize();
  Samples samples;
  uint64_t wait_ns = 200'000;
  int attempts = 0;
  while (static_cast<int>(samples.microseconds.size()) < repetitions) {
    const int runs = std::min(kBatch, repetitions - static_cast<int>(samples.microseconds.size()));
    launch(stream(), {.threads = 1}, wait_kernel, wait_ns);
    check(cudaEventRecord(events[0].get(), stream()), "record an event");
    for (int i = 1; i <= runs; ++i) {
      enqueue();
      check(cudaEventRecord(events[static_cast<size_t>(i)].get(), stream()), "record an event");
    }
    const bool waited = has_passed(events[0].get());
    synchronize();
    if (waited && ++attempts < kAttempts) {
      wait_ns *= 4;
      continue;
    }
    samples.waited_for_host |= waited;
    for (size_t i = 1; i <= static_cast<size_t>(runs); ++i)
      samples.microseconds.push_back(microseconds_between(events[i - 1].get(), events[i].get()));
  }
  return samples;
}

Samples Gpu::host_time(int repetitions, const std::function<void()>& enqueue) const {
  Samples samples;
  enqueue();
  for (int i = 0; i < repetitions; ++i) {
    synchronize();
    const auto start = std::chrono::steady_clock::now();
    enqueue();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    samples.microseconds.push_back(took.count());
  }
  synchronize();
  return samples;
}

Json Gpu::describe() const {
  constexpr long long kCycles = 2'000'000;
  const Samples spin = time(5, [&] { launch(stream(), {.threads = 1}, cycles_kernel, kCycles); });
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "tell the driver's version");
  check(cudaRuntimeGetVersion(&runtime), "tell the runtime's version");
  return {{"name", properties_.name},
          {"compute_capability",
           std::to_string(properties_.major) + "." + std::to_string(properties_.minor)},
          {"multiprocessors", properties_.multiProcessorCount},
          {"memory_bytes", properties_.totalGlobalMem},
          {"l2_bytes", properties_.l2CacheSize},
          {"peak_sm_mhz", attribute(cudaDevAttrClockRate) / 1000.0},
          {"peak_memory_mhz", attribute(cudaDevAttrMemoryClockRate) / 1000.0},
          {"measured_sm_mhz", static_cast<double>(kCycles) / spin.median()},
          {"driver", driver_release()},
          {"driver_supports_cuda", version_text(driver)},
          {"cuda_runtime", version_text(runtime)}};
}

}  // namespace elbo::calibrate

#include "cuda_emulation/simulated_gpu/call.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cuda_emulation/simulated_gpu/library.hpp"
#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {

thread_local cudaError_t last_error = cudaSuccess;

namespace {

cudaError_t injected_error(const std::string& function) {
  switch (count_call(function.c_str())) {
    case Injected::kNothing:
      return cudaSuccess;
    case Injected::kLastingError:
      Gpu::get().lasting_error = cudaErrorLaunchFailure;
      Gpu::get().drop_work();
      return cudaErrorLaunchFailure;
    case Injected::kError:
      break;
  }
  const bool allocates = function.starts_with("cudaMalloc") || function == "cudaHostAlloc";
  return allocates ? cudaErrorMemoryAllocation : cudaErrorUnknown;
}

/// Returns true if an active capture forbids unsafe calls; the call then invalidates the capture.
bool forbidden_by_capture(const char* name) {
  bool forbidden = false;
  for (const auto& capture : Gpu::get().captures) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal &&
        capture->thread != std::this_thread::get_id())
      continue;
    capture->invalid = forbidden = true;
  }
  if (forbidden) report_defect(std::string(name) + " while a stream is captured");
  return forbidden;
}

cudaError_t make(Call& call, unsigned kind, const std::function<void(Call&)>& body) {
  Gpu& gpu = Gpu::get();
  const cudaError_t injected = injected_error(call.name());
  const cudaError_t before = gpu.lasting_error != cudaSuccess ? gpu.lasting_error : injected;
  if (before != cudaSuccess && (kind & kReleases) == 0) return before;
  if ((kind & kUnsafeInCapture) != 0 && forbidden_by_capture(call.name()))
    return cudaErrorStreamCaptureUnsupported;
  try {
    body(call);
  } catch (const Call::Refusal& refusal) {
    return refusal.error;
  }
  return gpu.lasting_error != cudaSuccess ? gpu.lasting_error : before;
}

/// Loads a library's kernels at its first product. CUDA may forbid this during a capture.
cudaError_t load_kernels(const std::string& library) {
  Gpu& gpu = Gpu::get();
  const std::lock_guard lock(gpu.mutex);
  if (gpu.loaded_libraries.contains(library)) return cudaSuccess;
  return call("load_library_kernels", kUnsafeInCapture, [&](Call&) {
    if (!gpu.captures.empty())
      report_doubt(library + " loads its kernels while a stream is captured");
    gpu.loaded_libraries.insert(library);
  });
}

void report_leaks() {
  const auto leak = [](size_t count, const char* things) {
    if (count > 0) report_defect("never released: " + std::to_string(count) + " " + things);
  };
  Gpu& gpu = Gpu::get();
  if (gpu.lasting_error != cudaSuccess) return;  // it has destroyed the device's objects
  if (!gpu.idle()) report_doubt("the process ends with work still queued");
  for (const auto& [address, allocation] : Memory::get().live())
    report_defect("never released: allocation " + std::to_string(allocation.number) + " (" +
                  std::to_string(allocation.bytes) + " bytes)");
  leak(Memory::get().pinned_count(), "blocks of pinned memory");
  leak(static_cast<size_t>(std::ranges::count_if(
           gpu.streams, [](const auto& s) { return s->number != 0 && s->alive; })),
       "streams");
  leak(static_cast<size_t>(
           std::ranges::count_if(gpu.events, [](const auto& e) { return e->alive; })),
       "events");
  leak(live_graphs().graphs, "graphs");
  leak(live_graphs().executables, "executable graphs");
}

}  // namespace

LiveGraphs& live_graphs() {
  static LiveGraphs live;
  return live;
}

void report_leaks_at_exit() {
  static const bool once = (report_at_exit(), std::atexit(report_leaks), true);
  static_cast<void>(once);
}

cudaError_t call(const char* name, unsigned kind, const std::function<void(Call&)>& body) {
  Call made(name);
  const bool trace = Options::get().trace;
  if (trace) std::fprintf(stderr, "call %s\n", name);
  Gpu::get().let_work_continue();
  const cudaError_t error = make(made, kind, body);
  if (error == cudaSuccess) return error;
  last_error = error;
  if (trace) std::fprintf(stderr, "  %s: %s\n", name, cudaGetErrorName(error));
  return error;
}

void Call::misuse(cudaError_t error, const std::string& why) const {
  report_defect(std::string(name_) + ": " + why);
  refuse(error);
}

CUstream_st& Call::stream(cudaStream_t handle) const {
  Gpu& gpu = Gpu::get();
  if (handle == nullptr || handle == cudaStreamLegacy) {
    for (const auto& capture : gpu.captures)
      if (capture->origin->blocking) {
        capture->invalid = true;
        misuse(cudaErrorStreamCaptureImplicit,
               "on the default stream while a stream that it waits for is captured");
      }
    return *gpu.streams[0];
  }
  for (const auto& known : gpu.streams)
    if (known.get() == handle && known->alive) return *handle;
  misuse(cudaErrorInvalidResourceHandle, "of a stream that does not exist");
}

CUevent_st& Call::event(cudaEvent_t handle) const {
  for (const auto& known : Gpu::get().events)
    if (known.get() == handle && known->alive) return *handle;
  misuse(cudaErrorInvalidResourceHandle, "of an event that does not exist");
}

void Call::submit(CUstream_st& stream, Operation operation) const {
  if (stream.capture == nullptr) {
    Gpu::get().enqueue(stream)->operation = std::move(operation);
    return;
  }
  if (stream.capture->invalid) refuse(cudaErrorStreamCaptureInvalidated);
  CUgraph_st& graph = *stream.capture->graph;
  const auto is_kernel = [&](cudaGraphNode_t node) {
    return graph.nodes[node->number].operation.is_kernel();
  };
  const KernelLaunch* launch = operation.kernel();
  const bool overlaps = launch != nullptr && launch->programmatic &&
                        (Options::get().all_programmatic || stream.dependencies.size() == 1);
  Node node;
  for (const cudaGraphNode_t before : stream.dependencies)
    if (++stream.capture->edges == Options::get().without_edge)
      ++Options::get().planted;
    else
      node.before.push_back({before->number, overlaps && is_kernel(before)});
  node.operation = std::move(operation);
  const auto number = static_cast<uint32_t>(graph.nodes.size());
  graph.nodes.push_back(std::move(node));
  graph.handles.push_back(std::make_unique<CUgraphNode_st>(CUgraphNode_st{&graph, number, {}}));
  stream.dependencies = {graph.handles.back().get()};
}

void Call::wait_for(const EntryPointer& entry) {
  if (entry == nullptr) return;
  lock_.unlock();
  Gpu::get().run_until(entry);
  lock_.lock();
}

void Call::wait_for_all() {
  lock_.unlock();
  Gpu::get().run_until(nullptr);
  lock_.lock();
}

cudaError_t enqueue_library_work(cudaStream_t stream, std::string name, double cost,
                                 std::function<void(Access&)> body) {
  const cudaError_t loaded = load_kernels(name.substr(0, name.find(' ')));
  if (loaded != cudaSuccess) return loaded;
  return call("enqueue_library_work", kOrdinary, [&](Call& call) {
    CUstream_st& queue = call.stream(stream);
    if (is_refused("products") || (queue.capture && is_refused("products-in-capture")))
      call.refuse(cudaErrorNotSupported);
    call.submit(queue,
                {.name = std::move(name), .cost = cost, .work = LibraryWork{std::move(body)}});
  });
}

bool fails(const char* function) {
  const std::lock_guard lock(Gpu::get().mutex);
  return injected_error(function) != cudaSuccess;
}

bool is_refused(const std::string& name) {
  const std::string list = "," + Options::get().refuse + ",";
  return list.find("," + name + ",") != std::string::npos || list == ",ALL,";
}

}  // namespace elbo::cuda::simulated

// The CUDA runtime's functions: capture of streams.
#include <algorithm>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

using namespace elbo::cuda::simulated;

namespace {

cudaStreamCaptureStatus status_of(const CUstream_st& stream) {
  if (stream.capture == nullptr) return cudaStreamCaptureStatusNone;
  return stream.capture->invalid ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
}

/// Returns a flag per node of the graph: true if a node of `ends` depends on it or is the node.
std::vector<bool> leading_to(const CUgraph_st& graph, const std::vector<cudaGraphNode_t>& ends) {
  std::vector<bool> leads(graph.nodes.size());
  for (const cudaGraphNode_t end : ends) leads[end->number] = true;
  for (size_t n = graph.nodes.size(); n-- > 0;)
    if (leads[n])
      for (const Edge& edge : graph.nodes[n].before) leads[edge.from] = true;
  return leads;
}

/// Detaches all streams and events from the capture. Returns true if the work of every stream that
/// joined the capture leads to the end of the stream that began it.
bool end(const std::shared_ptr<Capture>& capture, const std::vector<bool>& leads) {
  Gpu& gpu = Gpu::get();
  std::erase(gpu.captures, capture);
  bool all_joined = true;
  for (const auto& stream : gpu.streams) {
    if (stream->capture != capture) continue;
    for (const cudaGraphNode_t last : stream->dependencies)
      all_joined = all_joined && (stream.get() == capture->origin || leads[last->number]);
    stream->capture = nullptr;
    stream->dependencies.clear();
  }
  for (const auto& event : gpu.events)
    if (event->capture == capture) {
      event->capture = nullptr;
      event->nodes.clear();
    }
  return all_joined;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", kOrdinary, [&](Call& call) {
    static unsigned long long captures = 0;
    if (stream == nullptr || stream == cudaStreamLegacy)
      call.misuse(cudaErrorStreamCaptureUnsupported, "of the default stream");
    CUstream_st& where = call.stream(stream);
    if (where.capture != nullptr)
      call.misuse(cudaErrorIllegalState, "of a stream that is captured already");
    ++live_graphs().graphs;
    where.capture = std::make_shared<Capture>(
        Capture{new CUgraph_st, mode, std::this_thread::get_id(), ++captures, stream});
    where.dependencies.clear();
    Gpu::get().captures.push_back(where.capture);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const cudaError_t status = call("cudaStreamEndCapture", kReleases, [&](Call& call) {
    CUstream_st& where = call.stream(stream);
    const auto capture = where.capture;
    if (capture == nullptr) call.misuse(cudaErrorIllegalState, "of a stream that is not captured");
    if (capture->origin != stream)
      call.misuse(cudaErrorStreamCaptureUnmatched, "of another stream than it began with");
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id())
      call.misuse(cudaErrorStreamCaptureWrongThread, "by another thread than began it");
    const std::vector<bool> leads = leading_to(*capture->graph, where.dependencies);
    const bool all_joined = end(capture, leads);
    if (capture->invalid || !all_joined) {
      cudaGraphDestroy(capture->graph);
      if (!all_joined)
        call.misuse(cudaErrorStreamCaptureUnjoined, "work of another stream is not joined");
      call.refuse(cudaErrorStreamCaptureInvalidated);
    }
    if (std::ranges::find(leads, false) != leads.end())
      report_doubt("a captured graph has ends that the stream does not follow");
    *graph = capture->graph;
  });
  if (status != cudaSuccess && *graph != nullptr) {  // the option `fail` made the call fail
    cudaGraphDestroy(*graph);
    *graph = nullptr;
  }
  return status;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", kOrdinary,
              [&](Call& call) { *status = status_of(call.stream(stream)); });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  return call("cudaStreamGetCaptureInfo", kOrdinary, [&](Call& call) {
    CUstream_st& where = call.stream(stream);
    *status = status_of(where);
    // The other results are defined only for an active capture.
    if (*status != cudaStreamCaptureStatusActive) return;
    where.shown_dependencies = where.dependencies;
    where.shown_edges.assign(where.dependencies.size(), {});
    if (id != nullptr) *id = where.capture->id;
    if (graph != nullptr) *graph = where.capture->graph;
    if (dependencies != nullptr) *dependencies = where.shown_dependencies.data();
    if (edges != nullptr) *edges = where.shown_edges.data();
    if (count != nullptr) *count = where.shown_dependencies.size();
  });
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* nodes,
                                                const cudaGraphEdgeData* edges, size_t count,
                                                unsigned flags) {
  return call("cudaStreamUpdateCaptureDependencies", kOrdinary, [&](Call& call) {
    CUstream_st& where = call.stream(stream);
    if (where.capture == nullptr) call.misuse(cudaErrorIllegalState, "of a stream not captured");
    if (where.capture->invalid) call.refuse(cudaErrorStreamCaptureInvalidated);
    if (edges != nullptr) call.misuse(cudaErrorNotSupported, "edge data is not simulated");
    const auto& known = where.capture->graph->handles;
    if (flags == cudaStreamSetCaptureDependencies) where.dependencies.clear();
    for (const cudaGraphNode_t node : std::vector(nodes, nodes + count)) {
      if (std::ranges::find(known, node, &std::unique_ptr<CUgraphNode_st>::get) == known.end())
        call.misuse(cudaErrorInvalidValue, "a node that is not in the graph");
      if (std::ranges::find(where.dependencies, node) == where.dependencies.end())
        where.dependencies.push_back(node);
      else if (flags == cudaStreamSetCaptureDependencies)
        report_doubt("cudaStreamUpdateCaptureDependencies: a node named twice");
    }
  });
}

}  // extern "C"

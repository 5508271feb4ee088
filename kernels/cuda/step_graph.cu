#include "kernels/cuda/step_graph.hpp"

#include "kernels/cuda/check.hpp"

namespace elbo::cuda {
namespace {

using Nodes = std::vector<cudaGraphNode_t>;

/// A stream while it records. What is queued next comes after the nodes given to `follow`.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "start a capture");
  }
  ~Capture() {
    cudaGraph_t graph = nullptr;
    if (!ended_ && cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    if (!ended_) cudaGetLastError();  // of a capture that failed; the stream is well again
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  void follow(Nodes nodes) {
    constexpr unsigned kSet = cudaStreamSetCaptureDependencies;
#if CUDART_VERSION >= 13000
    check(cudaStreamUpdateCaptureDependencies(stream_, nodes.data(), nullptr, nodes.size(), kSet),
          "order its graph");
#else
    check(cudaStreamUpdateCaptureDependencies(stream_, nodes.data(), nodes.size(), kSet),
          "order its graph");
#endif
  }
  /// The nodes that were queued last.
  Nodes last() const {
    cudaStreamCaptureStatus status{};
    unsigned long long id = 0;
    cudaGraph_t graph = nullptr;
    const cudaGraphNode_t* nodes = nullptr;
    size_t count = 0;
#if CUDART_VERSION >= 13000
    const cudaGraphEdgeData* edges = nullptr;
    check(cudaStreamGetCaptureInfo(stream_, &status, &id, &graph, &nodes, &edges, &count),
          "tell of its graph");
#else
    check(cudaStreamGetCaptureInfo_v2(stream_, &status, &id, &graph, &nodes, &count),
          "tell of its graph");
#endif
    return {nodes, nodes + count};
  }
  cudaGraph_t end() {
    ended_ = true;
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), "capture a program");
    return graph;
  }

 private:
  cudaStream_t stream_;
  bool ended_ = false;
};

void append(Nodes& nodes, const Nodes& more) {
  nodes.insert(nodes.end(), more.begin(), more.end());
}

/// Queues the program once behind `before` with all its branches; returns the nodes at its ends.
Nodes capture_branches(Capture& capture, const LaunchOp& launch, const Dependencies& dependencies,
                       const Stream& stream, const Nodes& before) {
  std::vector<Nodes> queued(dependencies.size());
  std::vector<bool> at_end(dependencies.size(), true);
  for (size_t op = 0; op < dependencies.size(); ++op) {
    Nodes waits_for;
    for (const int earlier : dependencies[op]) {
      append(waits_for, queued[static_cast<size_t>(earlier)]);
      at_end[static_cast<size_t>(earlier)] = false;
    }
    const bool is_first = op == 0 && before.empty();
    if (!is_first) capture.follow(dependencies[op].empty() ? before : waits_for);
    launch(op, stream);
    queued[op] = capture.last();
  }
  Nodes ends;
  for (size_t op = 0; op < queued.size(); ++op)
    if (at_end[op]) append(ends, queued[op]);
  return ends;
}

}  // namespace

StepGraph::StepGraph(cudaStream_t stream, const LaunchOp& launch, const Dependencies& dependencies,
                     const GraphOptions& options) {
  const Stream target = {stream, options.overlapping};
  Capture capture(stream);
  Nodes before;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    if (options.branches)
      before = capture_branches(capture, launch, dependencies, target, before);
    else
      for (size_t op = 0; op < dependencies.size(); ++op) launch(op, target);
  }
  if (options.branches) capture.follow(before);
  cudaGraph_t graph = capture.end();
  cudaError_t status = cudaGraphGetNodes(graph, nullptr, &nodes_);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&executable_, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "make a graph of a program");
}

StepGraph::~StepGraph() { cudaGraphExecDestroy(executable_); }

void StepGraph::launch(cudaStream_t stream) const {
  check(cudaGraphLaunch(executable_, stream), "run a program");
}

}  // namespace elbo::cuda

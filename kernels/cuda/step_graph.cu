#include "kernels/cuda/step_graph.hpp"

namespace elbo::cuda {

namespace {

struct CaptureInfo {
  cudaGraph_t graph = nullptr;
  const cudaGraphNode_t* ends = nullptr;
  size_t end_count = 0;
};

CaptureInfo captured(cudaStream_t stream) {
  CaptureInfo info;
  cudaStreamCaptureStatus status{};
  unsigned long long id = 0;
#if CUDART_VERSION >= 13000
  const cudaGraphEdgeData* edges = nullptr;
  ELBO_CUDA(cudaStreamGetCaptureInfo(stream, &status, &id, &info.graph, &info.ends, &edges,
                                     &info.end_count));
#else
  ELBO_CUDA(
      cudaStreamGetCaptureInfo_v2(stream, &status, &id, &info.graph, &info.ends, &info.end_count));
#endif
  return info;
}

}  // namespace

std::vector<cudaGraphNode_t> captured_ends(cudaStream_t stream) {
  const CaptureInfo info = captured(stream);
  return {info.ends, info.ends + info.end_count};
}

namespace {

using Nodes = std::vector<cudaGraphNode_t>;

/// A stream in capture. Work queued next follows the nodes passed to `follow`.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    // Relaxed, because libraries may load modules and allocate while they enqueue, which the other
    // modes forbid. Nothing here waits for captured work.
    ELBO_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  }
  ~Capture() {
    if (ended_) return;
    cudaGraph_t graph = nullptr;
    check_nothrow(cudaStreamEndCapture(stream_, &graph));  // of a capture that failed
    const Graph dropped(graph);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  void follow(Nodes nodes) {
    constexpr unsigned kSet = cudaStreamSetCaptureDependencies;
#if CUDART_VERSION >= 13000
    ELBO_CUDA(
        cudaStreamUpdateCaptureDependencies(stream_, nodes.data(), nullptr, nodes.size(), kSet));
#else
    ELBO_CUDA(cudaStreamUpdateCaptureDependencies(stream_, nodes.data(), nodes.size(), kSet));
#endif
  }
  /// The last queued nodes.
  Nodes last() const { return captured_ends(stream_); }
  /// Number of nodes queued so far.
  size_t count() const {
    size_t count = 0;
    ELBO_CUDA(cudaGraphGetNodes(captured(stream_).graph, nullptr, &count));
    return count;
  }
  Graph end() {
    ended_ = true;
    cudaGraph_t graph = nullptr;
    ELBO_CUDA(cudaStreamEndCapture(stream_, &graph));
    return Graph(graph);
  }

 private:
  cudaStream_t stream_;
  bool ended_ = false;
};

void append(Nodes& nodes, const Nodes& more) {
  nodes.insert(nodes.end(), more.begin(), more.end());
}

/// Queues the program once after `before`, with all its branches; returns the final nodes.
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
                     const GraphOptions& options)
    : nodes_by_op_(dependencies.size()) {
  Capture capture(stream);
  const LaunchOp launch_counted = [&](size_t op, Stream target) {
    const size_t before = capture.count();
    launch(op, target);
    nodes_by_op_[op] += capture.count() - before;
  };
  const Stream target = {stream, options.overlapping};
  Nodes before;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    if (options.branches)
      before = capture_branches(capture, launch_counted, dependencies, target, before);
    else
      for (size_t op = 0; op < dependencies.size(); ++op) launch_counted(op, target);
  }
  if (options.branches) capture.follow(before);
  const Graph graph = capture.end();
  cudaGraphExec_t executable = nullptr;
  ELBO_CUDA(cudaGraphInstantiate(&executable, graph.get(), 0));
  executable_ = GraphExecutable(executable);
}

void StepGraph::launch(cudaStream_t stream) const {
  ELBO_CUDA(cudaGraphLaunch(executable_.get(), stream));
}

}  // namespace elbo::cuda

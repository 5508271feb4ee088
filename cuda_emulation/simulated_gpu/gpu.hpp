// Streams, events, graphs and captures, and the scheduler. By default work runs late, and in any
// order that the dependencies allow.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda_emulation/simulated_gpu/graph_run.hpp"
#include "cuda_emulation/simulated_gpu/operations.hpp"
#include "cuda_emulation/simulated_gpu/order.hpp"

namespace elbo::cuda::simulated {

/// An entry of a stream's queue: an operation, a graph launch, or a point that others wait for.
struct Entry {
  std::vector<std::shared_ptr<Entry>> before;  // emptied when done
  bool done = false;
  uint32_t stream = 0, position = 0;
  Clock clock;         // the work that is complete when the entry begins
  double time = 0.0;   // completion time in microseconds
  double began = 0.0;  // start time of a graph in microseconds
  Operation operation;
  Nodes nodes;
  std::unique_ptr<GraphRun> run;
};
using EntryPointer = std::shared_ptr<Entry>;

struct Capture {
  cudaGraph_t graph;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  unsigned long long id;
  cudaStream_t origin;
  bool invalid = false;
  uint64_t edges = 0;
};

}  // namespace elbo::cuda::simulated

struct CUgraphNode_st {
  CUgraph_st* graph;
  uint32_t number;
  std::vector<void*> arguments;  // storage of the array that cudaGraphKernelNodeGetParams returns
};

struct CUgraph_st {
  std::vector<elbo::cuda::simulated::Node> nodes;
  std::vector<std::unique_ptr<CUgraphNode_st>> handles;
};

struct CUgraphExec_st {
  elbo::cuda::simulated::Nodes nodes;
};

struct CUstream_st {
  uint32_t number = 0;
  bool blocking = true;  // ordered with the default stream
  bool alive = true;
  elbo::cuda::simulated::EntryPointer last;
  uint32_t queued = 0;
  // Used while the stream is captured:
  std::shared_ptr<elbo::cuda::simulated::Capture> capture;
  std::vector<cudaGraphNode_t> dependencies;
  // Storage of the arrays that cudaStreamGetCaptureInfo returns:
  std::vector<cudaGraphNode_t> shown_dependencies;
  std::vector<cudaGraphEdgeData> shown_edges;
};

struct CUevent_st {
  unsigned flags = 0;
  bool alive = true;
  elbo::cuda::simulated::EntryPointer recorded;
  // Set if the event was recorded in a capture:
  std::shared_ptr<elbo::cuda::simulated::Capture> capture;
  std::vector<cudaGraphNode_t> nodes;
};

namespace elbo::cuda::simulated {

class Gpu {
 public:
  static Gpu& get();

  std::recursive_mutex mutex;
  cudaError_t lasting_error = cudaSuccess;
  std::vector<std::unique_ptr<CUstream_st>> streams;  // the default stream first
  std::vector<std::unique_ptr<CUevent_st>> events;
  std::vector<std::shared_ptr<Capture>> captures;  // the active ones
  std::set<std::string> loaded_libraries;

  /// Discards all work, errors, streams and events.
  void reset();
  /// Queues an entry on a stream. It waits for the stream's last entry and for the entries in
  /// `more`.
  EntryPointer enqueue(CUstream_st& stream, std::vector<EntryPointer> more = {});
  /// Runs `target` and its dependencies, and perhaps other work; runs all work if `target` is null.
  /// The lock is released between steps, so other threads may call functions meanwhile.
  void run_until(const EntryPointer& target);
  /// Runs queued work as the option `order` requires, because a GPU works concurrently with the
  /// host.
  void let_work_continue();
  bool idle() const { return pending_.empty(); }
  /// Returns true if a queued copy reads or writes these bytes of host memory.
  bool is_copy_queued(const void* memory, size_t bytes) const;
  /// Records that the host has observed the completion of the entry.
  void learn(const Entry& entry);
  /// Returns the simulated time in microseconds. Needs no lock.
  double now() const { return now_; }

  /// Discards all queued work, as a lasting error does.
  void drop_work();

 private:
  struct Step {
    EntryPointer entry;
    uint32_t node = 0;  // if the entry is a graph
  };
  std::vector<Step> steps(const std::set<const Entry*>* wanted);
  void start_graph(Entry& entry);
  void perform(const Step& step);
  void finish(Entry& entry);
  void fail(const std::string& why);

  std::vector<EntryPointer> pending_;
  Clock host_;  // the work that the host knows to be complete
  std::atomic<double> now_ = 0.0;
};

}  // namespace elbo::cuda::simulated

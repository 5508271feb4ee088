// A program as a CUDA graph, which the GPU runs without the host.
#pragma once

#include <functional>
#include <vector>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/stream.hpp"
#include "kernels/dataflow.hpp"

namespace elbo::cuda {

/// Queues op i of the program on a stream.
using LaunchOp = std::function<void(size_t op, Stream stream)>;

struct GraphOptions {
  int repeats = 1;           // runs of the program in sequence
  bool branches = false;     // independent ops run in parallel
  bool overlapping = false;  // kernels start while the previous one ends
};

/// Returns the nodes that the next work captured on `stream` will depend on.
std::vector<cudaGraphNode_t> captured_ends(cudaStream_t stream);

class StepGraph {
 public:
  /// Captures the program on `stream`, which is unchanged afterwards. Throws DeviceError if an op
  /// cannot be captured.
  StepGraph(cudaStream_t stream, const LaunchOp& launch, const Dependencies& dependencies,
            const GraphOptions& options);

  void launch(cudaStream_t stream) const;
  /// Kernels and other nodes of each op, in all repeats together.
  const std::vector<size_t>& nodes_by_op() const { return nodes_by_op_; }

 private:
  GraphExecutable executable_;
  std::vector<size_t> nodes_by_op_;
};

}  // namespace elbo::cuda

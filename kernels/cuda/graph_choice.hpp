// Chooses the fastest form of a program's graph on this GPU.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/access.hpp"
#include "kernels/cuda/step_graph.hpp"

namespace elbo::cuda {

struct GraphChoice {
  std::unique_ptr<StepGraph> graph;
  GraphOptions options;
  std::vector<std::string> notes;
};

using MakeGraph = std::function<std::unique_ptr<StepGraph>(const GraphOptions&)>;
using DescribeGraph = std::function<std::string(const StepGraph&)>;  // for the notes

/// Returns the fastest form of graph. Each graph contains `repeats` runs of the program. `carried`
/// is the memory whose content a run passes to the next; a form is rejected if it leaves other bits
/// there than the first form. Restores `carried` before every launch, so that all forms repeat the
/// same runs, and at the end. The graph is null if two copies of `carried` do not fit into memory.
/// Throws the DeviceError of the last failure if no form can be made.
GraphChoice choose_graph(const std::vector<Access>& carried, int repeats, const MakeGraph& make,
                         const DescribeGraph& describe, cudaStream_t stream);

}  // namespace elbo::cuda

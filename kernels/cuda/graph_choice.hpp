// Which form of a program's graph is the fastest on this GPU.
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

/// Runs graphs of every form, each of `repeats` runs of the program, and returns the fastest of
/// those that leave the same bits in `carried`, the memory that a run takes over from the one
/// before. Puts that back before every launch, so that all repeat the same runs, and at the end.
/// Without room for two copies of it there is no choice: the graph is null.
/// Throws the last form's DeviceError if none can be made.
GraphChoice choose_graph(const std::vector<Access>& carried, int repeats, const MakeGraph& make,
                         const DescribeGraph& describe, cudaStream_t stream);

}  // namespace elbo::cuda

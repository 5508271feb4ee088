// Runs the nodes of a launched graph in any order that its edges allow.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda_emulation/simulated_gpu/operations.hpp"

namespace elbo::cuda::simulated {

struct Edge {
  uint32_t from;
  bool programmatic;
};

struct Node {
  Operation operation;
  std::vector<Edge> before;
};

using Nodes = std::shared_ptr<const std::vector<Node>>;

/// A launched graph. At three points, a node has a set of nodes that are known to be complete, and
/// so are ordered before the work that follows the point:
///
/// - `at_start`: the sets `at_end` of its full predecessors and the sets `at_start` of its
///   programmatic predecessors. The trigger of a programmatic predecessor proves only that it has
///   started. If all its blocks waited before they triggered, and it has ended, its set
///   `behind_wait` is included too.
/// - `behind_wait`, after its griddepcontrol.wait: also the sets `at_end` of its programmatic
///   predecessors.
/// - `at_end`: the node itself and `at_start` or, if one of its threads waited, `behind_wait`. A
///   kernel that never waits may end before its predecessors, so its end proves nothing about them.
class GraphRun {
 public:
  /// `entry` describes the launch as an entry of a stream's queue.
  GraphRun(Nodes nodes, Actor entry);

  bool done() const { return done_ == nodes_->size(); }
  /// Returns nodes that can start or continue.
  std::vector<uint32_t> runnable() const;
  /// Starts or continues a node; returns the simulated time in microseconds. Throws a
  /// std::exception if the node faults.
  double advance(uint32_t node);
  /// If the graph repeats a sequence of a few kernels, runs it only once and multiplies its time by
  /// the number of repeats.
  void skip_repeats();

 private:
  struct State {
    enum class Stage { kWaiting, kStarted, kDone } stage = Stage::kWaiting;
    std::unique_ptr<Access> access;
    std::unique_ptr<GridRun> grid;
    ActorId actor = 0;
    bool overlaps = false;       // the node has programmatic predecessors
    bool ignores_waits = false;  // a planted defect
    bool triggered = false, waited = false;
    NodeSet at_start, behind_wait, at_end;
  };

  bool all_before_done(uint32_t node) const;
  bool may_start(uint32_t node) const;
  void start(uint32_t node);
  /// Returns true if the node must continue later.
  bool start_kernel(uint32_t node, bool all_before_done);
  double finish(uint32_t node);
  void end(uint32_t node, bool all_before_done);

  Nodes nodes_;
  Actor entry_;
  std::vector<State> states_;
  size_t done_ = 0;
  double time_factor_ = 1.0;
  enum class Preference { kNone, kEarly, kLate } preference_;  // when kernels start
};

}  // namespace elbo::cuda::simulated

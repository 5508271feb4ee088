// A launched graph while its nodes run, in any order that its edges allow.
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

/// Which nodes are known to be complete at a point (and so are ordered before what follows it):
///
/// - When a node starts: its full predecessors with what was known at their ends, and what was
///   known when its programmatic predecessors started. Those let it start and say no more.
/// - Behind its griddepcontrol.wait: also the programmatic predecessors with what was known at
///   their ends.
/// - When it ends: itself and what was known at its start, and if one of its threads waited, what
///   was known behind the wait. A kernel that never waits may end before its predecessors, and
///   then its end says nothing about them.
class GraphRun {
 public:
  /// `entry`: the launch as an entry of a stream's queue.
  GraphRun(Nodes nodes, Actor entry);

  bool done() const { return done_ == nodes_->size(); }
  /// Nodes that can start or continue.
  std::vector<uint32_t> runnable() const;
  /// Starts or continues a node; returns the microseconds that this took. Throws a std::exception
  /// if it faults.
  double advance(uint32_t node);
  /// In a graph that runs a few kernels again and again: runs them once, and takes the time of all.
  void skip_repeats();

 private:
  struct State {
    enum class Stage { kWaiting, kStarted, kDone } stage = Stage::kWaiting;
    std::unique_ptr<Access> access;
    std::unique_ptr<GridRun> grid;
    ActorId actor = 0;
    bool overlaps = false;       // it has programmatic predecessors
    bool ignores_waits = false;  // planted
    bool triggered = false, waited = false;
    NodeSet at_start, behind_wait, at_end;
  };

  bool all_before_done(uint32_t node) const;
  bool may_start(uint32_t node) const;
  void start(uint32_t node);
  /// True if it has to continue later.
  bool start_kernel(uint32_t node, bool all_before_done);
  double finish(uint32_t node);
  void end(uint32_t node, bool all_before_done);

  Nodes nodes_;
  Actor entry_;
  std::vector<State> states_;
  size_t done_ = 0;
  double time_factor_ = 1.0;
  enum class Preference { kNone, kEarly, kLate } preference_;  // for starting kernels
};

}  // namespace elbo::cuda::simulated

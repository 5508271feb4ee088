#include "cuda_emulation/simulated_gpu/graph_run.hpp"

#include <algorithm>
#include <cstdio>

#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {
namespace {

/// Returns the length of the shortest sequence of kernels that the whole graph repeats, or 0 if
/// there is none. The engine times a matrix product in such a graph: up to kMaxPeriod kernels,
/// repeated at least kMinRepeats times. A training step has more kernels.
size_t period_of(const std::vector<Node>& nodes) {
  constexpr size_t kMaxPeriod = 4, kMinRepeats = 4;
  for (size_t period = 1; period <= kMaxPeriod; ++period) {
    if (nodes.size() % period != 0 || nodes.size() / period < kMinRepeats) continue;
    bool repeats = true;
    for (size_t n = period; n < nodes.size() && repeats; ++n)
      repeats = nodes[n].operation.repeats(nodes[n - period].operation);
    if (repeats) return period;
  }
  return 0;
}

void trace(const char* what, const Node& node, uint32_t number) {
  if (Options::get().trace)
    std::fprintf(stderr, "%s %s, node %u\n", what, node.operation.name.c_str(), number);
}

bool is_without_wait(const Operation& operation) {
  const std::string& without = Options::get().without_wait;
  if (without.empty() || operation.name.find(without) == std::string::npos) return false;
  ++Options::get().planted;
  return true;
}

}  // namespace

GraphRun::GraphRun(Nodes nodes, Actor entry)
    : nodes_(std::move(nodes)),
      entry_(std::move(entry)),
      states_(nodes_->size()),
      preference_(static_cast<Preference>(pick(3))) {
  static uint64_t launches = 0;
  entry_.launch = ++launches;
}

void GraphRun::skip_repeats() {
  const size_t period = period_of(*nodes_);
  if (period == 0) return;
  time_factor_ = static_cast<double>(nodes_->size() / period);
  for (size_t n = period; n < states_.size(); ++n) states_[n].stage = State::Stage::kDone;
  done_ += states_.size() - period;
}

bool GraphRun::all_before_done(uint32_t n) const {
  return std::ranges::all_of((*nodes_)[n].before, [&](const Edge& edge) {
    return states_[edge.from].stage == State::Stage::kDone;
  });
}

bool GraphRun::may_start(uint32_t n) const {
  return std::ranges::all_of((*nodes_)[n].before, [&](const Edge& edge) {
    const State& before = states_[edge.from];
    return before.stage == State::Stage::kDone ||
           (edge.programmatic && before.stage == State::Stage::kStarted && before.triggered);
  });
}

std::vector<uint32_t> GraphRun::runnable() const {
  // `early` nodes start while a predecessor still runs, `late` nodes after all predecessors.
  std::vector<uint32_t> early, late;
  for (uint32_t n = 0; n < states_.size(); ++n) {
    if (states_[n].stage == State::Stage::kDone) continue;
    if (all_before_done(n))
      late.push_back(n);
    else if (states_[n].stage == State::Stage::kWaiting && may_start(n))
      early.push_back(n);
  }
  const bool prefers_early =
      preference_ == Preference::kEarly || (preference_ == Preference::kNone && chance(0.5));
  std::vector<uint32_t>& preferred = prefers_early ? early : late;
  return preferred.empty() ? (prefers_early ? late : early) : preferred;
}

double GraphRun::advance(uint32_t n) {
  if (states_[n].stage == State::Stage::kDone) return 0.0;
  const bool all_done = all_before_done(n);
  if (states_[n].stage == State::Stage::kWaiting) {
    start(n);
    const Operation& operation = (*nodes_)[n].operation;
    // A library's kernel may trigger the next kernel at any time.
    if (operation.kernel() == nullptr && operation.is_kernel() && chance(0.5)) {
      states_[n].triggered = true;
      return 0.0;
    }
    if (operation.kernel() != nullptr && start_kernel(n, all_done)) return 0.0;
    if (!all_done) {
      end(n, false);
      return time_factor_ * operation.cost;
    }
  }
  return time_factor_ * finish(n);
}

void GraphRun::start(uint32_t n) {
  const Node& node = (*nodes_)[n];
  State& state = states_[n];
  state.at_start = NodeSet(states_.size());
  for (const Edge& edge : node.before) {
    const State& before = states_[edge.from];
    if (!edge.programmatic) {
      state.at_start.join(before.at_end);
      continue;
    }
    state.overlaps = true;
    state.at_start.join(before.at_start);
    // Each of its blocks had waited for the predecessors before it triggered this node.
    if (before.grid != nullptr && before.stage == State::Stage::kDone && before.waited &&
        before.grid->triggered_after_wait())
      state.at_start.join(before.behind_wait);
  }
  Actor actor = entry_;
  actor.name = node.operation.name;
  actor.node = n;
  actor.complete[0] = actor.complete[1] = state.at_start;
  state.behind_wait = state.at_start;
  state.actor = Order::get().begin(std::move(actor));
  state.stage = State::Stage::kStarted;
}

bool GraphRun::start_kernel(uint32_t n, bool all_before_done) {
  const Node& node = (*nodes_)[n];
  State& state = states_[n];
  const KernelLaunch& launch = *node.operation.kernel();
  state.ignores_waits = is_without_wait(node.operation);
  trace("begin", node, n);
  state.access = std::make_unique<Access>(state.actor, state.overlaps, state.ignores_waits);
  state.grid = std::make_unique<GridRun>(*launch.kernel, launch.arguments, launch.grid,
                                         launch.block, launch.shared_bytes, *state.access,
                                         state.overlaps && !state.ignores_waits);
  const bool ended = state.grid->run();
  state.triggered = state.grid->triggered();
  return !ended && (!all_before_done || chance(0.5));
}

double GraphRun::finish(uint32_t n) {
  const Node& node = (*nodes_)[n];
  State& state = states_[n];
  for (const Edge& edge : node.before) state.behind_wait.join(states_[edge.from].at_end);
  Order::get().actor(state.actor).complete[static_cast<size_t>(Phase::kBehindWait)] =
      state.behind_wait;
  double time = 0.0;
  if (state.grid != nullptr) {
    trace("end", node, n);
    state.access->resume();
    state.grid->release();
    state.grid->run();
    time = kernel_time(node.operation, state.grid->instructions());
  } else {
    time = run(node.operation, state.actor);
  }
  end(n, true);
  return time;
}

void GraphRun::end(uint32_t n, bool all_before_done) {
  State& state = states_[n];
  state.waited = state.grid != nullptr && state.grid->waited() && !state.ignores_waits;
  if (state.overlaps && !state.waited)
    report_doubt((*nodes_)[n].operation.name +
                 " never waits for the kernels before it, which it may overlap");
  const bool knows_predecessors = all_before_done && (!state.overlaps || state.waited);
  state.at_end = knows_predecessors ? state.behind_wait : state.at_start;
  state.at_end.add(n);
  state.stage = State::Stage::kDone;
  ++done_;
}

}  // namespace elbo::cuda::simulated

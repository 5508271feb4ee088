#include "cuda_emulation/simulated_gpu/gpu.hpp"

#include <algorithm>
#include <utility>

#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {
namespace {

/// Returns "chain", "branches", "overlap" or "both".
std::string kind_of(const std::vector<Node>& nodes) {
  bool branches = false, overlap = false;
  for (const Node& node : nodes) {
    branches = branches || node.before.size() > 1;
    for (const Edge& edge : node.before) overlap = overlap || edge.programmatic;
  }
  if (branches) return overlap ? "both" : "branches";
  return overlap ? "overlap" : "chain";
}

/// Returns `target` and all entries that it depends on.
std::set<const Entry*> needed_by(const Entry& target) {
  std::set<const Entry*> needed;
  std::vector<const Entry*> open = {&target};
  while (!open.empty()) {
    const Entry* entry = open.back();
    open.pop_back();
    if (entry->done || !needed.insert(entry).second) continue;
    for (const EntryPointer& before : entry->before) open.push_back(before.get());
  }
  return needed;
}

}  // namespace

Gpu& Gpu::get() {
  static auto* gpu = [] {
    auto* made = new Gpu;
    made->streams.push_back(std::make_unique<CUstream_st>());
    return made;
  }();
  return *gpu;
}

void Gpu::reset() {
  drop_work();
  lasting_error = cudaSuccess;
  captures.clear();
  loaded_libraries.clear();
  for (const auto& stream : streams) {
    stream->alive = stream->number == 0;
    stream->capture = nullptr;
    stream->dependencies.clear();
  }
  for (const auto& event : events) event->alive = false;
  run_until(nullptr);  // orders all later work after the discarded work
}

EntryPointer Gpu::enqueue(CUstream_st& stream, std::vector<EntryPointer> more) {
  auto entry = std::make_shared<Entry>();
  entry->stream = stream.number;
  entry->position = ++stream.queued;
  entry->before = std::move(more);
  if (stream.last) entry->before.push_back(stream.last);
  const bool is_default = stream.number == 0;
  for (const auto& other : streams) {
    const bool ordered =
        is_default ? other->number != 0 && other->blocking : other->number == 0 && stream.blocking;
    if (ordered && other->last) entry->before.push_back(other->last);
  }
  entry->clock = host_;
  for (const EntryPointer& before : entry->before) {
    entry->clock.join(before->clock);
    entry->clock.set(before->stream, before->position);
  }
  std::erase_if(entry->before, [](const EntryPointer& before) { return before->done; });
  stream.last = entry;
  pending_.push_back(entry);
  return entry;
}

void Gpu::learn(const Entry& entry) {
  host_.join(entry.clock);
  host_.set(entry.stream, entry.position);
}

bool Gpu::is_copy_queued(const void* memory, size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(memory);
  const auto overlaps = [&](const void* pointer, size_t size) {
    const auto* other = static_cast<const std::byte*>(pointer);
    return other < begin + bytes && begin < other + size;
  };
  return std::ranges::any_of(pending_, [&](const EntryPointer& entry) {
    const auto* copy = std::get_if<Copy>(&entry->operation.work);
    return copy != nullptr && (overlaps(copy->to, copy->bytes) ||
                               (copy->staged.empty() && overlaps(copy->from, copy->bytes)));
  });
}

void Gpu::fail(const std::string& why) {
  report_defect(why);
  lasting_error = cudaErrorIllegalAddress;
  drop_work();
}

void Gpu::drop_work() {
  for (const EntryPointer& entry : pending_) {
    entry->done = true;
    entry->before.clear();
  }
  pending_.clear();
}

void Gpu::finish(Entry& entry) {
  entry.done = true;
  entry.time = now_;
  entry.before.clear();
  entry.run.reset();
  entry.operation = {};
  entry.nodes.reset();
  std::erase_if(pending_, [&](const EntryPointer& other) { return other.get() == &entry; });
}

void Gpu::start_graph(Entry& entry) {
  entry.run = std::make_unique<GraphRun>(
      entry.nodes,
      Actor{.name = "", .stream = entry.stream, .position = entry.position, .clock = entry.clock});
  entry.began = now_;
  if (Options::get().quick_trials) entry.run->skip_repeats();
}

std::vector<Gpu::Step> Gpu::steps(const std::set<const Entry*>* wanted) {
  std::vector<Step> found;
  for (const EntryPointer& entry : pending_) {
    if (wanted != nullptr && !wanted->contains(entry.get())) continue;
    std::erase_if(entry->before, [](const EntryPointer& before) { return before->done; });
    if (!entry->before.empty()) continue;
    if (entry->nodes == nullptr || entry->nodes->empty()) {
      found.push_back({entry});
      continue;
    }
    if (entry->run == nullptr) start_graph(*entry);
    for (const uint32_t node : entry->run->runnable()) found.push_back({entry, node});
  }
  return found;
}

void Gpu::perform(const Step& step) {
  Entry& entry = *step.entry;
  try {
    if (entry.run == nullptr) {
      const ActorId actor = Order::get().begin({.name = entry.operation.name,
                                                .stream = entry.stream,
                                                .position = entry.position,
                                                .clock = entry.clock});
      now_ = now_ + run(entry.operation, actor);
    } else {
      now_ = now_ + entry.run->advance(step.node);
      if (!entry.run->done()) return;
      if (kind_of(*entry.nodes) == Options::get().fastest) now_ = (now_ + entry.began) / 2;
    }
  } catch (const std::exception& error) {
    const std::string& name =
        entry.run == nullptr ? entry.operation.name : (*entry.nodes)[step.node].operation.name;
    return fail(name + ": " + error.what());
  }
  finish(entry);
}

void Gpu::run_until(const EntryPointer& target) {
  // Released between steps, so that other threads can queue work.
  std::unique_lock lock(mutex);
  const bool only_needed = Options::get().order == Options::Order::kLatest || chance(0.7);
  while (lasting_error == cudaSuccess && !(target == nullptr ? pending_.empty() : target->done)) {
    const bool restricted = target != nullptr && only_needed;
    const std::set<const Entry*> needed =
        restricted ? needed_by(*target) : std::set<const Entry*>();
    const std::vector<Step> possible = steps(restricted ? &needed : nullptr);
    if (possible.empty()) {
      report_defect("deadlock: nothing that is queued can run");
      break;
    }
    perform(possible[pick(possible.size())]);
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  if (target != nullptr)
    learn(*target);
  else
    for (const auto& stream : streams) host_.set(stream->number, stream->queued);
  const bool knows_all = std::ranges::all_of(
      streams, [&](const auto& stream) { return host_.at(stream->number) >= stream->queued; });
  if (pending_.empty() && knows_all) Order::get().forget();
}

void Gpu::let_work_continue() {
  const auto order = Options::get().order;
  if (order == Options::Order::kLatest || order == Options::Order::kLate) return;
  while (lasting_error == cudaSuccess && !pending_.empty() &&
         (order == Options::Order::kEager || chance(0.5))) {
    const std::vector<Step> possible = steps(nullptr);
    if (possible.empty()) return;
    perform(possible[pick(possible.size())]);
  }
}

}  // namespace elbo::cuda::simulated

// Records which work is known to be complete when other work begins. Two pieces of work are ordered
// only if one is known to be complete before the other begins.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace elbo::cuda::simulated {

/// A vector clock: for each stream, the number of entries of its queue that are complete.
class Clock {
 public:
  uint32_t at(uint32_t stream) const { return stream < done_.size() ? done_[stream] : 0; }
  void set(uint32_t stream, uint32_t position);
  void join(const Clock& other);

 private:
  std::vector<uint32_t> done_;
};

/// A set of a graph's nodes.
class NodeSet {
 public:
  NodeSet() = default;
  explicit NodeSet(size_t count) : words_((count + 63) / 64) {}
  bool contains(size_t node) const {
    return node / 64 < words_.size() && (words_[node / 64] >> node % 64 & 1) != 0;
  }
  void add(size_t node) { words_[node / 64] |= uint64_t{1} << node % 64; }
  void join(const NodeSet& other) {
    for (size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
      words_[i] |= other.words_[i];
  }

 private:
  std::vector<uint64_t> words_;
};

/// The phase of a kernel's memory access: before or after it has waited for the preceding kernels
/// (griddepcontrol.wait). Work that cannot overlap its predecessors is always in kBehindWait.
enum class Phase { kBeforeWait, kBehindWait };

/// An operation that has begun, such as a kernel or a copy. It is entry `position` in the queue of
/// `stream`; if the entry is a graph launch, it is a node of the graph.
struct Actor {
  std::string name;
  uint32_t stream = 0, position = 0;
  Clock clock = {};     // the work that was complete when the entry began
  uint64_t launch = 0;  // number of the graph launch; 0: none
  uint32_t node = 0;
  NodeSet complete[2] = {};  // complete nodes of that launch, by phase

  const NodeSet& complete_in(Phase phase) const { return complete[static_cast<size_t>(phase)]; }
};

using ActorId = uint32_t;

/// The number of a set of actors; 0 is the empty set.
using ActorSet = uint32_t;

class Order {
 public:
  static Order& get();

  ActorId begin(Actor actor);
  Actor& actor(ActorId id) { return actors_[id - first_]; }
  /// Returns true if `earlier` is complete and its writes are visible when `later` is in `phase`.
  bool ordered(ActorId earlier, ActorId later, Phase phase) const;
  /// Forgets all actors. Call this when the host knows that all work is complete, so that it is
  /// ordered before all later work.
  void forget();

  /// Returns the union of `set` and `actor`, without the members that are ordered before `actor`.
  ActorSet with(ActorSet set, ActorId actor, Phase phase);
  const std::vector<ActorId>& members(ActorSet set) const;

 private:
  ActorId first_ = 1, next_ = 1;  // actors before first_ are forgotten
  std::vector<Actor> actors_;
  ActorSet first_set_ = 1;
  std::vector<std::vector<ActorId>> sets_;
  std::unordered_map<uint64_t, ActorSet> extended_;
};

}  // namespace elbo::cuda::simulated

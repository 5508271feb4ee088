// Which pieces of work are known to be complete when another one begins; only these are ordered.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace elbo::cuda::simulated {

/// For each stream, the number of entries of its queue that are complete: a vector clock.
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

/// When a kernel touches memory: before or after it has waited for the kernels before it
/// (griddepcontrol.wait). Work without such a wait is always behind it.
enum class Phase { kBeforeWait, kBehindWait };

/// A kernel, copy or the like that has begun: the entry `position` in the queue of `stream`, and in
/// a graph's launch its node.
struct Actor {
  std::string name;
  uint32_t stream = 0, position = 0;
  Clock clock = {};     // when its entry began
  uint64_t launch = 0;  // of a graph; 0: none
  uint32_t node = 0;
  NodeSet complete[2] = {};  // nodes of that launch, by phase

  const NodeSet& complete_in(Phase phase) const { return complete[static_cast<size_t>(phase)]; }
};

using ActorId = uint32_t;

/// A set of actors, as a number; 0 is the empty set.
using ActorSet = uint32_t;

class Order {
 public:
  static Order& get();

  ActorId begin(Actor actor);
  Actor& actor(ActorId id) { return actors_[id - first_]; }
  /// True if all of `earlier` is complete and its writes are visible when `later` is in `phase`.
  bool ordered(ActorId earlier, ActorId later, Phase phase) const;
  /// All work begun so far is complete, and the host knows: it precedes whatever follows.
  void forget();

  /// `set` and `actor`, without members that precede `actor`.
  ActorSet with(ActorSet set, ActorId actor, Phase phase);
  const std::vector<ActorId>& members(ActorSet set) const;

 private:
  ActorId first_ = 1, next_ = 1;  // earlier actors are forgotten
  std::vector<Actor> actors_;
  ActorSet first_set_ = 1;
  std::vector<std::vector<ActorId>> sets_;
  std::unordered_map<uint64_t, ActorSet> extended_;
};

}  // namespace elbo::cuda::simulated

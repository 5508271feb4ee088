#include "cuda_emulation/simulated_gpu/order.hpp"

#include <algorithm>

namespace elbo::cuda::simulated {

void Clock::set(uint32_t stream, uint32_t position) {
  if (stream >= done_.size()) done_.resize(stream + 1);
  done_[stream] = std::max(done_[stream], position);
}

void Clock::join(const Clock& other) {
  if (other.done_.size() > done_.size()) done_.resize(other.done_.size());
  for (size_t i = 0; i < other.done_.size(); ++i) done_[i] = std::max(done_[i], other.done_[i]);
}

Order& Order::get() {
  static auto* order = new Order;
  return *order;
}

ActorId Order::begin(Actor actor) {
  actors_.push_back(std::move(actor));
  return next_++;
}

bool Order::ordered(ActorId earlier, ActorId later, Phase phase) const {
  if (earlier < first_ || earlier == later) return true;
  const Actor &a = actors_[earlier - first_], &b = actors_[later - first_];
  if (a.launch != 0 && a.launch == b.launch) return b.complete_in(phase).contains(a.node);
  return b.clock.at(a.stream) >= a.position;
}

void Order::forget() {
  first_ = next_;
  actors_.clear();
  first_set_ += static_cast<ActorSet>(sets_.size());
  sets_.clear();
  extended_.clear();
}

const std::vector<ActorId>& Order::members(ActorSet set) const {
  static const std::vector<ActorId> none;
  return set < first_set_ ? none : sets_[set - first_set_];
}

ActorSet Order::with(ActorSet set, ActorId actor, Phase phase) {
  if (set < first_set_) set = 0;
  const uint64_t key = (uint64_t{set} << 32 | actor) << 1 | static_cast<uint64_t>(phase);
  if (const auto known = extended_.find(key); known != extended_.end()) return known->second;
  std::vector<ActorId> next;
  for (const ActorId member : members(set))
    if (member != actor && !ordered(member, actor, phase)) next.push_back(member);
  next.push_back(actor);
  ActorSet result = set;
  if (set == 0 || members(set) != next) {
    sets_.push_back(std::move(next));
    result = first_set_ + static_cast<ActorSet>(sets_.size()) - 1;
  }
  extended_.emplace(key, result);
  return result;
}

}  // namespace elbo::cuda::simulated

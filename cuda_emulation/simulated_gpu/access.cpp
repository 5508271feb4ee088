#include "cuda_emulation/simulated_gpu/access.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {
namespace {

bool recording = false;
AccessedRanges recorded;

void append(std::vector<Range>& ranges, const Range& range) {
  if (!ranges.empty() && range.begin <= ranges.back().end && range.end >= ranges.back().begin) {
    ranges.back().begin = std::min(ranges.back().begin, range.begin);
    ranges.back().end = std::max(ranges.back().end, range.end);
  } else {
    ranges.push_back(range);
  }
}

std::vector<Range> joined(std::vector<Range> ranges) {
  std::ranges::sort(ranges, {}, &Range::begin);
  std::vector<Range> result;
  for (const Range& range : ranges) append(result, range);
  return result;
}

}  // namespace

void start_recording() {
  recorded = {};
  recording = true;
}

AccessedRanges stop_recording() {
  recording = false;
  return {joined(std::move(recorded.read)), joined(std::move(recorded.written))};
}

std::byte* Access::access(uint64_t address, size_t bytes, Touch touch, bool waited) {
  Memory& memory = Memory::get();
  if (last_ == nullptr || address < last_->address ||
      address + bytes > last_->address + last_->bytes)
    last_ = memory.find(address, bytes);
  if (last_ == nullptr) {
    auto* pointer = reinterpret_cast<std::byte*>(address);
    if (is_module_variable(address, bytes)) return pointer;
    const std::string& name = Order::get().actor(actor_).name;
    if (memory.is_pinned(pointer, bytes)) {
      report_doubt(name + " accesses pinned memory of the host");
      return pointer;
    }
    report_defect(name + " accesses " + memory.describe(pointer, bytes) + ", out of bounds");
    return nullptr;
  }
  if (recording && touch != Touch::kWrite) append(recorded.read, {address, address + bytes});
  if (recording && touch != Touch::kRead) append(recorded.written, {address, address + bytes});
  if (!last_->writer.empty()) {
    const size_t offset = address - last_->address;
    if (touch != Touch::kWrite) check_initialized(*last_, offset, bytes);
    check_order(
        *last_, offset / kGranule, (offset + bytes - 1) / kGranule, touch,
        (waited && !ignores_waits_) || !overlaps_ ? Phase::kBehindWait : Phase::kBeforeWait);
    if (touch != Touch::kRead)
      for (size_t i = offset; i < offset + bytes; ++i)
        last_->initialized[i / kGranule] |= static_cast<uint8_t>(1u << i % kGranule);
  }
  return memory.view(address);
}

std::byte* Access::checked(const void* device, size_t bytes, Touch touch) {
  std::byte* memory = access(reinterpret_cast<uint64_t>(device), bytes, touch, true);
  if (memory == nullptr) throw std::runtime_error("it accesses memory out of bounds");
  return memory;
}

void Access::check_initialized(const Allocation& allocation, size_t offset, size_t bytes) const {
  for (size_t i = offset; i < offset + bytes; ++i) {
    if ((allocation.initialized[i / kGranule] >> i % kGranule & 1) != 0) continue;
    report_defect(Order::get().actor(actor_).name + " reads memory never written, allocation " +
                  std::to_string(allocation.number) + " (" + std::to_string(allocation.bytes) +
                  " bytes)");
    return;
  }
}

void Access::check_order(Allocation& allocation, size_t first, size_t last, Touch touch,
                         Phase phase) {
  Order& order = Order::get();
  const bool writes = touch != Touch::kRead;
  for (size_t i = first; i <= last; ++i) {
    const ActorId writer = allocation.writer[i];
    if (writer != actor_ && writer != 0 && !order.ordered(writer, actor_, phase))
      report_race(allocation, writer, "writes", writes ? "writes" : "reads", phase);
    ActorSet& readers = allocation.readers[i];
    if (writes) {
      if (readers != 0)
        for (const ActorId reader : order.members(readers))
          if (!order.ordered(reader, actor_, phase))
            report_race(allocation, reader, "reads", "writes", phase);
      allocation.writer[i] = actor_;
      readers = 0;
    }
    if (touch == Touch::kWrite) continue;
    if (readers != readers_ || phase != readers_phase_) {
      readers_ = readers;
      readers_phase_ = phase;
      readers_with_this_ = order.with(readers, actor_, phase);
    }
    readers = readers_with_this_;
  }
}

void Access::report_race(const Allocation& allocation, ActorId earlier, const char* earlier_access,
                         const char* access, Phase phase) const {
  Order& order = Order::get();
  const Actor &a = order.actor(earlier), &b = order.actor(actor_);
  report_defect("race: " + a.name + " " + earlier_access + ", " + b.name + " " + access +
                (phase == Phase::kBeforeWait ? " before it has waited" : "") +
                ", unordered, allocation " + std::to_string(allocation.number) + " (" +
                std::to_string(allocation.bytes) + " bytes)" +
                (a.launch != 0 && a.launch == b.launch ? ", in one graph" : ""));
}

}  // namespace elbo::cuda::simulated

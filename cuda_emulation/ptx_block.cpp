// The scheduler of a block's threads, and the barriers and warp instructions that synchronise them.
#include <algorithm>
#include <bit>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"
#include "cuda_emulation/tensor_core.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

using State = Thread::State;

const Step* active_mask(Thread& thread, const Step& step) {
  // CUDA guarantees only that the calling lane is active.
  write(thread, step, uint32_t{1} << thread.lane());
  return step.next();
}

const Step* wait(Thread& thread, const Step& step, State state, Collective collective) {
  thread.collective = collective;
  thread.state = state;
  thread.frame.next = step.next();
  return nullptr;
}

template <Collective collective>
const Step* wait_for_block(Thread& thread, const Step& step) {
  if (collective == Collective::kBarrier && step.instruction->operands.size() > 1) {
    reject(thread, step, "barrier of a part of the block not supported");
  }
  return wait(thread, step, State::kAtBarrier, collective);
}

template <Collective collective>
const Step* wait_for_warp(Thread& thread, const Step& step) {
  const bool is_mma = collective == Collective::kMmaTf32 || collective == Collective::kMmaBf16;
  thread.mask = is_mma ? 0xffffffffu : read<uint32_t>(thread, step.instruction->operands.back());
  if ((thread.mask >> thread.lane() & 1) == 0) {
    reject(thread, step, "the calling lane is not in its own mask");
  }
  return wait(thread, step, State::kAtWarpCollective, collective);
}

template <Collective collective>
constexpr Selector block_meeting = &always<&wait_for_block<collective>>;
template <Collective collective>
constexpr Selector warp_meeting = &always<&wait_for_warp<collective>>;

constexpr Opcode kOpcodes[] = {
    {"activemask", &always<&active_mask>},
    {"bar.sync", block_meeting<Collective::kBarrier>},
    {"barrier.sync", block_meeting<Collective::kBarrier>},
    {"bar.red.popc", block_meeting<Collective::kBarrierCount>},
    {"bar.red.and", block_meeting<Collective::kBarrierAnd>},
    {"bar.red.or", block_meeting<Collective::kBarrierOr>},
    {"barrier.red.popc", block_meeting<Collective::kBarrierCount>},
    {"barrier.red.and", block_meeting<Collective::kBarrierAnd>},
    {"barrier.red.or", block_meeting<Collective::kBarrierOr>},
    {"bar.warp.sync", warp_meeting<Collective::kWarpBarrier>},
    {"shfl.sync.idx", warp_meeting<Collective::kShuffle>},
    {"shfl.sync.up", warp_meeting<Collective::kShuffleUp>},
    {"shfl.sync.down", warp_meeting<Collective::kShuffleDown>},
    {"shfl.sync.bfly", warp_meeting<Collective::kShuffleXor>},
    {"vote.sync.ballot", warp_meeting<Collective::kBallot>},
    {"vote.sync.any", warp_meeting<Collective::kAny>},
    {"vote.sync.all", warp_meeting<Collective::kAll>},
    {"redux.sync.add", warp_meeting<Collective::kReduceAdd>},
    {"redux.sync.min", warp_meeting<Collective::kReduceMinimum>},
    {"redux.sync.max", warp_meeting<Collective::kReduceMaximum>},
    {"mma.sync.m16n8k8.row.col.tf32.tf32", warp_meeting<Collective::kMmaTf32>},
    {"mma.sync.m16n8k16.row.col.bf16.bf16", warp_meeting<Collective::kMmaBf16>},
};

struct ShuffleSource {
  unsigned lane;
  bool in_segment;
};

/// Returns the lane that shfl reads, following the pseudocode in the PTX manual. If the source is
/// outside the segment, it is the calling lane itself.
ShuffleSource shuffle_source(Collective mode, unsigned lane, unsigned argument, uint32_t control) {
  const unsigned clamp = control & 31, segment = control >> 8 & 31;
  const unsigned last = (lane & segment) | (clamp & ~segment);
  const unsigned offset = argument & 31;
  int source = 0;
  bool inside = false;
  switch (mode) {
    case Collective::kShuffleUp:
      source = static_cast<int>(lane) - static_cast<int>(offset);
      inside = source >= static_cast<int>(last);
      break;
    case Collective::kShuffleDown:
      source = static_cast<int>(lane + offset);
      inside = source <= static_cast<int>(last);
      break;
    case Collective::kShuffleXor:
      source = static_cast<int>(lane ^ offset);
      inside = source <= static_cast<int>(last);
      break;
    default:
      source = static_cast<int>((lane & segment) | (offset & ~segment));
      inside = source <= static_cast<int>(last);
      break;
  }
  return {inside ? static_cast<unsigned>(source) : lane, inside};
}

}  // namespace

std::span<const Opcode> meeting_opcodes() { return kOpcodes; }

Block::Block(const Function& function, const Launch& launch, uint3 index, GlobalMemory* global,
             bool held)
    : function_(function),
      launch_(launch),
      index_(index),
      threads_(size_t{launch.block.x} * launch.block.y * launch.block.z),
      shared_(function.static_shared_bytes + launch.shared_bytes, std::byte{kUnwritten}),
      global_(global),
      held_(held) {
  const unsigned width = launch.block.x, height = launch.block.y;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    Thread& thread = threads_[i];
    thread.block = this;
    thread.linear = i;
    thread.index = {i % width, i / width % height, i / (width * height)};
  }
}

/// Initialises a thread when it first runs. It reuses the storage of an exited thread, which is
/// still in the cache.
void Block::start(Thread& thread) {
  if (!spare_.empty()) {
    thread.frame.storage = std::move(spare_.back());
    spare_.pop_back();
  }
  enter(thread, function_);
  std::memcpy(thread.frame.parameters, launch_.args, launch_.args_size);
  thread.local.assign(function_.local_bytes, std::byte{kUnwritten});
}

void Block::exit(Thread& thread) {
  thread.state = State::kExited;
  if (thread.callers.empty()) spare_.push_back(std::move(thread.frame.storage));
}

bool Block::run() {
  while (true) {
    for (Thread& thread : threads_) {
      if (thread.state == State::kReady) run_until_waiting(thread);
    }
    bool progress = false;
    for (unsigned warp = 0; warp * kLanes < threads_.size(); ++warp) {
      progress = release_warp(warp) || progress;
    }
    progress = progress || release_barrier();
    if (progress) continue;
    for (const Thread& thread : threads_) {
      if (thread.state == State::kAtGridWait) return false;
    }
    for (const Thread& thread : threads_) {
      if (thread.state != State::kExited) {
        fail(thread, waiting_at(thread), "deadlock: every thread waits for one that cannot come");
      }
    }
    return true;
  }
}

void Block::release() {
  held_ = false;
  for (Thread& thread : threads_) {
    if (thread.state == State::kAtGridWait) thread.state = State::kReady;
  }
}

void Block::wait_for_grids(Thread& thread) {
  thread.waited = waited_ = true;
  if (held_) thread.state = State::kAtGridWait;
}

void Block::trigger(const Thread& thread) {
  if (!triggered_) triggered_after_wait_ = thread.waited;
  triggered_ = true;
}

void Block::run_until_waiting(Thread& thread) {
  if (thread.frame.next == nullptr) start(thread);
  uint64_t executed = 0;
  for (const Step* step = thread.frame.next; step != nullptr; ++executed) {
    step = step->handler(thread, *step);
  }
  instructions_ += executed;
}

/// Releases the block barrier if every thread has arrived. Returns false if no thread waits or some
/// have not arrived.
bool Block::release_barrier() {
  const Thread* first = nullptr;
  uint32_t count = 0;
  size_t exited = 0;
  for (const Thread& thread : threads_) {
    if (thread.state == State::kExited) ++exited;
    if (thread.state == State::kAtWarpCollective) return false;
    if (thread.state == State::kAtGridWait) return false;
    if (thread.state != State::kAtBarrier) continue;
    if (first == nullptr) first = &thread;
    if (&waiting_at(thread) != &waiting_at(*first)) {
      fail(thread, waiting_at(thread),
           "divergent barrier, thread " + std::to_string(first->linear) + " waits at another one");
    }
    count += read<bool>(thread, waiting_at(thread).operands.back());
  }
  if (first == nullptr) return false;
  if (exited != 0) {
    fail(*first, waiting_at(*first), "barrier not reached by threads that have exited");
  }
  for (Thread& thread : threads_) {
    const Operand& target = waiting_at(thread).operands[0];
    if (thread.collective == Collective::kBarrierCount) write(thread, target, count);
    if (thread.collective == Collective::kBarrierAnd) {
      write(thread, target, count == threads_.size());
    }
    if (thread.collective == Collective::kBarrierOr) write(thread, target, count != 0);
    thread.state = State::kReady;
  }
  return true;
}

/// Executes and releases every complete group of waiting lanes. Returns false if there is none.
bool Block::release_warp(unsigned warp) {
  bool released = false;
  const size_t end = std::min<size_t>(threads_.size(), (size_t{warp} + 1) * kLanes);
  for (size_t i = size_t{warp} * kLanes; i < end; ++i) {
    if (threads_[i].state != State::kAtWarpCollective) continue;
    Lanes lanes{};
    if (!complete_lanes(threads_[i], lanes)) continue;
    switch (threads_[i].collective) {
      case Collective::kShuffle:
      case Collective::kShuffleUp:
      case Collective::kShuffleDown:
      case Collective::kShuffleXor:
        shuffle(lanes);
        break;
      case Collective::kWarpBarrier:
        break;
      case Collective::kMmaTf32:
      case Collective::kMmaBf16:
        multiply(lanes);
        break;
      default:
        reduce(lanes);
        break;
    }
    for (Thread* thread : lanes) {
      if (thread != nullptr) thread->state = State::kReady;
    }
    released = true;
  }
  return released;
}

/// Collects the lanes in the mask of `waiting`. Returns false if one of them has not arrived. Lanes
/// that have exited or do not exist are not waited for.
bool Block::complete_lanes(const Thread& waiting, Lanes& lanes) {
  const uint32_t mask = waiting.mask;
  const Thread* elsewhere = nullptr;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const size_t i = size_t{waiting.warp()} * kLanes + lane;
    if ((mask >> lane & 1) == 0 || i >= threads_.size()) continue;
    Thread& thread = threads_[i];
    if (thread.state == State::kExited) continue;
    if (thread.state != State::kAtWarpCollective) return false;
    if (thread.mask != mask) return false;
    if (&waiting_at(thread) != &waiting_at(waiting)) elsewhere = &thread;
    lanes[lane] = &thread;
  }
  if (elsewhere != nullptr) {
    fail(*elsewhere, waiting_at(*elsewhere), "lanes of one mask meet in different instructions");
  }
  return true;
}

void Block::shuffle(const Lanes& lanes) {
  std::array<uint32_t, kLanes> values{};
  for (const Thread* thread : lanes) {
    if (thread == nullptr) continue;
    values[thread->lane()] = read<uint32_t>(*thread, waiting_at(*thread).operands[1]);
  }
  for (Thread* thread : lanes) {
    if (thread == nullptr) continue;
    const Instruction& instruction = waiting_at(*thread);
    const auto [source, in_segment] = shuffle_source(
        thread->collective, thread->lane(), read<uint32_t>(*thread, instruction.operands[2]),
        read<uint32_t>(*thread, instruction.operands[3]));
    if (lanes[source] == nullptr) {
      fail(*thread, instruction,
           "shuffles from lane " + std::to_string(source) + ", which does not take part");
    }
    const Operand& target = instruction.operands[0];
    write(*thread, target, values[source]);
    if (target.predicate >= 0) {
      thread->slot(static_cast<uint32_t>(target.predicate)) = in_segment;
    }
  }
}

/// Executes votes and redux, which produce the same result in all lanes.
void Block::reduce(const Lanes& lanes) {
  uint32_t present = 0, ballot = 0, sum = 0;
  const Thread* first = nullptr;
  for (const Thread* thread : lanes) {
    if (thread == nullptr) continue;
    if (first == nullptr) first = thread;
    const Operand& operand = waiting_at(*thread).operands[1];
    present |= uint32_t{1} << thread->lane();
    ballot |= static_cast<uint32_t>(read<bool>(*thread, operand)) << thread->lane();
    sum += read<uint32_t>(*thread, operand);
  }
  const Instruction& instruction = waiting_at(*first);
  const auto extremum = [&](bool greatest) {
    const auto find = [&]<class T>() {
      T best = read<T>(*first, instruction.operands[1]);
      for (const Thread* thread : lanes) {
        if (thread == nullptr) continue;
        const T value = read<T>(*thread, instruction.operands[1]);
        best = greatest ? std::max(best, value) : std::min(best, value);
      }
      return static_cast<uint32_t>(best);
    };
    return with_integer(instruction.type, find,
                        [&]() -> uint32_t { reject(*first, instruction, "type not supported"); });
  };
  uint32_t result = 0;
  switch (first->collective) {
    case Collective::kBallot:
      result = ballot;
      break;
    case Collective::kAny:
      result = ballot != 0;
      break;
    case Collective::kAll:
      result = ballot == present;
      break;
    case Collective::kReduceAdd:
      result = sum;
      break;
    default:
      result = extremum(first->collective == Collective::kReduceMaximum);
      break;
  }
  for (Thread* thread : lanes) {
    if (thread != nullptr) write(*thread, instruction.operands[0], result);
  }
}

/// Executes mma, whose operands d, a, b, c are vectors of registers.
void Block::multiply(const Lanes& lanes) {
  const Thread* first = *std::find_if(lanes.begin(), lanes.end(), [](auto* lane) { return lane; });
  const Instruction& instruction = waiting_at(*first);
  std::array<MmaFragments, kLanes> fragments;
  MmaWarp warp{};
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] == nullptr) {
      fail(*first, instruction,
           "mma in which lane " + std::to_string(lane) + " does not take part");
    }
    const auto gather = [&]<class T, size_t count>(T(&registers)[count], size_t operand) {
      for (size_t i = 0; i < count; ++i) {
        registers[i] = read<T>(*lanes[lane], instruction.operands[operand].parts.at(i));
      }
    };
    gather(fragments[lane].a, 1);
    gather(fragments[lane].b, 2);
    gather(fragments[lane].d, 3);
    warp[lane] = &fragments[lane];
  }
  first->collective == Collective::kMmaTf32 ? mma_tf32(warp) : mma_bf16(warp);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    for (size_t i = 0; i < 4; ++i) {
      write(*lanes[lane], instruction.operands[0].parts.at(i), fragments[lane].d[i]);
    }
  }
}

}  // namespace elbo::cuda::emulation::ptx

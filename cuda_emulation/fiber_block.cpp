#include "cuda_emulation/fiber_block.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <iterator>
#include <map>

#include "cuda_emulation/sanitizers.hpp"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace elbo::cuda::emulation {
namespace {

using State = FiberThread::State;

FiberThread* running_thread = nullptr;

/// Unwinds the running thread after the failure has been recorded in its block.
struct ThreadStopped {};

const char* state_name(State state) {
  switch (state) {
    case State::kReady:
      return "running, last seen";
    case State::kAtBarrier:
      return "waiting at a block barrier";
    case State::kAtWarpCollective:
      return "waiting at a warp function";
    case State::kExited:
      return "exited";
  }
  return "";
}

std::string location_text(Location at) {
  return std::string(at.file) + ":" + std::to_string(at.line);
}

bool same_place(Location a, Location b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

/// Returns the lane that a shuffle reads: the calling lane if CUDA leaves the value unchanged.
unsigned source_lane(const WarpRequest& request, unsigned lane) {
  const auto width = static_cast<unsigned>(request.width);
  const auto argument = static_cast<unsigned>(request.argument);
  const unsigned first = lane & ~(width - 1);
  const unsigned last = first + width - 1;
  switch (request.op) {
    case WarpOp::kShuffle:
      return first + (argument & (width - 1));
    case WarpOp::kShuffleUp:
      return lane >= first + argument ? lane - argument : lane;
    case WarpOp::kShuffleDown:
      return lane + argument <= last ? lane + argument : lane;
    case WarpOp::kShuffleXor:
      return (lane ^ argument) <= last ? lane ^ argument : lane;
    default:
      return lane;
  }
}

}  // namespace

FiberThread& current_thread() { return *running_thread; }

FiberBlock::FiberBlock(const Launch& launch, uint3 block_index, StackPool& stacks,
                       size_t first_stack)
    : launch_(launch),
      block_index_(block_index),
      shared_(launch.shared_bytes),
      threads_(size_t{launch.block.x} * launch.block.y * launch.block.z) {
  const unsigned width = launch.block.x, height = launch.block.y;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    FiberThread& thread = threads_[i];
    thread.block = this;
    thread.linear = i;
    thread.index = {i % width, i / width % height, i / (width * height)};
    thread.fiber.prepare(stacks.stack(first_stack + i), &FiberBlock::run_thread, &thread);
  }
}

void FiberBlock::run_thread(void* argument) {
  FiberThread& thread = *static_cast<FiberThread*>(argument);
  FiberBlock& block = *thread.block;
  try {
    block.launch_.invoke(block.launch_.kernel, block.launch_.args);
    if (thread.copies.count() != 0) {
      block.fail(thread,
                 std::to_string(thread.copies.count()) +
                     " asynchronous copies never waited for by the thread that started them");
    }
    block.exit_thread(thread);
  } catch (const ThreadStopped&) {
  } catch (const std::exception& error) {
    block.describe_failure(thread, std::string("exception thrown in a kernel: ") + error.what());
  }
}

bool FiberBlock::run_ready_threads(const std::vector<unsigned>& order) {
  bool progress = false;
  for (const unsigned i : order) {
    FiberThread& thread = threads_[i];
    if (thread.state != State::kReady) continue;
    progress = true;
    running_thread = &thread;
    threadIdx = thread.index;
    blockIdx = block_index_;
    blockDim = launch_.block;
    gridDim = launch_.grid;
    thread.fiber.resume();
    if (!failure_.empty()) break;
  }
  return progress;
}

void FiberBlock::join() {
  for (FiberThread& thread : threads_) thread.fiber.join();
}

void FiberBlock::exit_thread(FiberThread& thread) {
  thread.state = State::kExited;
  ++exited_;
  const unsigned first = thread.warp() * kLanes;
  for (unsigned i = first; i < first + kLanes && i < threads_.size(); ++i) {
    if (threads_[i].state != State::kAtWarpCollective) continue;
    release_warp_if_complete(thread, thread.warp(), threads_[i].request.mask);
  }
  release_barrier_if_complete(thread);
}

int FiberBlock::barrier(FiberThread& thread, BarrierOp op, bool predicate, Location at) {
  thread.location = at;
  thread.barrier_op = op;
  thread.predicate = predicate;
  thread.state = State::kAtBarrier;
  ++waiting_;
  char* tag = &barrier_tags_[generation_ % 2];
  happens_before(tag);
  release_barrier_if_complete(thread);
  if (thread.state != State::kReady) thread.fiber.suspend();
  happens_after(tag);
  return thread.barrier_result;
}

void FiberBlock::release_barrier_if_complete(FiberThread& arriving) {
  if (waiting_ == 0 || waiting_ + exited_ != threads_.size()) return;
  const FiberThread* first = nullptr;
  int count = 0;
  for (FiberThread& thread : threads_) {
    if (thread.state != State::kAtBarrier) continue;
    if (first == nullptr) first = &thread;
    if (!same_place(thread.location, first->location) || thread.barrier_op != first->barrier_op) {
      fail(thread, "divergent __syncthreads: threads of one block wait at different ones");
    }
    count += thread.predicate;
  }
  if (exited_ != 0) {
    fail(arriving, "__syncthreads at " + location_text(first->location) +
                       " that threads of the block do not reach, because they exited");
  }
  const int everyone = static_cast<int>(threads_.size());
  for (FiberThread& thread : threads_) {
    thread.barrier_result = thread.barrier_op == BarrierOp::kCount ? count
                            : thread.barrier_op == BarrierOp::kAnd ? count == everyone
                                                                   : count != 0;
    thread.state = State::kReady;
  }
  waiting_ = 0;
  ++generation_;
}

uint64_t FiberBlock::collective(FiberThread& thread, const WarpRequest& request, Location at) {
  thread.location = at;
  thread.request = request;
  const int width = request.width;
  if ((request.mask >> thread.lane() & 1) == 0) {
    fail(thread, "warp function called by a lane that is not in its own mask");
  }
  if (width < 1 || width > static_cast<int>(kLanes) || (width & (width - 1)) != 0) {
    fail(thread, "shuffle width " + std::to_string(width) + " is not a power of two up to 32");
  }
  thread.state = State::kAtWarpCollective;
  if (request.op == WarpOp::kSync) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned i = thread.warp() * kLanes + lane;
      if ((request.mask >> lane & 1) != 0 && i < threads_.size()) {
        happens_before(&threads_[i].warp_tag);
      }
    }
  }
  release_warp_if_complete(thread, thread.warp(), request.mask);
  if (thread.state != State::kReady) thread.fiber.suspend();
  if (request.op == WarpOp::kSync) happens_after(&thread.warp_tag);
  return thread.warp_result;
}

void FiberBlock::release_warp_if_complete(FiberThread& arriving, unsigned warp, unsigned mask) {
  FiberThread* lanes[kLanes] = {};
  const FiberThread* first = nullptr;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const unsigned i = warp * kLanes + lane;
    if ((mask >> lane & 1) == 0 || i >= threads_.size()) continue;
    FiberThread& thread = threads_[i];
    if (thread.state == State::kExited) continue;
    if (thread.state != State::kAtWarpCollective || thread.request.mask != mask) return;
    lanes[lane] = &thread;
    if (first == nullptr) first = &thread;
    if (!same_place(thread.location, first->location) || thread.request.op != first->request.op) {
      fail(thread, "lanes of one mask meet in different warp functions");
    }
  }
  if (first == nullptr) return;
  if (first->request.fragments != nullptr) multiply(arriving, lanes);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] == nullptr) continue;
    lanes[lane]->warp_result = collective_result(arriving, lane, lanes);
  }
  for (FiberThread* thread : lanes) {
    if (thread != nullptr) thread->state = State::kReady;
  }
}

void FiberBlock::multiply(FiberThread& arriving, FiberThread* const (&lanes)[kLanes]) {
  MmaWarp warp{};
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] == nullptr) {
      fail(arriving, "mma in which lane " + std::to_string(lane) + " does not take part");
    }
    warp[lane] = lanes[lane]->request.fragments;
  }
  lanes[0]->request.op == WarpOp::kMmaTf32 ? mma_tf32(warp) : mma_bf16(warp);
}

uint64_t FiberBlock::collective_result(FiberThread& arriving, unsigned lane,
                                       FiberThread* const (&lanes)[kLanes]) {
  uint64_t ballot = 0, present = 0;
  for (unsigned i = 0; i < kLanes; ++i) {
    if (lanes[i] == nullptr) continue;
    present |= uint64_t{1} << i;
    if (lanes[i]->request.value != 0) ballot |= uint64_t{1} << i;
  }
  const WarpRequest& request = lanes[lane]->request;
  switch (request.op) {
    case WarpOp::kBallot:
      return ballot;
    case WarpOp::kAny:
      return ballot != 0;
    case WarpOp::kAll:
      return ballot == present;
    case WarpOp::kSync:
    case WarpOp::kMmaTf32:
    case WarpOp::kMmaBf16:
      return 0;
    default:
      break;
  }
  const unsigned source = source_lane(request, lane);
  if (source >= kLanes || lanes[source] == nullptr) {
    fail(arriving, "lane " + std::to_string(lane) + " shuffles from lane " +
                       std::to_string(source) + ", which does not take part");
  }
  return lanes[source]->request.value;
}

void FiberBlock::fail(FiberThread& thread, const std::string& message) {
  describe_failure(thread, message);
  throw ThreadStopped{};
}

void FiberBlock::fail_with_deadlock() {
  for (const FiberThread& thread : threads_) {
    if (thread.state == State::kExited) continue;
    describe_failure(thread, "deadlock: every thread waits for one that cannot come");
    return;
  }
}

void FiberBlock::describe_failure(const FiberThread& thread, const std::string& message) {
  struct Group {
    unsigned count = 0;
    unsigned first = 0;
  };
  std::map<std::string, Group> groups;
  for (const FiberThread& other : threads_) {
    std::string key = state_name(other.state);
    if (other.state != State::kExited && other.location.line != 0) {
      key += " at " + location_text(other.location);
    }
    Group& group = groups[key];
    if (group.count++ == 0) group.first = other.linear;
  }
  failure_ = "block " + index_text(block_index_) + " thread " + index_text(thread.index) +
             (thread.location.line != 0 ? " at " + location_text(thread.location) : std::string()) +
             ": " + message;
  for (const auto& [state, group] : groups) {
    failure_ += "\n  " + std::to_string(group.count) + " thread(s), first " +
                std::to_string(group.first) + ": " + state;
  }
}

int block_barrier(BarrierOp op, bool predicate, Location at) {
  FiberThread& thread = current_thread();
  return thread.block->barrier(thread, op, predicate, at);
}

uint64_t warp_collective(const WarpRequest& request, Location at) {
  FiberThread& thread = current_thread();
  return thread.block->collective(thread, request, at);
}

void mma(WarpOp op, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Location at) {
  MmaFragments fragments;
  std::copy(std::begin(d), std::end(d), fragments.d);
  std::copy(std::begin(a), std::end(a), fragments.a);
  std::copy(std::begin(b), std::end(b), fragments.b);
  warp_collective({.op = op, .mask = 0xffffffffu, .fragments = &fragments}, at);
  std::copy(std::begin(fragments.d), std::end(fragments.d), d);
}

void copy_async(void* shared, const void* global, size_t bytes, bool present, Location at) {
  require_alignment(shared, bytes, at);
  require_alignment(global, bytes, at);
  FiberThread& thread = current_thread();
  thread.location = at;
  if (!thread.block->shared().contains(shared)) {
    thread.block->fail(thread, "asynchronous copy to memory that is not shared");
  }
  thread.copies.start(static_cast<std::byte*>(shared), static_cast<const std::byte*>(global),
                      present ? bytes : 0, bytes);
}

void copy_async_commit() { current_thread().copies.commit(); }
void copy_async_wait(int pending) { current_thread().copies.wait(static_cast<uint64_t>(pending)); }

void fence_thread() { current_thread().fenced = true; }
bool thread_has_fenced() { return current_thread().fenced; }

void* static_shared(const void* identity, size_t bytes, size_t alignment) {
  FiberThread& thread = current_thread();
  void* variable = thread.block->shared().variable(identity, bytes, alignment);
  if (variable == nullptr) {
    thread.block->fail(thread, "static shared memory exceeds 48 KiB or 64 variables");
  }
  return variable;
}

void* dynamic_shared() { return current_thread().block->shared().dynamic(); }

void require_alignment(const void* address, size_t alignment, Location at) {
  if (reinterpret_cast<uintptr_t>(address) % alignment == 0) return;
  FiberThread& thread = current_thread();
  thread.location = at;
  thread.block->fail(thread, "misaligned " + std::to_string(alignment) + "-byte access");
}

}  // namespace elbo::cuda::emulation

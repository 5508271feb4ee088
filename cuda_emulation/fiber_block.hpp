// One block of an emulated launch: its threads as fibers, and the semantics of the barriers and
// warp collectives that synchronise them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda_emulation/device_runtime.hpp"
#include "cuda_emulation/fiber.hpp"
#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/pending_copies.hpp"
#include "cuda_emulation/shared_memory.hpp"

namespace elbo::cuda::emulation {

inline constexpr unsigned kLanes = 32;

class FiberBlock;

struct FiberThread {
  enum class State { kReady, kAtBarrier, kAtWarpCollective, kExited };

  unsigned lane() const { return linear % kLanes; }
  unsigned warp() const { return linear / kLanes; }

  Fiber fiber;
  FiberBlock* block = nullptr;
  unsigned linear = 0;
  uint3 index{};
  State state = State::kReady;
  Location location;

  BarrierOp barrier_op{};
  bool predicate = false;
  int barrier_result = 0;
  WarpRequest request;
  uint64_t warp_result = 0;
  bool fenced = false;
  PendingCopies copies;
  char warp_tag = 0;  // identifies this lane's __syncwarp in the race check
};

class FiberBlock {
 public:
  FiberBlock(const Launch& launch, uint3 block_index, StackPool& stacks, size_t first_stack);

  /// Runs the ready threads in `order`, each until it waits or exits. Returns false if none was
  /// ready.
  bool run_ready_threads(const std::vector<unsigned>& order);
  bool finished() const { return exited_ == threads_.size() || !failure_.empty(); }
  void fail_with_deadlock();

  /// Returns the reason why the launch must end, or "".
  const std::string& failure() const { return failure_; }

  /// See Fiber::join.
  void join();

  // The following functions are called on a thread's fiber.
  int barrier(FiberThread& thread, BarrierOp op, bool predicate, Location at);
  uint64_t collective(FiberThread& thread, const WarpRequest& request, Location at);
  [[noreturn]] void fail(FiberThread& thread, const std::string& message);
  SharedMemory& shared() { return shared_; }

 private:
  static void run_thread(void* thread);
  void exit_thread(FiberThread& thread);
  void release_barrier_if_complete(FiberThread& arriving);
  void release_warp_if_complete(FiberThread& arriving, unsigned warp, unsigned mask);
  void multiply(FiberThread& arriving, FiberThread* const (&lanes)[kLanes]);
  uint64_t collective_result(FiberThread& arriving, unsigned lane,
                             FiberThread* const (&lanes)[kLanes]);
  void describe_failure(const FiberThread& thread, const std::string& message);

  const Launch& launch_;
  uint3 block_index_;
  SharedMemory shared_;
  std::vector<FiberThread> threads_;
  size_t waiting_ = 0;
  size_t exited_ = 0;
  unsigned generation_ = 0;
  char barrier_tags_[2] = {};  // identify even and odd barriers in the race check
  std::string failure_;
};

/// Returns the thread whose fiber is running.
FiberThread& current_thread();

}  // namespace elbo::cuda::emulation

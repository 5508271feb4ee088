#include "cuda_emulation/fibers.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_emulation/fiber_block.hpp"
#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr size_t kMostThreadsInRaceCheck = 8000;  // ThreadSanitizer's limit is 8128

/// The indices 0 .. count-1 in the order of the schedule; random schedules shuffle them every
/// round.
template <class Index>
class Ordering {
 public:
  Ordering(Schedule schedule, size_t count) : random_(schedule.order == Schedule::Order::kRandom) {
    indices_.resize(count);
    std::iota(indices_.begin(), indices_.end(), Index{0});
    if (schedule.order == Schedule::Order::kReverse) std::reverse(indices_.begin(), indices_.end());
  }

  const std::vector<Index>& next(std::mt19937_64& engine) {
    if (random_) std::shuffle(indices_.begin(), indices_.end(), engine);
    return indices_;
  }

 private:
  bool random_;
  std::vector<Index> indices_;
};

void run_block(FiberBlock& block, Schedule schedule, size_t threads, std::mt19937_64& engine) {
  Ordering<unsigned> order(schedule, threads);
  while (!block.finished()) {
    if (!block.run_ready_threads(order.next(engine))) block.fail_with_deadlock();
  }
}

}  // namespace

void FiberExecutor::operator()(const Launch& launch) const {
  static StackPool stacks;
  const dim3& grid = launch.grid;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  const size_t threads = size_t{launch.block.x} * launch.block.y * launch.block.z;

  std::mt19937_64 engine(schedule_.seed);
  // Under the race check, blocks stay alive until the end of the launch or until there are too many
  // threads: reusing a fiber or stack would order two blocks that are not ordered in CUDA.
  std::vector<std::unique_ptr<FiberBlock>> blocks_run;
  Ordering<uint64_t> order(schedule_, blocks);
  for (const uint64_t i : order.next(engine)) {
    const uint3 index{static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                      static_cast<unsigned>(i / grid.x / grid.y)};
    if (!thread_sanitizer() || (blocks_run.size() + 1) * threads > kMostThreadsInRaceCheck) {
      for (const auto& block : blocks_run) block->join();
      blocks_run.clear();
    }
    blocks_run.push_back(
        std::make_unique<FiberBlock>(launch, index, stacks, blocks_run.size() * threads));
    run_block(*blocks_run.back(), schedule_, threads, engine);
    if (!blocks_run.back()->failure().empty()) break;
  }
  for (const auto& block : blocks_run) block->join();
  const std::string& failure = blocks_run.back()->failure();
  if (!failure.empty()) throw KernelError(failure);
}

}  // namespace elbo::cuda::emulation

// The cost of a step: steps allocate no memory, and timing each op does not change results.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "host/measure/step_model.hpp"
#include "tests/small_training.hpp"

namespace {
std::atomic<long> allocations{0};
}

// The C library's own calls, counted: the program's and those of every library in it, which all
// allocate through these names. A sanitizer has names of its own in their place.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ELBO_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  ++allocations;
  return __libc_realloc(memory, size);
}
void* memalign(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}
#endif

namespace elbo {
namespace {

#ifdef ELBO_COUNTS_ALLOCATIONS
template <class Run>
long allocations_of(Run run) {
  const long before = allocations;
  run();
  return allocations - before;
}

/// Allocations that occur in every run of this many steps, not only once: a thread's scratch grows
/// when it first takes a task, and of a small step the first thread may have taken all of them so
/// far.
long allocations_of_steps(TrainingPass& pass, uint64_t steps) {
  constexpr int kTries = 40;  // more than there are threads and scratches to grow
  long least = std::numeric_limits<long>::max();
  for (int i = 0; i < kTries; ++i)
    least = std::min(least, allocations_of([&] { pass.run(steps); }));
  return least;
}

/// Allocations of five steps beyond those of a parallel region's start.
long allocations_of_five_steps(TrainingPass& pass) {
  const long one = allocations_of_steps(pass, 1);
  return allocations_of_steps(pass, 6) - one;
}

TEST(Allocations, AreCounted) {
  void* volatile memory = nullptr;  // lest the compiler leave them out
  EXPECT_EQ(allocations_of([&] { memory = std::malloc(1); }), 1);
  std::free(memory);
  EXPECT_EQ(allocations_of([&] { memory = new int; }), 1);
  delete static_cast<int*>(memory);
}

TEST(Allocations, AreNoneInASmallStep) {
  for (const int threads : {1, 2}) {
    SmallTraining training(small_config(), small_data(37), true, false, threads);
    EXPECT_EQ(allocations_of_five_steps(training.pass), 0) << threads << " threads";
  }
}

/// A usual size, for which a matrix product may need memory for packed operands. (Convolutions are
/// oneDNN's, which allocates at every call.)
TEST(Allocations, AreNoneInALargeStep) {
  for (const char* name : {"784-400-z20", "784-200-200-z50"})
    for (const int threads : {1, 2}) {
      const StepModel& model = step_model(name);
      TrainingStep training(model, random_rows(model, 256), {.batch = 128},
                            make_cpu_device(threads));
      EXPECT_EQ(allocations_of_five_steps(training.pass), 0)
          << name << ", " << threads << " threads";
    }
}
#endif

TEST(OpTimes, AreThoseOfTheSameRuns) {
  constexpr uint64_t kSteps = 4;
  SmallTraining timed(small_config(), small_data(37), true, false, 2);
  SmallTraining other(small_config(), small_data(37), true, false, 2);
  const auto executable = timed.model.device->prepare(timed.pass.program());
  const auto start = std::chrono::steady_clock::now();
  const std::vector<OpTime> times = executable->time_ops(kSteps);
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - start;
  other.pass.run(kSteps);
  EXPECT_EQ(timed.weights(), other.weights());

  ASSERT_EQ(times.size(), timed.pass.program().size());
  double together = 0.0;
  for (size_t op = 0; op < times.size(); ++op) {
    EXPECT_GT(times[op].seconds, 0.0);
    EXPECT_EQ(times[op].within, static_cast<int>(op));
    together += times[op].seconds;
  }
  EXPECT_LE(kSteps * together, all.count());
}

TEST(OpTimes, TellOneOpFromAnother) {
  constexpr int64_t kMany = 1 << 20, kFew = 4;
  const std::shared_ptr<Device> device = make_cpu_device(1);
  Workspace w(device);
  Program program;
  for (const int64_t count : {kFew, kMany})
    program.push_back(
        RandomFill{.count = count, .out = w.output<float>(static_cast<size_t>(count))});
  const std::vector<OpTime> times = device->prepare(program)->time_ops(20);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_GT(times[1].seconds, times[0].seconds);
}

TEST(OpTimes, TellWhichOpDoesTheWorkOfAnother) {
  TrainingStep training(step_model("784-400-z20"), random_rows(step_model("784-400-z20"), 64),
                        {.batch = 32}, make_cpu_device(1));
  const Program& program = training.pass.program();
  const std::vector<OpTime> times = training.model.device->prepare(program)->time_ops(2);
  ASSERT_EQ(times.size(), program.size());
  for (size_t op = 0; op < times.size(); ++op) {
    const bool taken = std::holds_alternative<DenseBackwardWeights>(program[op]);
    EXPECT_EQ(times[op].within, static_cast<int>(taken ? program.size() - 1 : op));
  }
}

}  // namespace
}  // namespace elbo

// Tests the emulator: correct kernels pass on every execution, and each planted bug is detected.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/math/portable.hpp"
#include "cuda_emulation/executions.hpp"
#include "cuda_emulation/sample_kernels.cuh"
#include "cuda_emulation/sanitizers.hpp"
#include "tests/file_fixture.hpp"

namespace elbo::cuda::emulation {
namespace {

using namespace sample;  // NOLINT: the kernels under test

/// Whole numbers, so that sums are exact in any order.
std::vector<float> whole_numbers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<int>(i % 13) - 5);
  return values;
}

template <Bug bug = Bug::kNone>
std::vector<float> row_sums(const std::vector<float>& x, int rows, int columns) {
  std::vector<float> sums(static_cast<size_t>(rows), NAN);
  launch(row_sum_kernel<bug>, dim3(static_cast<unsigned>(rows)), dim3(kBlock), 0, nullptr,
         {x.data(), sums.data(), rows, columns});
  return sums;
}

std::vector<float> expected_row_sums(const std::vector<float>& x, int rows, int columns) {
  std::vector<float> sums;
  for (int row = 0; row < rows; ++row) {
    const auto begin = x.begin() + std::ptrdiff_t{row} * columns;
    sums.push_back(std::accumulate(begin, begin + columns, 0.0f));
  }
  return sums;
}

template <Bug bug = Bug::kNone>
std::vector<float> column_sums(const std::vector<float>& x, int rows, int columns) {
  constexpr unsigned kHeight = 4;
  std::vector<float> sums(static_cast<size_t>(columns), NAN);
  launch(column_sum_kernel<bug>, dim3((static_cast<unsigned>(columns) + kWarpSize - 1) / kWarpSize),
         dim3(kWarpSize, kHeight), kHeight * 33 * sizeof(float), nullptr,
         {x.data(), sums.data(), rows, columns});
  return sums;
}

template <Bug bug = Bug::kNone>
float total(const std::vector<float>& x) {
  constexpr unsigned kBlocks = 3;
  std::vector<float> partial(kBlocks, NAN);
  unsigned ticket = 0;
  float sum = NAN;
  launch(total_kernel<bug>, dim3(kBlocks), dim3(kBlock), 0, nullptr,
         {x.data(), static_cast<int64_t>(x.size()), partial.data(), &ticket, &sum});
  EXPECT_EQ(ticket, 0u);
  return sum;
}

template <bool vectorised>
void copy(const float* source, float* target, size_t count) {
  const auto quads = static_cast<unsigned>((count + 3) / 4);
  launch(copy_kernel<vectorised>, dim3((quads + kBlock - 1) / kBlock), dim3(kBlock), 0, nullptr,
         {source, target, static_cast<int64_t>(count)});
}

/// Returns the message of the KernelError that `run` throws, or an empty string if it succeeds.
std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const KernelError& error) {
    return error.what();
  }
  return {};
}

class SampleKernels : public EmulatedTest {};

TEST_P(SampleKernels, SumRows) {
  for (const int columns : {1, 2, 31, 32, 33, 63, 64, 65, 127, 257}) {
    const auto x = whole_numbers(size_t{3} * static_cast<size_t>(columns));
    EXPECT_EQ(row_sums(x, 3, columns), expected_row_sums(x, 3, columns)) << columns << " columns";
  }
}

TEST_P(SampleKernels, SumColumnsInDynamicSharedMemory) {
  for (const int columns : {1, 31, 32, 33, 40}) {
    const auto x = whole_numbers(size_t{7} * static_cast<size_t>(columns));
    const auto sums = column_sums(x, 7, columns);
    for (int c = 0; c < columns; ++c) {
      float expected = 0.0f;
      for (int r = 0; r < 7; ++r) expected += x[static_cast<size_t>(r * columns + c)];
      EXPECT_EQ(sums[static_cast<size_t>(c)], expected) << "column " << c << " of " << columns;
    }
  }
}

TEST_P(SampleKernels, SumInTheLastBlock) {
  for (const size_t count : {1, 64, 191, 193, 1000}) {
    const auto x = whole_numbers(count);
    EXPECT_EQ(total(x), std::accumulate(x.begin(), x.end(), 0.0f)) << count;
  }
}

TEST_P(SampleKernels, CopyWithRaggedTail) {
  for (const size_t count : {1, 3, 4, 5, 255, 256, 259}) {
    const auto source = whole_numbers(count);
    for (const bool vectorised : {true, false}) {
      std::vector<float> target(count, NAN);
      vectorised ? copy<true>(source.data(), target.data(), count)
                 : copy<false>(source.data(), target.data(), count);
      EXPECT_EQ(target, source) << count;
    }
  }
}

template <class Real>
void expect_equal_arithmetic() {
  constexpr int kCount = 100;
  std::vector<Real> x(kCount), reals(kCount);
  std::vector<uint32_t> bits(kCount);
  std::vector<uint64_t> integers(kCount);
  std::vector<unsigned char> bytes(kCount, 200);
  std::vector<unsigned> votes(kCount);
  for (int i = 0; i < kCount; ++i) {
    x[static_cast<size_t>(i)] = std::exp2(Real(i) / 7) / 9 + Real(0.1);
    bits[static_cast<size_t>(i)] = static_cast<uint32_t>(i) * 2654435761u;
  }
  launch(
      arithmetic_kernel<Real>, dim3(2), dim3(kBlock), 0, nullptr,
      {x.data(), bits.data(), reals.data(), integers.data(), bytes.data(), votes.data(), kCount});
  for (size_t i = 0; i < kCount; ++i) {
    Real powers[4] = {Real(1), x[i], x[i] * x[i], std::fma(x[i], x[i], x[i])};
    for (uint32_t k = 0; k < bits[i] % 3; ++k) powers[(bits[i] + k) % 4] /= Real(3) + x[i];
    const Real power = powers[bits[i] % 4];
    EXPECT_EQ(reals[i], std::sqrt(power * power) + static_cast<Real>(bits[i]) -
                            static_cast<Real>(static_cast<int>(bits[i])));
    const uint64_t product = uint64_t{bits[i]} * 0xD2511F53u;
    const uint32_t high = static_cast<uint32_t>(product >> 32) ^ (bits[i] << 7 | bits[i] >> 25);
    EXPECT_EQ(integers[i],
              product / (1 + bits[i] % 1000) + high % 77 + static_cast<uint64_t>(x[i] * x[i]));
    EXPECT_EQ(bytes[i], static_cast<unsigned char>(200 + (bits[i] >> 3)));
    EXPECT_EQ(votes[i], 0x55555555u);
  }
}

TEST_P(SampleKernels, RoundLikeTheHostInFloat) { expect_equal_arithmetic<float>(); }
TEST_P(SampleKernels, RoundLikeTheHostInDouble) { expect_equal_arithmetic<double>(); }

TEST_P(SampleKernels, CallNonInlinedFunctions) {
  std::vector<double> x(40), y(40, NAN);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.37 * static_cast<double>(i) - 20.0;
  launch(cosine_kernel<100000000>, 1, dim3(kBlock), 0, nullptr, {x.data(), y.data(), 40});
  // CUDA documents at most 2 units in the last place for cos, glibc 1; both are at most 1 here.
  const double bound = 3 * std::numeric_limits<double>::epsilon();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], std::cos(1e8 * x[i]), bound) << x[i];
}

TEST_P(SampleKernels, CatchExitBeforeBarrier) {
  const auto x = whole_numbers(32);
  EXPECT_NE(error_of([&] { row_sums<Bug::kExitBeforeBarrier>(x, 1, 32); }).find("exited"),
            std::string::npos);
}

TEST_P(SampleKernels, CatchShuffleFromExitedLane) {
  const auto x = whole_numbers(40);
  EXPECT_NE(error_of([&] { row_sums<Bug::kExitBeforeBarrier>(x, 1, 40); }).find("take part"),
            std::string::npos);
}

TEST_P(SampleKernels, CatchDivergentBarrier) {
  const auto x = whole_numbers(64);
  EXPECT_NE(error_of([&] { row_sums<Bug::kDivergentBarrier>(x, 1, 64); }).find("divergent"),
            std::string::npos);
}

TEST_P(SampleKernels, CatchMisalignedVector) {
  const auto source = whole_numbers(9);
  std::vector<float> target(9);
  EXPECT_NE(error_of([&] { copy<true>(source.data() + 1, target.data(), 8); }).find("misaligned"),
            std::string::npos);
}

TEST_P(SampleKernels, PoisonUnwrittenShared) {
  const auto x = whole_numbers(8);
  EXPECT_TRUE(std::isnan(column_sums<Bug::kUnwrittenShared>(x, 4, 2)[0]));
}

TEST_P(SampleKernels, RefuseImpossibleLaunches) {
  const CopyArgs nothing{nullptr, nullptr, 0};
  const auto try_launch = [&](dim3 grid, dim3 block, size_t shared) {
    return !error_of([&] {
              launch(copy_kernel<true>, grid, block, shared, nullptr, nothing);
            }).empty();
  };
  EXPECT_FALSE(try_launch(1, 32, 0));
  EXPECT_TRUE(try_launch(0, 32, 0));
  EXPECT_TRUE(try_launch(1, 0, 0));
  EXPECT_TRUE(try_launch(1, 1025, 0));
  EXPECT_TRUE(try_launch(1, 32, 1 << 20));
}

INSTANTIATE_TEST_SUITE_P(Emulated, SampleKernels, testing::ValuesIn(executions()), execution_name);

class Fibers : public EmulatedTest {};

TEST_P(Fibers, CatchDivergentShuffle) {
  const auto x = whole_numbers(64);
  EXPECT_NE(error_of([&] { row_sums<Bug::kDivergentShuffle>(x, 1, 64); }).find("warp functions"),
            std::string::npos);
}

TEST_P(Fibers, NameTheSourceLineOfAnError) {
  const auto x = whole_numbers(32);
  const std::string error = error_of([&] { row_sums<Bug::kExitBeforeBarrier>(x, 1, 32); });
  EXPECT_NE(error.find("block (0, 0, 0) thread ("), std::string::npos) << error;
  EXPECT_NE(error.find("sample_kernels.cuh:"), std::string::npos) << error;
  EXPECT_NE(error.find("32 thread(s), first 32: exited"), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(Emulated, Fibers, testing::ValuesIn(fiber_executions()), execution_name);

TEST(FiberSchedules, CatchMissingBarrier) {
  if (thread_sanitizer()) GTEST_SKIP() << "the race check reports it, see SanitizerDeathTest";
  const auto x = whole_numbers(257);
  const auto expected = expected_row_sums(x, 1, 257);
  bool caught = false;
  for (const Execution& execution : fiber_executions()) {
    const ScopedExecutor scoped(execution.executor);
    caught = caught || row_sums<Bug::kMissingBarrier>(x, 1, 257) != expected;
  }
  EXPECT_TRUE(caught);
}

TEST(Ptx, RejectsAnUnknownKernel) {
  if (!ptx_executor()) GTEST_SKIP() << "built without a CUDA compiler: no PTX to interpret";
  const ScopedExecutor scoped(ptx_executor());
  const auto x = whole_numbers(64);
  EXPECT_NE(error_of([&] { row_sums<Bug::kMissingBarrier>(x, 1, 64); }).find("in none of the"),
            std::string::npos);
}

TEST(Ptx, CatchesSharedOverrun) {
  if (!ptx_executor()) GTEST_SKIP() << "built without a CUDA compiler: no PTX to interpret";
  const ScopedExecutor scoped(ptx_executor());
  const auto x = whole_numbers(64);
  EXPECT_NE(error_of([&] { row_sums<Bug::kSharedOverrun>(x, 1, 64); }).find("out of bounds"),
            std::string::npos);
}

TEST(Ptx, CatchesGlobalOverrunUnderAddressSanitizer) {
  if (!ptx_executor()) GTEST_SKIP() << "built without a CUDA compiler: no PTX to interpret";
  if (!address_sanitizer()) GTEST_SKIP() << "needs a build with AddressSanitizer";
  const ScopedExecutor scoped(ptx_executor());
  const auto x = whole_numbers(33);
  EXPECT_NE(error_of([&] { row_sums<Bug::kForgottenTail>(x, 1, 33); }).find("out of bounds"),
            std::string::npos);
}

/// Runs `body` in four threads, as if nvcc had compiled copy_kernel<true> to it.
void run_copy_kernel_as(const std::string& body, const CopyArgs& args) {
  const void* kernel = reinterpret_cast<const void*>(&copy_kernel<true>);
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "copy.ptx", ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry " +
                      kernel_name(kernel) + "(.param .align 8 .b8 args[24])\n{\n" + body + "\n}\n");
  const ScopedExecutor scoped(PtxExecutor({path}));
  launch(copy_kernel<true>, 1, dim3(4), 0, nullptr, args);
}

TEST(Ptx, BranchesByTable) {
  std::vector<float> target(4, NAN);
  run_copy_kernel_as(R"(
    ld.param.u64 %rd1, [args+8];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    and.b32 %r2, %r1, 1;
    table: .branchtargets even, odd;
    brx.idx %r2, table;
    even: st.global.f32 [%rd3], 0f40000000;
    ret;
    odd: st.global.f32 [%rd3], 0fBF800000;
    ret;)",
                     {nullptr, target.data(), 4});
  EXPECT_EQ(target, (std::vector<float>{2, -1, 2, -1}));
}

// If two live registers shared a slot, the sum would change: %r3 is live across iterations, %r5
// after the loop, the last use of %p1 is the definition of %p2 and %p3, and %r9 is written under a
// guard.
TEST(Ptx, KeepsLiveRegisters) {
  std::vector<float> target(4, NAN);
  run_copy_kernel_as(R"(
    ld.param.u64 %rd1, [args+8];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    mov.u32 %r2, 0;
    mov.u32 %r3, 0;
    mov.u32 %r9, 100;
    again: add.s32 %r4, %r2, %r1;
    setp.ne.s32 %p1, %r4, 2;
    setp.lt.and.s32 %p2|%p3, %r4, 5, %p1;
    selp.b32 %r5, 1, 0, %p2;
    selp.b32 %r6, 10, 0, %p3;
    add.s32 %r7, %r5, %r6;
    add.s32 %r3, %r3, %r7;
    add.s32 %r2, %r2, 1;
    setp.lt.u32 %p4, %r2, 4;
    @%p4 bra again;
    setp.eq.s32 %p5, %r1, 3;
    @%p5 mov.u32 %r9, 1000;
    @!%p5 add.s32 %r3, %r3, %r5;
    add.s32 %r8, %r3, %r9;
    cvt.rn.f32.s32 %f1, %r8;
    st.global.f32 [%rd3], %f1;
    ret;)",
                     {nullptr, target.data(), 4});
  // For s = t .. t + 3, thread t adds 10 if s >= 5, nothing if s == 2, and otherwise 1. Unless t is
  // 3, it adds the 1 of the last s again.
  EXPECT_EQ(target, (std::vector<float>{104, 104, 112, 1022}));
}

TEST(Ptx, PoisonsUnwrittenRegisters) {
  std::vector<float> target(4, 0);
  run_copy_kernel_as(R"(
    ld.param.u64 %rd1, [args+8];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    setp.eq.u32 %p1, %r1, 2;
    @%p1 mov.f32 %f1, 0f40000000;
    st.global.f32 [%rd3], %f1;
    ret;)",
                     {nullptr, target.data(), 4});
  EXPECT_TRUE(std::isnan(target[0]) && std::isnan(target[1]) && std::isnan(target[3]));
  EXPECT_EQ(target[2], 2);
}

TEST(Ptx, NamesAnUnknownInstruction) {
  const std::string error =
      error_of([] { run_copy_kernel_as("  frobnicate.b32 %r1, %r2;\n ret;", {}); });
  EXPECT_NE(error.find("instruction not supported: frobnicate.b32 %r1, %r2"), std::string::npos)
      << error;
}

TEST(Ptx, CatchesNullAccess) {
  const std::string error =
      error_of([] { run_copy_kernel_as("  ld.global.u32 %r1, [0];\n ret;", {}); });
  EXPECT_NE(error.find("out of bounds"), std::string::npos) << error;
}

using SanitizerDeathTest = testing::Test;

TEST(SanitizerDeathTest, CatchesOverruns) {
  if (!address_sanitizer()) GTEST_SKIP() << "needs a build with AddressSanitizer";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto x = whole_numbers(33);
  EXPECT_DEATH(row_sums<Bug::kForgottenTail>(x, 1, 33), "heap-buffer-overflow");
  EXPECT_DEATH(row_sums<Bug::kSharedOverrun>(x, 1, 33), "use-after-poison|index 2 out of bounds");
}

TEST(SanitizerDeathTest, CatchesRaces) {
  if (!thread_sanitizer()) GTEST_SKIP() << "needs a build with clang and ThreadSanitizer";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr int kThreadSanitizerFoundSomething = 66;
  const auto x = whole_numbers(193);
  const auto run_and_exit = [](const std::function<void()>& run) {
    run();
    std::exit(0);  // ThreadSanitizer makes it 66 if it has reported anything
  };
  const auto races = testing::ExitedWithCode(kThreadSanitizerFoundSomething);
  EXPECT_EXIT(run_and_exit([&] { row_sums<Bug::kMissingBarrier>(x, 1, 193); }), races, "data race");
  EXPECT_EXIT(run_and_exit([&] { total<Bug::kMissingAtomic>(x); }), races, "data race");
  EXPECT_EXIT(run_and_exit([&] { total(x); }), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace elbo::cuda::emulation

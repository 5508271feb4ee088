// Faults of memory, planted one by one: the simulated GPU reports each of them.
#include <cstring>

#include "tests/simulated_gpu/fixture.hpp"

namespace elbo {
namespace {

using MemoryFault = SimulatedGpu;

TEST_F(MemoryFault, ReadOutOfBoundsIsReported) {
  float *in = allocate(kCount - 1), *out = allocate();
  launch_set(in, kCount - 1, 1.0f, nullptr);
  launch_increment(in, out, kCount, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  const auto found = take_findings();
  ASSERT_FALSE(found.empty());
  EXPECT_THAT(found[0], testing::HasSubstr("4 bytes at 396 of allocation"));
  EXPECT_THAT(found[0], testing::HasSubstr("out of bounds"));
}

TEST_F(MemoryFault, LastsUntilTheDeviceIsReset) {
  launch_set(allocate(1), kCount, 1.0f, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  reset("");
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(MemoryFault, UseAfterFreeIsReported) {
  float* memory = allocate();
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  launch_set(memory, 1, 1.0f, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_THAT(take_findings()[0], testing::HasSubstr("of freed allocation"));
}

TEST_F(MemoryFault, DoubleFreeIsReported) {
  float* memory = allocate();
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  expect_finding("cudaFree: of 1 bytes at 0 of freed allocation");
}

TEST_F(MemoryFault, FreeInsideAnAllocationIsReported) {
  EXPECT_EQ(cudaFree(allocate() + 1), cudaErrorInvalidValue);
  expect_finding("cudaFree: of 1 bytes at 4 of allocation");
}

TEST_F(MemoryFault, ReadOfUnwrittenMemoryIsReported) {
  float *in = allocate(), *out = allocate();
  launch_set(in, kCount - 1, 1.0f, nullptr);
  launch_increment(in, out, kCount, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  expect_finding("increment reads memory never written");
}

TEST_F(MemoryFault, MisalignedReadIsReported) {
  float *in = allocate(), *out = allocate();
  launch_set(in, kCount, 1.0f, nullptr);
  launch_vector_read(in + 1, out, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_THAT(take_findings()[0], testing::HasSubstr("align"));
}

TEST_F(MemoryFault, HostDereferenceKillsTheProcess) {
  const float* memory = allocate();
  EXPECT_EXIT(static_cast<void>(*const_cast<const volatile float*>(memory)),
              testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(MemoryFault, UseOfFreedPinnedMemoryKillsTheProcess) {
  float* memory = pin();
  *memory = 1.0f;
  EXPECT_EQ(cudaFreeHost(memory), cudaSuccess);
  EXPECT_EXIT(*const_cast<volatile float*>(memory) = 2.0f, testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(MemoryFault, CopyInTheWrongDirectionIsReported) {
  float* device = allocate();
  float host[kCount] = {};
  EXPECT_EQ(cudaMemcpy(device, host, kBytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  expect_finding("cudaMemcpy: the direction does not match the pointers");
}

TEST_F(MemoryFault, CopyBeyondAnAllocationIsReported) {
  float* device = allocate(kCount - 1);
  const float host[kCount] = {};
  EXPECT_EQ(cudaMemcpyAsync(device, host, kBytes, cudaMemcpyHostToDevice, nullptr),
            cudaErrorInvalidValue);
  expect_finding("cudaMemcpyAsync: of 400 bytes at 0 of allocation");
}

TEST_F(MemoryFault, OverwrittenSourceOfACopyIsReported) {
  float *device = allocate(), *host = pin();
  std::memset(host, 0, kBytes);
  EXPECT_EQ(cudaMemcpyAsync(device, host, kBytes, cudaMemcpyHostToDevice, nullptr), cudaSuccess);
  host[kCount / 2] = 1.0f;
  cudaDeviceSynchronize();
  expect_finding("the source changed between the call and the copy");
}

TEST_F(MemoryFault, TargetOfACopyHoldsGarbageUntilItIsWaitedFor) {
  float *device = allocate(), *host = pin();
  launch_set(device, kCount, 1.0f, nullptr);
  std::memset(host, 0, kBytes);
  cudaMemcpyAsync(host, device, kBytes, cudaMemcpyDeviceToHost, nullptr);
  EXPECT_NE(host[0], 1.0f);
  EXPECT_NE(host[0], 0.0f);
  cudaDeviceSynchronize();
  EXPECT_EQ(host[0], 1.0f);
  expect_nothing_found();
}

TEST_F(MemoryFault, FreeOfPinnedMemoryInUseIsReported) {
  float *device = allocate(), *host = pin();
  launch_set(device, kCount, 1.0f, nullptr);
  cudaMemcpyAsync(host, device, kBytes, cudaMemcpyDeviceToHost, nullptr);
  EXPECT_EQ(cudaFreeHost(host), cudaErrorInvalidValue);
  expect_finding("cudaFreeHost: of memory that a queued copy uses");
}

TEST_F(MemoryFault, LeaksMakeTheProcessFail) {
  const auto leak = [] {
    allocate();
    pin();
    make_stream();
    make_event();
    std::exit(0);
  };
  EXPECT_EXIT(leak(), testing::ExitedWithCode(86),
              "never released: allocation [0-9]+ .400 bytes.(.|\n)*1 blocks of pinned "
              "memory(.|\n)*1 streams(.|\n)*1 events");
}

TEST_F(MemoryFault, ExitCodeIsAnOption) {
  const auto leak = [](const char* options) {
    reset(options);
    allocate();
    std::exit(0);
  };
  EXPECT_EXIT(leak("exit=3"), testing::ExitedWithCode(3), "never released");
  EXPECT_EXIT(leak("exit=0"), testing::ExitedWithCode(0), "never released");
}

TEST_F(MemoryFault, LaunchBeyondTheBoundsIsReported) {
  EXPECT_EQ(launch_too_wide(allocate(), nullptr), cudaErrorLaunchOutOfResources);
  expect_finding("bounded: more threads than its launch bounds");
}

TEST_F(MemoryFault, MemoryIsLimited) {
  reset("memory=1000");
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1001), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, 1000), cudaSuccess);
  expect_nothing_found();
}

}  // namespace
}  // namespace elbo

// Captures that are not made right, planted one by one; what the runtime reports of a graph; and
// calls that fail because the options say so.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/simulated_gpu/fixture.hpp"

namespace elbo {
namespace {

using CaptureFault = SimulatedGpu;

TEST_F(CaptureFault, UnsafeCallIsReportedAndSpoilsTheCapture) {
  const cudaStream_t stream = make_stream();
  void* memory = nullptr;
  const auto unsafe = [&](const char* name, auto call) {
    SCOPED_TRACE(name);
    begin_capture(stream, cudaStreamCaptureModeThreadLocal);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    expect_finding(std::string(name) + " while a stream is captured");
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  };
  float* device = allocate();
  float host[kCount];
  const cudaEvent_t event = make_event();
  unsafe("cudaMalloc", [&] { return cudaMalloc(&memory, 1); });
  unsafe("cudaMallocHost", [&] { return cudaMallocHost(&memory, 1); });
  unsafe("cudaFree", [&] { return cudaFree(device); });
  unsafe("cudaMemcpy", [&] { return cudaMemcpy(host, device, 4, cudaMemcpyDeviceToHost); });
  unsafe("cudaEventQuery", [&] { return cudaEventQuery(event); });
  unsafe("cudaDeviceSynchronize", [] { return cudaDeviceSynchronize(); });
}

TEST_F(CaptureFault, RelaxedCaptureAllowsUnsafeCalls) {
  const cudaStream_t stream = make_stream();
  begin_capture(stream, cudaStreamCaptureModeRelaxed);
  float* memory = allocate();
  launch_set(memory, kCount, 1.0f, stream);
  run_graph(end_capture(stream), stream);
  EXPECT_EQ(read(memory), std::vector<float>(kCount, 1.0f));
  expect_nothing_found();
}

TEST_F(CaptureFault, OtherThreadsAreFreeIfTheCaptureIsTheThreads) {
  const cudaStream_t stream = make_stream();
  for (const auto mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal}) {
    begin_capture(stream, mode);
    cudaError_t error = cudaSuccess;
    std::thread([&] {
      void* memory = nullptr;
      error = cudaMalloc(&memory, 1);
    }).join();
    EXPECT_EQ(error, mode == cudaStreamCaptureModeGlobal ? cudaErrorStreamCaptureUnsupported
                                                         : cudaSuccess);
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
  }
}

TEST_F(CaptureFault, SynchronizationOfTheStreamIsReported) {
  const cudaStream_t stream = make_stream();
  begin_capture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  expect_finding("cudaStreamSynchronize: of a stream that is captured");
}

TEST_F(CaptureFault, WorkOnTheDefaultStreamIsReported) {
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  float* memory = allocate();
  begin_capture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(launch_set(memory, kCount, 1.0f, nullptr), cudaErrorStreamCaptureImplicit);
  expect_finding("on the default stream while a stream that it waits for is captured");
}

TEST_F(CaptureFault, UnjoinedWorkIsReported) {
  float *a = allocate(), *b = allocate();
  const cudaStream_t stream = make_stream(), other = make_stream();
  const cudaEvent_t fork = make_event(), join = make_event();
  for (const bool joined : {true, false}) {
    begin_capture(stream);
    cudaEventRecord(fork, stream);
    cudaStreamWaitEvent(other, fork, 0);
    launch_set(a, kCount, 1.0f, stream);
    launch_set(b, kCount, 1.0f, other);
    cudaEventRecord(join, other);
    if (joined) {
      cudaStreamWaitEvent(stream, join, 0);
      run_graph(end_capture(stream), stream);
      EXPECT_EQ(read(b), std::vector<float>(kCount, 1.0f));
      expect_nothing_found();
    } else {
      cudaGraph_t graph = nullptr;
      EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);
      expect_finding("work of another stream is not joined");
    }
  }
}

TEST_F(CaptureFault, WaitForWorkOutsideIsReported) {
  const cudaStream_t stream = make_stream(), other = make_stream();
  const cudaEvent_t event = make_event();
  cudaEventRecord(event, other);
  begin_capture(stream);
  EXPECT_EQ(cudaStreamWaitEvent(stream, event, 0), cudaErrorStreamCaptureIsolation);
  expect_finding("a captured stream waits for other work");
}

TEST_F(CaptureFault, EndByAnotherThreadIsReported) {
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  std::thread([&] {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureWrongThread);
  }).join();
  expect_finding("by another thread than began it");
}

TEST_F(CaptureFault, DestroyedHandlesAreReported) {
  const cudaStream_t stream = make_stream();
  const cudaEvent_t event = make_event();
  cudaStreamDestroy(stream);
  cudaEventDestroy(event);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
  expect_finding("does not exist");
}

TEST_F(CaptureFault, GraphNodesTellWhatTheyLaunch) {
  float* memory = allocate();
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  launch_set(memory, kCount, 1.0f, stream);
  cudaMemsetAsync(memory, 0, kBytes, stream);
  cudaGraph_t graph = end_capture(stream);
  std::vector<cudaGraphNode_t> nodes(3);
  size_t count = nodes.size();
  EXPECT_EQ(cudaGraphGetNodes(graph, nodes.data(), &count), cudaSuccess);
  EXPECT_EQ(count, 2u);
  cudaGraphNodeType type{};
  EXPECT_EQ(cudaGraphNodeGetType(nodes[0], &type), cudaSuccess);
  EXPECT_EQ(type, cudaGraphNodeTypeKernel);
  EXPECT_EQ(cudaGraphNodeGetType(nodes[1], &type), cudaSuccess);
  EXPECT_EQ(type, cudaGraphNodeTypeMemset);
  cudaKernelNodeParams parameters{};
  EXPECT_EQ(cudaGraphKernelNodeGetParams(nodes[0], &parameters), cudaSuccess);
  EXPECT_EQ(parameters.func, set_kernel());
  EXPECT_EQ(*static_cast<float**>(parameters.kernelParams[0]), memory);
  EXPECT_EQ(*static_cast<int*>(parameters.kernelParams[1]), kCount);
  EXPECT_EQ(cudaGraphKernelNodeGetParams(nodes[1], &parameters), cudaErrorInvalidValue);
  expect_finding("of a node that is not a kernel");
  cudaGraphDestroy(graph);
}

using InjectedFailure = SimulatedGpu;

TEST_F(InjectedFailure, HitsTheCallThatWasNamed) {
  reset("fail=cudaEventRecord:2");
  const cudaEvent_t event = make_event();
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorUnknown);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaSuccess);
  expect_nothing_found();
}

TEST_F(InjectedFailure, ContinuesIfSoWanted) {
  reset("fail=cudaMalloc:2+");
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorMemoryAllocation);
}

TEST_F(InjectedFailure, LastsIfSoWanted) {
  reset("fail=cudaStreamSynchronize:1!");
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorLaunchFailure);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorLaunchFailure);
}

TEST_F(InjectedFailure, OfAReleaseStillReleases) {
  reset("fail=cudaFree:1 fail=cudaEventDestroy:1");
  float* memory = allocate();
  EXPECT_EQ(cudaFree(memory), cudaErrorUnknown);
  EXPECT_EQ(cudaEventDestroy(make_event()), cudaErrorUnknown);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  expect_finding("cudaFree: of 1 bytes at 0 of freed allocation");
}

TEST_F(InjectedFailure, OfTheEndOfACaptureEndsIt) {
  reset("fail=cudaStreamEndCapture:1");
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorUnknown);
  EXPECT_EQ(graph, nullptr);
  begin_capture(stream);
  cudaGraphDestroy(end_capture(stream));
  expect_nothing_found();
}

TEST_F(InjectedFailure, CallsAreCountedInAFile) {
  const std::string file = testing::TempDir() + "simulated_gpu_counts";
  std::remove(file.c_str());
  const auto work = [&] {
    reset("counts=" + file);
    launch_set(allocate(), kCount, 1.0f, nullptr);
    cudaDeviceReset();
    std::exit(0);
  };
  EXPECT_EXIT(work(), testing::ExitedWithCode(0), "");
  std::ifstream in(file);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  EXPECT_THAT(text, testing::HasSubstr("call cudaMalloc "));
  EXPECT_THAT(text, testing::HasSubstr("call cudaLaunchKernelExC "));
  EXPECT_THAT(text, testing::HasSubstr("instructions "));
}

TEST(SimulatedGpuOptions, RejectWhatTheyDoNotKnow) {
  const auto error = [](const char* text) -> std::string {
    try {
      Options::parse(text);
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(error("seed=4 order=eager fail=cudaMalloc:3+"), "");
  EXPECT_THAT(error("sed=4"),
              testing::StartsWith("unknown option 'sed=4'; choose from backtrace="));
  EXPECT_EQ(error("seed=4x"), "seed: '4x' is not a number");
  EXPECT_EQ(error("order=soon"), "order: 'soon' is none of eager, late, latest, random");
  EXPECT_EQ(error("fail=cudaMalloc"), "fail: expected NAME:N");
  EXPECT_EQ(error("fail=:1"), "fail: expected NAME:N");
  EXPECT_THAT(error("fail=cudaMalloc:0"), testing::StartsWith("fail: got 0, expected 1 to "));
  EXPECT_EQ(error("seed=1 seed=2"), "seed is given twice");
  EXPECT_EQ(error("exit=300"), "exit: got 300, expected 0 to 255");
  EXPECT_THAT(error("clock=nan"), testing::StartsWith("clock: got nan, expected 1e-09 to "));
  EXPECT_EQ(error("counts=/nowhere/x"), "counts: cannot write to '/nowhere/x'");
  EXPECT_THAT(error("refuse=DRELU,FOO"), testing::StartsWith("refuse: 'FOO' is none of ALL, "));
}

}  // namespace
}  // namespace elbo

// The simulated GPU in a test: options, findings, and memory in place of an engine.
#pragma once

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"
#include "tests/simulated_gpu/kernels.hpp"

namespace elbo {

using cuda::simulated::Options;
using cuda::simulated::take_findings;

class SimulatedGpu : public testing::Test {
 protected:
  static constexpr int kCount = 100;
  static constexpr size_t kBytes = kCount * sizeof(float);

  SimulatedGpu() { reset(""); }
  ~SimulatedGpu() override { reset(""); }

  /// A fresh device with these options.
  static void reset(const std::string& options) {
    cudaDeviceReset();
    take_findings();
    Options::set(Options::parse(options));
  }

  static float* allocate(int count = kCount) {
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, static_cast<size_t>(count) * sizeof(float)), cudaSuccess);
    return static_cast<float*>(memory);
  }
  static float* pin() {
    void* memory = nullptr;
    EXPECT_EQ(cudaMallocHost(&memory, kBytes), cudaSuccess);
    return static_cast<float*>(memory);
  }
  static cudaStream_t make_stream() {
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    return stream;
  }
  static cudaEvent_t make_event() {
    cudaEvent_t event = nullptr;
    EXPECT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    return event;
  }

  static void begin_capture(cudaStream_t stream,
                            cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    EXPECT_EQ(cudaStreamBeginCapture(stream, mode), cudaSuccess);
  }
  static cudaGraph_t end_capture(cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    return graph;
  }
  /// Launches the graph and waits for it.
  static void run_graph(cudaGraph_t graph, cudaStream_t stream) {
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    cudaStreamSynchronize(stream);
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
  /// What is queued next comes after `nodes`.
  static void follow(cudaStream_t stream, std::vector<cudaGraphNode_t> nodes) {
    EXPECT_EQ(cudaStreamUpdateCaptureDependencies(stream, nodes.data(), nullptr, nodes.size(),
                                                  cudaStreamSetCaptureDependencies),
              cudaSuccess);
  }

  static std::vector<float> read(const float* device) {
    std::vector<float> host(kCount);
    EXPECT_EQ(cudaMemcpy(host.data(), device, kBytes, cudaMemcpyDeviceToHost), cudaSuccess);
    return host;
  }

  /// Something was reported, and all of it contains `text`.
  static void expect_finding(const std::string& text) {
    const auto found = take_findings();
    EXPECT_THAT(found, testing::Not(testing::IsEmpty())) << "expected: " << text;
    EXPECT_THAT(found, testing::Each(testing::HasSubstr(text)));
  }
  static void expect_nothing_found() { EXPECT_THAT(take_findings(), testing::IsEmpty()); }
};

}  // namespace elbo

// Missing dependencies, planted one by one: the simulated GPU reports each of them, in whatever
// order the work happened to run.
#include "tests/simulated_gpu/fixture.hpp"

namespace elbo {
namespace {

/// Under every order and several seeds; `body` leaves findings.
class OrderFault : public SimulatedGpu {
 protected:
  template <class Body>
  static void in_every_order(Body body) {
    for (const char* order : {"latest", "late", "random", "eager"})
      for (const char* edges : {"one", "all"}) {
        SCOPED_TRACE(std::string(order) + ", edges " + edges);
        reset(std::string("order=") + order + " edges=" + edges);
        body();
      }
  }
};

TEST_F(OrderFault, MissingEventWaitIsReported) {
  in_every_order([] {
    float *a = allocate(), *b = allocate();
    const cudaStream_t first = make_stream(), second = make_stream();
    launch_set(a, kCount, 1.0f, first);
    launch_increment(a, b, kCount, second);
    cudaDeviceSynchronize();
    const auto found = take_findings();
    ASSERT_FALSE(found.empty());
    EXPECT_THAT(found, testing::Contains(testing::HasSubstr("race: ")));
  });
}

TEST_F(OrderFault, EventWaitOrdersStreams) {
  in_every_order([] {
    float *a = allocate(), *b = allocate();
    const cudaStream_t first = make_stream(), second = make_stream();
    const cudaEvent_t event = make_event();
    launch_set(a, kCount, 1.0f, first);
    cudaEventRecord(event, first);
    cudaStreamWaitEvent(second, event, 0);
    launch_increment(a, b, kCount, second);
    EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
    EXPECT_EQ(read(b), std::vector<float>(kCount, 2.0f));
    expect_nothing_found();
  });
}

TEST_F(OrderFault, EventThatWasFoundDoneOrdersStreams) {
  float *a = allocate(), *b = allocate();
  const cudaStream_t first = make_stream(), second = make_stream();
  const cudaEvent_t event = make_event();
  launch_set(a, kCount, 1.0f, first);
  cudaEventRecord(event, first);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  launch_increment(a, b, kCount, second);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  expect_nothing_found();
}

TEST_F(OrderFault, OverwrittenSlotIsReported) {
  in_every_order([] {
    float *slot = allocate(), *out = allocate(), *host = pin();
    host[0] = 1.0f;
    const cudaStream_t copies = make_stream(), kernels = make_stream();
    const cudaEvent_t filled = make_event();
    cudaMemcpyAsync(slot, host, kBytes, cudaMemcpyHostToDevice, copies);
    cudaEventRecord(filled, copies);
    cudaStreamWaitEvent(kernels, filled, 0);
    launch_increment(slot, out, kCount, kernels);
    cudaMemcpyAsync(slot, host, kBytes, cudaMemcpyHostToDevice,
                    copies);  // the kernel may still read
    cudaDeviceSynchronize();
    EXPECT_THAT(take_findings(), testing::Contains(testing::HasSubstr("race: ")));
  });
}

TEST_F(OrderFault, EventOptionPlantsAMissingWait) {
  reset("without_event=1");
  float *a = allocate(), *b = allocate();
  const cudaStream_t first = make_stream(), second = make_stream();
  const cudaEvent_t event = make_event();
  launch_set(a, kCount, 1.0f, first);
  cudaEventRecord(event, first);
  cudaStreamWaitEvent(second, event, 0);
  launch_increment(a, b, kCount, second);
  cudaDeviceSynchronize();
  EXPECT_THAT(take_findings(), testing::Contains(testing::HasSubstr("race: ")));
}

/// A graph of set(a), set(b), and an increment of a that depends on `dependencies` of them.
class GraphFault : public OrderFault {
 protected:
  static void run(const std::vector<size_t>& dependencies, Overlap overlap) {
    float *a = allocate(), *b = allocate();
    const cudaStream_t stream = make_stream();
    begin_capture(stream, cudaStreamCaptureModeRelaxed);
    launch_set(a, kCount, 1.0f, stream);
    follow(stream, {});
    launch_set(b, kCount, 5.0f, stream);
    cudaStreamCaptureStatus status{};
    cudaGraph_t graph = nullptr;
    cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, nullptr, nullptr, nullptr);
    std::vector<cudaGraphNode_t> nodes(2), before;
    size_t count = nodes.size();
    cudaGraphGetNodes(graph, nodes.data(), &count);
    for (const size_t node : dependencies) before.push_back(nodes[node]);
    follow(stream, before);
    launch_increment(a, b, kCount, stream, overlap);
    run_graph(end_capture(stream), stream);
  }
  static std::vector<std::string> races() {
    std::vector<std::string> found;
    for (const std::string& line : take_findings())
      if (line.find("race: ") != std::string::npos) found.push_back(line);
    return found;
  }
};

TEST_F(GraphFault, CompleteDependenciesAreNotReported) {
  in_every_order([] {
    for (const Overlap overlap : {Overlap::kNone, Overlap::kWaits}) {
      run({0, 1}, overlap);
      expect_nothing_found();
    }
  });
}

TEST_F(GraphFault, MissingDependencyIsReported) {
  in_every_order([] {
    for (const Overlap overlap : {Overlap::kNone, Overlap::kWaits})
      for (const size_t kept : {0, 1}) {
        run({kept}, overlap);
        EXPECT_THAT(races(), testing::Contains(testing::HasSubstr("in one graph")));
      }
  });
}

TEST_F(GraphFault, EdgeOptionPlantsAMissingDependency) {
  reset("without_edge=2");
  run({0, 1}, Overlap::kNone);
  EXPECT_THAT(races(), testing::Contains(testing::HasSubstr("in one graph")));
}

/// Sets a, increments it into b with `overlap`.
void capture_chain(cudaStream_t stream, float* a, float* b, int count, Overlap overlap) {
  launch_set(a, count, 1.0f, stream, Overlap::kWaits);
  launch_increment(a, b, count, stream, overlap);
}

TEST_F(GraphFault, KernelThatDoesNotWaitIsReported) {
  in_every_order([] {
    for (const Overlap overlap : {Overlap::kHasty, Overlap::kTooLate}) {
      float *a = allocate(), *b = allocate();
      const cudaStream_t stream = make_stream();
      begin_capture(stream);
      capture_chain(stream, a, b, kCount, overlap);
      run_graph(end_capture(stream), stream);
      EXPECT_THAT(races(), testing::Not(testing::IsEmpty()));
    }
  });
}

TEST_F(GraphFault, HastyKernelIsDoubtful) {
  float *a = allocate(), *b = allocate();
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  launch_set(a, kCount, 1.0f, stream, Overlap::kWaits);
  launch_set(b, kCount, 2.0f, stream, Overlap::kHasty);  // touches nothing of the kernel before
  run_graph(end_capture(stream), stream);
  expect_finding("doubt: ");
}

// The end of a kernel that never waited says nothing about the kernels before it.
TEST_F(GraphFault, HastyKernelDoesNotOrderThoseBehindIt) {
  in_every_order([] {
    float *a = allocate(), *b = allocate(), *c = allocate();
    const cudaStream_t stream = make_stream();
    begin_capture(stream);
    launch_set(a, kCount, 1.0f, stream, Overlap::kWaits);
    launch_set(b, kCount, 2.0f, stream, Overlap::kHasty);
    launch_increment(a, c, kCount, stream, Overlap::kWaits);
    run_graph(end_capture(stream), stream);
    EXPECT_THAT(races(), testing::Not(testing::IsEmpty()));
  });
}

TEST_F(GraphFault, WaitOptionPlantsAKernelThatDoesNotWait) {
  reset("without_wait=increment");
  float *a = allocate(), *b = allocate();
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  capture_chain(stream, a, b, kCount, Overlap::kWaits);
  run_graph(end_capture(stream), stream);
  EXPECT_THAT(races(), testing::Not(testing::IsEmpty()));
}

TEST_F(GraphFault, LaunchesOfAGraphFollowEachOther) {
  in_every_order([] {
    float *a = allocate(), *b = allocate();
    const cudaStream_t stream = make_stream();
    begin_capture(stream);
    capture_chain(stream, a, b, kCount, Overlap::kWaits);
    launch_increment(b, a, kCount, stream, Overlap::kWaits);
    cudaGraph_t graph = end_capture(stream);
    cudaGraphExec_t executable = nullptr;
    cudaGraphInstantiate(&executable, graph, 0);
    for (int i = 0; i < 3; ++i) cudaGraphLaunch(executable, stream);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(read(a), std::vector<float>(kCount, 3.0f));
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    expect_nothing_found();
  });
}

}  // namespace
}  // namespace elbo

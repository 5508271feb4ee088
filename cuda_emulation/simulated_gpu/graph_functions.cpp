// The CUDA runtime's functions: graphs.
#include <cstring>

#include "cuda_emulation/simulated_gpu/call.hpp"

using namespace elbo::cuda::simulated;

namespace {

const Operation& operation_of(cudaGraphNode_t node) {
  return node->graph->nodes[node->number].operation;
}

cudaGraphNodeType type_of(const Operation& operation) {
  if (operation.is_kernel()) return cudaGraphNodeTypeKernel;
  if (std::holds_alternative<Copy>(operation.work)) return cudaGraphNodeTypeMemcpy;
  return cudaGraphNodeTypeMemset;
}

dim3 dimensions(const Extent& extent) { return {extent.x, extent.y, extent.z}; }

}  // namespace

extern "C" {

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return call("cudaGraphGetNodes", kOrdinary, [&](Call&) {
    const auto& handles = graph->handles;
    if (nodes != nullptr)
      for (size_t i = 0; i < *count; ++i)
        nodes[i] = i < handles.size() ? handles[i].get() : nullptr;
    if (nodes == nullptr || *count > handles.size()) *count = handles.size();
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return call("cudaGraphNodeGetType", kOrdinary,
              [&](Call&) { *type = type_of(operation_of(node)); });
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* parameters) {
  return call("cudaGraphKernelNodeGetParams", kOrdinary, [&](Call& call) {
    const Operation& operation = operation_of(node);
    if (!operation.is_kernel())
      call.misuse(cudaErrorInvalidValue, "of a node that is not a kernel");
    const KernelLaunch* launch = operation.kernel();
    // The runtime does not know the kernels inside a library.
    if (launch == nullptr) call.refuse(cudaErrorInvalidDeviceFunction);
    node->arguments.clear();
    for (const Parameter& parameter : launch->kernel->parameters)
      node->arguments.push_back(const_cast<std::byte*>(launch->arguments.data()) +
                                parameter.offset);
    *parameters = {};
    parameters->func = const_cast<void*>(launch->function);
    parameters->gridDim = dimensions(launch->grid);
    parameters->blockDim = dimensions(launch->block);
    parameters->sharedMemBytes = static_cast<unsigned>(launch->shared_bytes);
    parameters->kernelParams = node->arguments.data();
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return call("cudaGraphInstantiate", kOrdinary, [&](Call&) {
    ++live_graphs().executables;
    *executable = new CUgraphExec_st{std::make_shared<const std::vector<Node>>(graph->nodes)};
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t stream) {
  return call("cudaGraphUpload", kOrdinary, [&](Call& call) { call.stream(stream); });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphLaunch", kOrdinary, [&](Call& call) {
    CUstream_st& where = call.stream(stream);
    if (where.capture != nullptr) {
      where.capture->invalid = true;
      call.misuse(cudaErrorNotSupported, "on a captured stream is not simulated");
    }
    Gpu::get().enqueue(where)->nodes = executable->nodes;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call("cudaGraphExecDestroy", kReleases, [&](Call& call) {
    if (executable == nullptr) call.refuse(cudaErrorInvalidValue);
    --live_graphs().executables;
    delete executable;  // running launches share ownership of the nodes
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", kReleases, [&](Call& call) {
    if (graph == nullptr) call.refuse(cudaErrorInvalidValue);
    --live_graphs().graphs;
    delete graph;
  });
}

}  // extern "C"

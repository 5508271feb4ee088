// cuDNN's functions, found when the library is loaded. Needs its headers.
#pragma once

#include <cudnn.h>

#include <string>

#include "kernels/cuda/cudnn.hpp"
#include "kernels/cuda/gpu_error.hpp"
#include "kernels/cuda/shared_library.hpp"

namespace elbo::cuda::cudnn {

#define ELBO_CUDNN_FUNCTIONS(X)                     \
  X(cudnnCreate)                                    \
  X(cudnnDestroy)                                   \
  X(cudnnGetVersion)                                \
  X(cudnnGetErrorString)                            \
  X(cudnnSetStream)                                 \
  X(cudnnCreateTensorDescriptor)                    \
  X(cudnnDestroyTensorDescriptor)                   \
  X(cudnnSetTensor4dDescriptor)                     \
  X(cudnnCreateFilterDescriptor)                    \
  X(cudnnDestroyFilterDescriptor)                   \
  X(cudnnSetFilter4dDescriptor)                     \
  X(cudnnCreateConvolutionDescriptor)               \
  X(cudnnDestroyConvolutionDescriptor)              \
  X(cudnnSetConvolution2dDescriptor)                \
  X(cudnnSetConvolutionGroupCount)                  \
  X(cudnnSetConvolutionMathType)                    \
  X(cudnnCreateActivationDescriptor)                \
  X(cudnnDestroyActivationDescriptor)               \
  X(cudnnSetActivationDescriptor)                   \
  X(cudnnGetConvolutionForwardAlgorithm_v7)         \
  X(cudnnGetConvolutionForwardWorkspaceSize)        \
  X(cudnnConvolutionForward)                        \
  X(cudnnConvolutionBiasActivationForward)          \
  X(cudnnGetConvolutionBackwardDataAlgorithm_v7)    \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize)   \
  X(cudnnConvolutionBackwardData)                   \
  X(cudnnGetConvolutionBackwardFilterAlgorithm_v7)  \
  X(cudnnGetConvolutionBackwardFilterWorkspaceSize) \
  X(cudnnConvolutionBackwardFilter)

/// The functions used, under their own names. A loaded library stays loaded.
struct Functions {
#define ELBO_DECLARE(name) decltype(&::name) name = nullptr;
  ELBO_CUDNN_FUNCTIONS(ELBO_DECLARE)
#undef ELBO_DECLARE

  std::string path;  // of the file loaded, for people

  explicit Functions(const LibrarySearch& search) {
    const SharedLibrary library("cuDNN", search);
    path = library.origin();
#define ELBO_FIND(name) library.get(#name, name);
    ELBO_CUDNN_FUNCTIONS(ELBO_FIND)
#undef ELBO_FIND
    if (cudnnGetVersion() / 10000 != CUDNN_MAJOR)
      throw DeviceError("the installed cuDNN is version " + std::to_string(cudnnGetVersion()) +
                        ", expected version " + std::to_string(CUDNN_MAJOR));
  }
  void check(cudnnStatus_t status, const char* action) const {
    if (status == CUDNN_STATUS_SUCCESS) return;
    const std::string text =
        std::string("cuDNN failed to ") + action + ": " + cudnnGetErrorString(status);
    if (status == CUDNN_STATUS_ALLOC_FAILED) throw OutOfMemory(text);
    throw DeviceError(text);
  }
};

/// An owned object of the library.
template <class Handle>
class Owned {
 public:
  Owned(const Functions& functions, cudnnStatus_t (*create)(Handle*),
        cudnnStatus_t (*destroy)(Handle), const char* action = "make a description")
      : destroy_(destroy) {
    functions.check(create(&handle_), action);
  }
  ~Owned() { destroy_(handle_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
  cudnnStatus_t (*destroy_)(Handle);
};

/// The library with its handle, shared by its products.
struct Library {
  Functions functions;
  Allocate allocate;
  Owned<cudnnHandle_t> handle{functions, functions.cudnnCreate, functions.cudnnDestroy, "start"};
};

}  // namespace elbo::cuda::cudnn

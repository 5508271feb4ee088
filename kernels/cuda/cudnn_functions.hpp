// cuDNN's functions, found in the library when it is loaded. Wants its headers.
#pragma once

#include <cudnn.h>
#include <dlfcn.h>

#include <string>
#include <vector>

#include "kernels/core/error.hpp"
#include "kernels/cuda/cudnn.hpp"

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

/// The functions used, under their own names. Once loaded, the library stays.
struct Functions {
#define ELBO_DECLARE(name) decltype(&::name) name = nullptr;
  ELBO_CUDNN_FUNCTIONS(ELBO_DECLARE)
#undef ELBO_DECLARE

  explicit Functions(const std::vector<std::string>& files) {
    void* library = open(files);
#define ELBO_FIND(name) name = reinterpret_cast<decltype(name)>(find(library, #name));
    ELBO_CUDNN_FUNCTIONS(ELBO_FIND)
#undef ELBO_FIND
    if (cudnnGetVersion() / 10000 != CUDNN_MAJOR)
      throw DeviceError("the installed cuDNN is version " + std::to_string(cudnnGetVersion()) +
                        ", this build wants version " + std::to_string(CUDNN_MAJOR));
  }
  void check(cudnnStatus_t status, const char* action) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw DeviceError(std::string("cuDNN failed to ") + action + ": " +
                        cudnnGetErrorString(status));
  }

 private:
  static void* open(const std::vector<std::string>& files) {
    std::string reason;
    for (const std::string& file : files) {
      if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
      const char* error = dlerror();
      if (reason.empty()) reason = error == nullptr ? "unknown error" : error;
    }
    throw DeviceError("cannot load cuDNN: " + reason);
  }
  static void* find(void* library, const char* name) {
    void* function = dlsym(library, name);
    if (function == nullptr) throw DeviceError(std::string("the installed cuDNN lacks ") + name);
    return function;
  }
};

/// Something of the library's that is destroyed with its owner.
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

/// The library with its handle, shared by all that it makes.
struct Library {
  Functions functions;
  Allocate allocate;
  Owned<cudnnHandle_t> handle{functions, functions.cudnnCreate, functions.cudnnDestroy, "start"};
};

}  // namespace elbo::cuda::cudnn

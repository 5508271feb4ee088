// The stream of a GPU, and the objects for preparing programs.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/product_choice.hpp"

namespace elbo::cuda {

/// Shared by the device and the programs prepared for it.
class StreamContext {
 public:
  /// Throws DeviceError if GPU `ordinal` cannot be used.
  explicit StreamContext(int ordinal);
  ~StreamContext();
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

  /// Selects the GPU in the calling thread, because CUDA's current device is per thread.
  void make_current() const;
  void synchronize() const;

  int ordinal() const { return ordinal_; }
  cudaStream_t stream() const { return stream_.get(); }
  const cudaDeviceProp& properties() const { return properties_; }
  /// The libraries of matrix products and of convolutions.
  std::vector<ProductSource>& sources() const { return *sources_; }

 private:
  int ordinal_;
  cudaDeviceProp properties_{};
  OwnedStream stream_;  // also ordered with the default stream, which cuRAND uses
  std::unique_ptr<std::vector<ProductSource>> sources_;
};

}  // namespace elbo::cuda

// A GPU's stream and what preparing programs for it needs.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/tuning.hpp"

namespace elbo::cuda {

/// Shared by the device and the programs prepared for it.
class StreamContext {
 public:
  /// Throws DeviceError where GPU `ordinal` refuses.
  explicit StreamContext(int ordinal);
  ~StreamContext();
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

  /// CUDA's current device is a property of the calling thread.
  void make_current() const;
  void synchronize() const;

  int ordinal() const { return ordinal_; }
  cudaStream_t stream() const { return stream_.get(); }
  const cudaDeviceProp& properties() const { return properties_; }
  /// Null where none can be had.
  ProductLibrary* library() const { return libraries_->empty() ? nullptr : libraries_.get(); }
  const std::vector<MissingLibrary>& missing_libraries() const { return missing_; }
  TuningFile& tuning() const { return *tuning_; }

 private:
  void find_libraries();

  int ordinal_;
  cudaDeviceProp properties_{};
  OwnedStream stream_;  // ordered with the default stream too, which cuRAND uses
  std::unique_ptr<ProductLibraries> libraries_ = std::make_unique<ProductLibraries>();
  std::vector<MissingLibrary> missing_;
  std::unique_ptr<TuningFile> tuning_;
};

}  // namespace elbo::cuda

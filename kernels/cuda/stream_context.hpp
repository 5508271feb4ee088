// A GPU's stream and what preparing programs for it needs.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

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
  cudaStream_t stream() const { return stream_; }
  const cudaDeviceProp& properties() const { return properties_; }
  /// Null where cuBLASLt cannot be had, for library_defect().
  ProductLibrary* library() const { return library_.get(); }
  const std::string& library_defect() const { return library_defect_; }
  TuningFile& tuning() const { return *tuning_; }

 private:
  int ordinal_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<ProductLibrary> library_;
  std::string library_defect_;
  std::unique_ptr<TuningFile> tuning_;
};

}  // namespace elbo::cuda

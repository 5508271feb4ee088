// cuRAND's Philox generator, for comparison with the engine's and as a reference for its integers.
// The library is loaded on first use; its host generator needs no GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/device.hpp"

namespace elbo {

/// A CURAND_RNG_PSEUDO_PHILOX4_32_10 generator that writes to memory of `device`.
class CurandGenerator {
 public:
  /// Throws DeviceError if libcurand cannot be loaded or fails.
  CurandGenerator(const std::shared_ptr<Device>& device, uint64_t seed);
  ~CurandGenerator();
  CurandGenerator(const CurandGenerator&) = delete;
  CurandGenerator& operator=(const CurandGenerator&) = delete;

  /// Standard normals; `count` must be even, a requirement of cuRAND.
  void normals(float* out, size_t count);
  /// Uniform 32-bit integers.
  void bits(uint32_t* out, size_t count);
  /// Skips to an absolute position in the stream.
  void seek(uint64_t offset);

 private:
  struct Library;
  const Library& library_;
  void* generator_ = nullptr;
};

}  // namespace elbo

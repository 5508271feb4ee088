// Utilities of the libraries' stand-ins: a count of live objects, and conversion of number formats.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "cuda_emulation/simulated_gpu/report.hpp"
#include "kernels/math/bfloat16.hpp"

namespace elbo::cuda::simulated {

/// Counts the live objects of a library; reports a defect at the end of the process unless it is 0.
class LiveObjects {
 public:
  explicit LiveObjects(const char* library) : library_(library) {}
  ~LiveObjects() {
    if (count_ > 0)
      report_defect(std::string(library_) + ": never destroyed: " + std::to_string(count_) +
                    " objects");
  }
  LiveObjects(const LiveObjects&) = delete;
  LiveObjects& operator=(const LiveObjects&) = delete;

  void change(int by) { count_ += by; }

 private:
  const char* library_;
  int count_ = 0;
};

enum class Number { kFloat, kBfloat16 };

inline size_t size_of(Number type) { return type == Number::kFloat ? 4 : 2; }

inline float load(const std::byte* from, Number type) {
  if (type == Number::kBfloat16) {
    math::Bfloat16 value;
    std::memcpy(&value, from, sizeof value);
    return math::to_float(value);
  }
  float value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store(std::byte* to, Number type, float value) {
  if (type == Number::kBfloat16) {
    const math::Bfloat16 rounded = math::to_bfloat16(value);
    std::memcpy(to, &rounded, sizeof rounded);
  } else {
    std::memcpy(to, &value, sizeof value);
  }
}

/// Rounds to TF32 (10 bits of mantissa): to nearest, ties away from zero.
inline float to_tf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (!std::isnan(value)) bits = (bits + 0x1000) & 0xffffe000u;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace elbo::cuda::simulated

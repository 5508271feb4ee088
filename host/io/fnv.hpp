// Names for content: the 128-bit hash FNV-1a (Fowler, Noll, Vo).
#pragma once

#include <cstdint>
#include <string>

namespace elbo {

class Fnv128 {
 public:
  constexpr void add_byte(std::uint8_t byte) {
    // hash = (hash ^ byte) * (2^88 + 0x13b), modulo 2^128.
    constexpr std::uint64_t kFactor = 0x13b;
    const std::uint64_t low = low_ ^ byte;
    const std::uint64_t lower_half = (low & 0xffffffff) * kFactor;
    const std::uint64_t upper_half = (low >> 32) * kFactor + (lower_half >> 32);
    high_ = high_ * kFactor + (upper_half >> 32) + (low << 24);
    low_ = low * kFactor;
  }

  /// 32 hexadecimal digits.
  std::string digits() const {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint64_t half : {high_, low_}) {
      for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[half >> shift & 15];
    }
    return text;
  }

 private:
  std::uint64_t high_ = 0x6c62272e07bb0142, low_ = 0x62b821756295c58d;
};

}  // namespace elbo

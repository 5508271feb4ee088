// A pseudorandom permutation of 0 .. n-1 as a function of the index, without an array or state. A
// 12-round Feistel network on the smallest power-of-two domain, with cycle walking (Black and
// Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
#pragma once

#include "kernels/math/portable.hpp"

namespace elbo::math {

class Permutation {
 public:
  /// A permutation of 0 .. count-1 (count >= 1) chosen by `seed` and `epoch`.
  ELBO_HD Permutation(uint32_t count, uint64_t seed, uint64_t epoch) : count_(count) {
    const int bits = count > 2 ? bit_width(count - 1) : 1;
    low_bits_ = bits / 2;
    low_mask_ = (1u << low_bits_) - 1u;
    high_mask_ = static_cast<uint32_t>((uint64_t{1} << (bits - low_bits_)) - 1u);
    const uint64_t key = finalize64(finalize64(seed + 0x9E3779B97F4A7C15ull) ^ epoch);
    key_low_ = static_cast<uint32_t>(key);
    key_high_ = static_cast<uint32_t>(key >> 32);
  }

  /// The element at position `index` (< count) of the order.
  ELBO_HD uint32_t operator()(uint32_t index) const {
    do index = encrypt(index);
    while (index >= count_);
    return index;
  }

 private:
  // Finalizers of 64 and 32 bits (Steele, Lea, Flood 2014; Wellons' lowbias32).
  ELBO_HD static uint64_t finalize64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
  }
  ELBO_HD static uint32_t finalize32(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
  }
  ELBO_HD uint32_t encrypt(uint32_t index) const {
    uint32_t low = index & low_mask_, high = index >> low_bits_;
    uint32_t key = key_low_;
    for (int round = 0; round < 6; ++round) {
      high ^= finalize32(low ^ key) & high_mask_;
      low ^= finalize32(high + (key ^ key_high_)) & low_mask_;
      key += 0x9E3779B9u;
    }
    return high << low_bits_ | low;
  }

  uint32_t count_, low_mask_, high_mask_, key_low_, key_high_;
  int low_bits_;
};

}  // namespace elbo::math

// Reproducible draws as functions of a counter, for choices outside of training.
#pragma once

#include <cstdint>

namespace elbo {

/// SplitMix64's output function (Steele, Lea, Flood 2014): a bijection that scatters every bit.
constexpr std::uint64_t mix_bits(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

/// 64 random bits for draw `counter` of `seed`; the same on every machine.
constexpr std::uint64_t hash_counter(std::uint64_t seed, std::uint64_t counter) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;
  return mix_bits(mix_bits(seed + kGolden) + (counter + 1) * kGolden);
}

/// Uniform in [0, 1), a multiple of 2^-53.
constexpr double uniform_at(std::uint64_t seed, std::uint64_t counter) {
  return static_cast<double>(hash_counter(seed, counter) >> 11) * 0x1p-53;
}

}  // namespace elbo

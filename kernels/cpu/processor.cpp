// Capabilities of the processor.
#include "kernels/cpu/execution.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace elbo::cpu {

#if defined(__x86_64__)

namespace {

bool has_amx_bf16() {
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBf16) != 0 && (d & kTiles) != 0;
}

/// Linux grants the tile registers only to processes that request them.
bool may_use_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

const Execution& best_execution() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return avx512::execution;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::execution;
  return baseline::execution;
}

std::vector<const Bfloat16Kernels*> usable_bfloat16_kernels() {
  const Execution& best = best_execution();
  if (&best == &baseline::execution) return {&baseline::bfloat16_kernels};
  if (&best == &avx2::execution) return {&avx2::bfloat16_kernels};
  std::vector<const Bfloat16Kernels*> usable;
  if (__builtin_cpu_supports("avx512bf16")) {  // the AMX kernels round with it
    if (has_amx_bf16() && may_use_tiles()) usable.push_back(&amx::bfloat16_kernels);
    usable.push_back(&avx512_bf16::bfloat16_kernels);
  }
  usable.push_back(&avx512::bfloat16_kernels);
  return usable;
}

#else

const Execution& best_execution() { return baseline::execution; }

std::vector<const Bfloat16Kernels*> usable_bfloat16_kernels() {
  return {&baseline::bfloat16_kernels};
}

#endif

}  // namespace elbo::cpu

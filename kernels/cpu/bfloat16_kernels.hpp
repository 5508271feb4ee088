// What products of factors in bfloat16 consist of, for each way in which processors compute them.
//
// Two neighbours along the sum make a word, the first one in its lower half. Words are kept as
// floats, which are never calculated with; a vector register holds `lanes` of them, and sums run
// over whole blocks of as many.
#pragma once

#include <cstdint>

namespace elbo::cpu {

struct Bfloat16Kernels {
  static constexpr int kTileRows = 16;
  static constexpr int kTileVectors = 3;

  const char* name;
  int lanes;
  /// words[i] = from[2 i] and from[2 i + 1] rounded, a block after the other, `block_step` words
  /// apart; `count` numbers, then zeros up to whole blocks.
  void (*round_line)(const float* from, int64_t count, float* words, int64_t block_step);
  /// words[i] = even[i] and odd[i] rounded, zero where there is no `odd`; `count` of them, then
  /// zeros up to `width`, a multiple of `lanes`.
  void (*round_pair)(const float* even, const float* odd, int64_t count, float* words,
                     int64_t width);
  /// [vectors - 1][first]: sums = those of a tile over some blocks, added to what is there unless
  /// they are the first. left [blocks, kTileRows, lanes], panel [blocks * lanes, vectors * lanes],
  /// sums [kTileRows, step], of which at least `rows` are written.
  void (*sum[kTileVectors][2])(int64_t blocks, const float* left, const float* panel, int rows,
                               float* sums, int64_t step);
  /// Around a product, on the thread that computes it.
  void (*begin)();
  void (*end)();
};

// Of an instruction set's build, by turning them into floats.
namespace baseline {
extern const Bfloat16Kernels bfloat16_kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Bfloat16Kernels bfloat16_kernels;
}
namespace avx512 {
extern const Bfloat16Kernels bfloat16_kernels;
}
// For the avx512 build, by AVX512-BF16 and by AMX.
namespace avx512_bf16 {
extern const Bfloat16Kernels bfloat16_kernels;
}
namespace amx {
extern const Bfloat16Kernels bfloat16_kernels;
}
#endif

}  // namespace elbo::cpu

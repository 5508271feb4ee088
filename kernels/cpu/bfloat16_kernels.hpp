// The building blocks of products of bfloat16 operands, for each kind of processor.
//
// Two neighbours along K form a word, the first in its lower half. Words are stored as floats
// without float arithmetic on them; a vector register holds `lanes` words, and sums run over whole
// blocks of that size.
#pragma once

#include <cstdint>

namespace elbo::cpu {

struct Bfloat16Kernels {
  static constexpr int kTileRows = 16;
  static constexpr int kTileVectors = 3;

  const char* name;
  int lanes;
  /// words[i] = from[2 i] and from[2 i + 1], rounded; consecutive blocks are `block_step` words
  /// apart. `count` numbers, then zeros up to whole blocks.
  void (*round_line)(const float* from, int64_t count, float* words, int64_t block_step);
  /// words[i] = even[i] and odd[i], rounded, with zero for a null `odd`; `count` words, then zeros
  /// up to `width`, a multiple of `lanes`.
  void (*round_pair)(const float* even, const float* odd, int64_t count, float* words,
                     int64_t width);
  /// [vectors - 1][first]: sums (=) of a tile over the first blocks, or sums (+=) over further
  /// ones. left [blocks, kTileRows, lanes], panel [blocks * lanes, vectors * lanes], sums
  /// [kTileRows, step], of which at least `rows` are written.
  void (*sum[kTileVectors][2])(int64_t blocks, const float* left, const float* panel, int rows,
                               float* sums, int64_t step);
  /// Called before and after a product, on the thread that computes it.
  void (*begin)();
  void (*end)();
};

// For any build, by conversion to floats.
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
// For the avx512 build, with AVX512-BF16 and with AMX.
namespace avx512_bf16 {
extern const Bfloat16Kernels bfloat16_kernels;
}
namespace amx {
extern const Bfloat16Kernels bfloat16_kernels;
}
#endif

}  // namespace elbo::cpu

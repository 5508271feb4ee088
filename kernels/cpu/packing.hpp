// Transposes lines of numbers into columns of vectors, the layout of panels of a product's right
// operand.
#pragma once

#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

/// to[k * width + lane] = lines[lane * line_step + k] for `count` indices k of the first `there`
/// lines, of up to kLanes; zeros in the other lanes. Moves bits: the numbers need not be floats.
inline void pack_lines(const float* lines, int64_t line_step, int64_t there, int64_t count,
                       float* to, int64_t width) {
  int64_t k = 0;
  if (there >= kLanes) {
    for (; k + 4 <= count; k += 4) {  // quads of four lines at a time, transposed in registers
      Vector line[4];
      for (int m = 0; m < 4; ++m) line[m] = load_quads(lines + m * line_step + k, 4 * line_step);
      transpose_blocks(line);
      for (int m = 0; m < 4; ++m) store(to + (k + m) * width, line[m]);
    }
  }
  for (; k < count; ++k)
    for (int lane = 0; lane < kLanes; ++lane)
      to[k * width + lane] = lane < there ? lines[lane * line_step + k] : 0.0f;
}

}  // namespace elbo::cpu::ELBO_CPU_ISA

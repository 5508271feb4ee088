// The interpreter's instruction set: each file of handlers lists the opcodes that it implements.
#pragma once

#include <span>
#include <string_view>

#include "cuda_emulation/ptx_program.hpp"

namespace elbo::cuda::emulation::ptx {

struct Opcode {
  std::string_view name;  // without types, state spaces, roundings and hints
  Selector select;
};

std::span<const Opcode> arithmetic_opcodes();  // arithmetic: ptx_arithmetic.cpp
std::span<const Opcode> conversion_opcodes();  // comparisons and conversions: ptx_conversion.cpp
std::span<const Opcode> carry_opcodes();       // multi-word arithmetic: ptx_carry.cpp
std::span<const Opcode> bit_opcodes();         // moves, logic, shifts: ptx_bits.cpp
std::span<const Opcode> memory_opcodes();      // loads, stores, atomics: ptx_memory.cpp
std::span<const Opcode> control_opcodes();     // branches and calls: ptx_control.cpp
std::span<const Opcode> meeting_opcodes();     // barriers and warp instructions: ptx_block.cpp

}  // namespace elbo::cuda::emulation::ptx

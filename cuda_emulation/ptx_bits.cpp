// Instructions that move, combine and select bits; and the table of all opcodes.
#include <bit>
#include <unordered_map>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

uint64_t bits(const Thread& thread, const Instruction& instruction, size_t index) {
  return read_bits(thread, instruction.operands[index]);
}

unsigned width(const Instruction& instruction) {
  return 8 * static_cast<unsigned>(size_of(instruction.type));
}

uint64_t low_bits(uint64_t value, unsigned count) {
  return count >= 64 ? value : value & ((uint64_t{1} << count) - 1);
}

void result(Thread& thread, const Instruction& instruction, uint64_t value) {
  const bool predicate = instruction.type == Type::kPredicate;
  write(thread, instruction.operands[0], low_bits(value, predicate ? 1 : width(instruction)));
}

/// Of values, addresses of symbols, and between a register and the parts that make it up.
void move(Thread& thread, const Instruction& instruction) {
  const Operand &target = instruction.operands[0], &source = instruction.operands[1];
  if (target.kind == Operand::Kind::kVector) {
    const unsigned part = width(instruction) / static_cast<unsigned>(target.parts.size());
    uint64_t value = read_bits(thread, source);
    for (const Operand& element : target.parts) {
      write(thread, element, low_bits(value, part));
      value >>= part;
    }
  } else if (source.kind == Operand::Kind::kVector) {
    const unsigned part = width(instruction) / static_cast<unsigned>(source.parts.size());
    uint64_t value = 0;
    for (size_t i = source.parts.size(); i-- > 0;) {
      value = value << part | low_bits(read_bits(thread, source.parts[i]), part);
    }
    result(thread, instruction, value);
  } else {
    result(thread, instruction, read_bits(thread, source));
  }
}

void select(Thread& thread, const Instruction& instruction) {
  const bool first = read<bool>(thread, instruction.operands[3]);
  result(thread, instruction, bits(thread, instruction, first ? 1 : 2));
}

template <class Operation>
void logic(Thread& thread, const Instruction& instruction) {
  result(thread, instruction,
         Operation{}(bits(thread, instruction, 1), bits(thread, instruction, 2)));
}
using And = decltype([](uint64_t a, uint64_t b) { return a & b; });
using Or = decltype([](uint64_t a, uint64_t b) { return a | b; });
using Xor = decltype([](uint64_t a, uint64_t b) { return a ^ b; });

void complement(Thread& thread, const Instruction& instruction) {
  result(thread, instruction, ~bits(thread, instruction, 1));
}

void logical_not(Thread& thread, const Instruction& instruction) {
  result(thread, instruction, bits(thread, instruction, 1) == 0);
}

/// Any function of three bits, bit by bit: the operand behind them is its truth table.
void three_input_logic(Thread& thread, const Instruction& instruction) {
  const uint64_t a = bits(thread, instruction, 1), b = bits(thread, instruction, 2),
                 c = bits(thread, instruction, 3), table = bits(thread, instruction, 4);
  uint64_t value = 0;
  for (unsigned row = 0; row < 8; ++row) {
    if ((table >> row & 1) == 0) continue;
    value |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
  }
  result(thread, instruction, value);
}

void shift_left(Thread& thread, const Instruction& instruction) {
  const auto count = read<uint32_t>(thread, instruction.operands[2]);
  const uint64_t value = bits(thread, instruction, 1);
  result(thread, instruction, count >= width(instruction) ? 0 : value << count);
}

void shift_right(Thread& thread, const Instruction& instruction) {
  const auto count = read<uint32_t>(thread, instruction.operands[2]);
  with_integer(thread, instruction, instruction.type, [&]<class T>() {
    const T value = read<T>(thread, instruction.operands[1]);
    const T all_sign = std::is_signed_v<T> && value < 0 ? static_cast<T>(-1) : T(0);
    const bool out = count >= 8 * sizeof(T);
    write(thread, instruction.operands[0], out ? all_sign : static_cast<T>(value >> count));
  });
}

/// The 64-bit value {second operand, first operand} of two 32-bit ones.
uint64_t pair(const Thread& thread, const Instruction& instruction) {
  return bits(thread, instruction, 2) << 32 | low_bits(bits(thread, instruction, 1), 32);
}

/// shf: 32 bits of the 64-bit value {high, low}; the count wraps at, or is clamped to, 32.
template <bool left, bool wraps>
void funnel_shift(Thread& thread, const Instruction& instruction) {
  const uint64_t both = pair(thread, instruction);
  const auto asked = read<uint32_t>(thread, instruction.operands[3]);
  const unsigned count = wraps ? asked % 32 : std::min(asked, 32u);
  result(thread, instruction, left ? both >> (32 - count) : both >> count);
}

/// Bits [position, position + length) of the value, extended by its sign bit for signed types.
void extract_field(Thread& thread, const Instruction& instruction) {
  const unsigned size = width(instruction);
  const unsigned position = bits(thread, instruction, 2) & 0xff;
  const unsigned length = bits(thread, instruction, 3) & 0xff;
  with_integer(thread, instruction, instruction.type, [&]<class T>() {
    const auto value = read<std::make_unsigned_t<T>>(thread, instruction.operands[1]);
    const uint64_t field = position >= size ? 0 : low_bits(uint64_t{value} >> position, length);
    const unsigned top = std::min(position + length, size) - 1;
    const bool negative = std::is_signed_v<T> && length > 0 && (uint64_t{value} >> top & 1) != 0;
    const unsigned known = position >= size ? 0 : std::min(length, size - position);
    result(thread, instruction, negative && known < 64 ? field | ~uint64_t{0} << known : field);
  });
}

void insert_field(Thread& thread, const Instruction& instruction) {
  const uint64_t field = bits(thread, instruction, 1), into = bits(thread, instruction, 2);
  const unsigned position = bits(thread, instruction, 3) & 0xff;
  const unsigned length = bits(thread, instruction, 4) & 0xff;
  const uint64_t mask = position >= 64 ? 0 : low_bits(~uint64_t{0}, length) << position;
  const uint64_t placed = position >= 64 ? 0 : field << position;
  result(thread, instruction, (into & ~mask) | (placed & mask));
}

/// prmt: each of the result's four bytes is one of the eight of {b, a}, or its sign spread out.
void permute_bytes(Thread& thread, const Instruction& instruction) {
  const uint64_t bytes = pair(thread, instruction);
  const uint64_t selector = bits(thread, instruction, 3);
  uint64_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned choice = selector >> (4 * i) & 0xf;
    const auto byte = static_cast<uint8_t>(bytes >> (8 * (choice & 7)));
    const uint8_t sign = byte & 0x80 ? 0xff : 0;
    value |= uint64_t{choice & 8 ? sign : byte} << (8 * i);
  }
  result(thread, instruction, value);
}

void count_leading_zeros(Thread& thread, const Instruction& instruction) {
  const uint64_t value = low_bits(bits(thread, instruction, 1), width(instruction));
  const auto zeros = static_cast<uint32_t>(std::countl_zero(value));
  write(thread, instruction.operands[0], zeros - (64 - width(instruction)));
}

void count_ones(Thread& thread, const Instruction& instruction) {
  const uint64_t value = low_bits(bits(thread, instruction, 1), width(instruction));
  write(thread, instruction.operands[0], static_cast<uint32_t>(std::popcount(value)));
}

void reverse_bits(Thread& thread, const Instruction& instruction) {
  uint64_t value = bits(thread, instruction, 1), reversed = 0;
  for (unsigned i = 0; i < width(instruction); ++i, value >>= 1) {
    reversed = reversed << 1 | (value & 1);
  }
  result(thread, instruction, reversed);
}

constexpr Opcode kOpcodes[] = {
    {"mov", &move},
    {"selp", &select},
    {"and", &logic<And>},
    {"or", &logic<Or>},
    {"xor", &logic<Xor>},
    {"not", &complement},
    {"cnot", &logical_not},
    {"lop3", &three_input_logic},
    {"shl", &shift_left},
    {"shr", &shift_right},
    {"shf.l.wrap", &funnel_shift<true, true>},
    {"shf.l.clamp", &funnel_shift<true, false>},
    {"shf.r.wrap", &funnel_shift<false, true>},
    {"shf.r.clamp", &funnel_shift<false, false>},
    {"bfe", &extract_field},
    {"bfi", &insert_field},
    {"prmt", &permute_bytes},
    {"clz", &count_leading_zeros},
    {"popc", &count_ones},
    {"brev", &reverse_bits},
};

}  // namespace

std::span<const Opcode> bit_opcodes() { return kOpcodes; }

Handler find_handler(const std::string& opcode) {
  static const auto handlers = [] {
    std::unordered_map<std::string_view, Handler> all;
    for (const auto opcodes : {arithmetic_opcodes(), carry_opcodes(), bit_opcodes(),
                               memory_opcodes(), control_opcodes(), meeting_opcodes()}) {
      for (const auto& [name, handler] : opcodes) all.emplace(name, handler);
    }
    return all;
  }();
  const auto found = handlers.find(opcode);
  return found == handlers.end() ? nullptr : found->second;
}

void reject_instruction(Thread& thread, const Instruction& instruction) {
  reject(thread, instruction, "instruction not supported");
}

}  // namespace elbo::cuda::emulation::ptx

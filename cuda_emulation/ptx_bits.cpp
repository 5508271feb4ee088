// Instructions that move, combine and select bits, and the lookup of all opcodes.
#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

uint64_t bits(const Thread& thread, const Step& step, size_t index) {
  return read<uint64_t>(thread, step, index);
}

constexpr uint64_t low_bits(uint64_t value, unsigned count) {
  return count >= 64 ? value : value & ((uint64_t{1} << count) - 1);
}

template <unsigned width>
const Step* result(Thread& thread, const Step& step, uint64_t value) {
  write(thread, step, low_bits(value, width));
  return step.next();
}

const Step* reject_negation(Thread& thread, const Step& step) {
  reject(thread, step, "negated operand not supported");
}

/// Returns visit.operator()<width>(), with `width` the number of bits of the type; 1 for
/// predicates.
template <class Visitor>
Handler for_width(const Instruction& instruction, Visitor visit) {
  for (const Operand& operand : instruction.operands) {
    if (operand.negated) return &reject_negation;  // used by combined comparisons (setp)
  }
  if (instruction.type == Type::kPredicate) return visit.template operator()<1>();
  switch (size_of(instruction.type)) {
    case 1:
      return visit.template operator()<8>();
    case 2:
      return visit.template operator()<16>();
    case 4:
      return visit.template operator()<32>();
    case 8:
      return visit.template operator()<64>();
    default:
      return &reject_type;
  }
}

unsigned part_width(const Instruction& instruction, const Operand& vector) {
  return 8 * static_cast<unsigned>(size_of(instruction.type) / vector.parts.size());
}

const Step* move_to_parts(Thread& thread, const Step& step) {
  const Operand &target = step.instruction->operands[0], &source = step.instruction->operands[1];
  const unsigned width = part_width(*step.instruction, target);
  auto value = read<uint64_t>(thread, source);
  for (const Operand& element : target.parts) {
    write(thread, element, low_bits(value, width));
    value >>= width;
  }
  return step.next();
}

const Step* move_from_parts(Thread& thread, const Step& step) {
  const Operand& source = step.instruction->operands[1];
  const unsigned width = part_width(*step.instruction, source);
  uint64_t value = 0;
  for (size_t i = source.parts.size(); i-- > 0;) {
    value = value << width | low_bits(read<uint64_t>(thread, source.parts[i]), width);
  }
  write(thread, step, value);
  return step.next();
}

/// mov of values and of addresses of symbols, and between a register and its vector of parts.
Handler move(const Instruction& instruction) {
  if (instruction.operands[0].kind == Operand::Kind::kVector) return &move_to_parts;
  if (instruction.operands[1].kind == Operand::Kind::kVector) return &move_from_parts;
  return for_width(instruction, []<unsigned width>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return result<width>(thread, step, bits(thread, step, 1));
    };
  });
}

/// Returns the handler that stores Operation{}(second operand, third operand, ...).
template <unsigned operands, class Operation>
Handler logic(const Instruction& instruction) {
  return for_width(instruction, []<unsigned width>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return [&]<size_t... i>(std::index_sequence<i...>) {
        return result<width>(thread, step, Operation{}(bits(thread, step, i + 1)...));
      }
      (std::make_index_sequence<operands>());
    };
  });
}

using And = decltype([](uint64_t a, uint64_t b) { return a & b; });
using Or = decltype([](uint64_t a, uint64_t b) { return a | b; });
using Xor = decltype([](uint64_t a, uint64_t b) { return a ^ b; });
using Complement = decltype([](uint64_t a) { return ~a; });
using LogicalNot = decltype([](uint64_t a) { return uint64_t{a == 0}; });
using Select = decltype([](uint64_t a, uint64_t b, uint64_t first) {
  return (first & 1) != 0 ? a : b;
});

/// lop3: applies a Boolean function of three bits to each bit; the last operand is its truth table.
using ThreeInputLogic = decltype([](uint64_t a, uint64_t b, uint64_t c, uint64_t table) {
  uint64_t value = 0;
  for (unsigned row = 0; row < 8; ++row) {
    const uint64_t chosen = (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    value |= chosen & (0 - (table >> row & 1));
  }
  return value;
});

/// bfi: replaces `length` bits of `into`, starting at `position`, by the low bits of `field`.
using InsertField = decltype([](uint64_t field, uint64_t into, uint64_t position, uint64_t length) {
  position &= 0xff;
  const uint64_t kept = low_bits(~uint64_t{0}, length & 0xff);
  const uint64_t mask = position >= 64 ? 0 : kept << position;
  const uint64_t placed = position >= 64 ? 0 : field << position;
  return (into & ~mask) | (placed & mask);
});

/// Returns the 64-bit value {high, low} of two 32-bit operands.
uint64_t pair(uint64_t low, uint64_t high) { return high << 32 | low_bits(low, 32); }

/// shf: returns 32 bits of the 64-bit value {high, low}. The shift count wraps at 32 or is clamped
/// to 32.
template <bool left, bool wraps>
struct FunnelShift {
  uint64_t operator()(uint64_t low, uint64_t high, uint64_t asked) const {
    const uint64_t both = pair(low, high);
    const auto wanted = static_cast<uint32_t>(asked);
    const unsigned count = wraps ? wanted % 32 : std::min(wanted, 32u);
    return left ? both >> (32 - count) : both >> count;
  }
};

/// prmt: each of the result's four bytes is one of the eight bytes of {b, a}, or the replicated
/// sign bit of that byte.
using PermuteBytes = decltype([](uint64_t a, uint64_t b, uint64_t selector) {
  const uint64_t bytes = pair(a, b);
  uint64_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned choice = selector >> (4 * i) & 0xf;
    const auto byte = static_cast<uint8_t>(bytes >> (8 * (choice & 7)));
    const uint8_t sign = byte & 0x80 ? 0xff : 0;
    value |= uint64_t{choice & 8 ? sign : byte} << (8 * i);
  }
  return value;
});

Handler shift_left(const Instruction& instruction) {
  return for_width(instruction, []<unsigned width>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const auto count = read<uint32_t>(thread, step, 2);
      return result<width>(thread, step, count >= width ? 0 : bits(thread, step, 1) << count);
    };
  });
}

Handler shift_right(const Instruction& instruction) {
  return for_integer(instruction.type, []<class T>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const auto count = read<uint32_t>(thread, step, 2);
      const T value = read<T>(thread, step, 1);
      const T all_sign = std::is_signed_v<T> && value < 0 ? static_cast<T>(-1) : T(0);
      const bool out = count >= 8 * sizeof(T);
      write(thread, step, out ? all_sign : static_cast<T>(value >> count));
      return step.next();
    };
  });
}

/// bfe: extracts bits [position, position + length) of the value; signed types are sign-extended.
Handler extract_field(const Instruction& instruction) {
  return for_integer(instruction.type, []<class T>() -> Handler {
    return [](Thread& thread, const Step& step) {
      constexpr unsigned kSize = 8 * sizeof(T);
      const unsigned position = bits(thread, step, 2) & 0xff;
      const unsigned length = bits(thread, step, 3) & 0xff;
      const uint64_t value = read<std::make_unsigned_t<T>>(thread, step, 1);
      const uint64_t field = position >= kSize ? 0 : low_bits(value >> position, length);
      const unsigned top = std::min(position + length, kSize) - 1;
      const bool negative = std::is_signed_v<T> && length > 0 && (value >> top & 1) != 0;
      const unsigned known = position >= kSize ? 0 : std::min(length, kSize - position);
      return result<kSize>(thread, step,
                           negative && known < 64 ? field | ~uint64_t{0} << known : field);
    };
  });
}

/// Instructions that count bits. The result has 32 bits for every type.
template <class Operation>
Handler count_bits(const Instruction& instruction) {
  return for_width(instruction, []<unsigned width>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return result<32>(thread, step, Operation{}(low_bits(bits(thread, step, 1), width), width));
    };
  });
}
using LeadingZeros = decltype([](uint64_t value, unsigned width) {
  return static_cast<unsigned>(std::countl_zero(value)) - (64 - width);
});
using Ones = decltype([](uint64_t value, unsigned) {
  return static_cast<unsigned>(std::popcount(value));
});

Handler reverse_bits(const Instruction& instruction) {
  return for_width(instruction, []<unsigned width>() -> Handler {
    return [](Thread& thread, const Step& step) {
      uint64_t value = bits(thread, step, 1), reversed = 0;
      for (unsigned i = 0; i < width; ++i, value >>= 1) reversed = reversed << 1 | (value & 1);
      return result<width>(thread, step, reversed);
    };
  });
}

constexpr Opcode kOpcodes[] = {
    {"mov", &move},
    {"selp", &logic<3, Select>},
    {"and", &logic<2, And>},
    {"or", &logic<2, Or>},
    {"xor", &logic<2, Xor>},
    {"not", &logic<1, Complement>},
    {"cnot", &logic<1, LogicalNot>},
    {"lop3", &logic<4, ThreeInputLogic>},
    {"shl", &shift_left},
    {"shr", &shift_right},
    {"shf.l.wrap", &logic<3, FunnelShift<true, true>>},
    {"shf.l.clamp", &logic<3, FunnelShift<true, false>>},
    {"shf.r.wrap", &logic<3, FunnelShift<false, true>>},
    {"shf.r.clamp", &logic<3, FunnelShift<false, false>>},
    {"bfe", &extract_field},
    {"bfi", &logic<4, InsertField>},
    {"prmt", &logic<3, PermuteBytes>},
    {"clz", &count_bits<LeadingZeros>},
    {"popc", &count_bits<Ones>},
    {"brev", &reverse_bits},
};

}  // namespace

std::span<const Opcode> bit_opcodes() { return kOpcodes; }

Selector find_selector(const std::string& opcode) {
  static const auto selectors = [] {
    std::unordered_map<std::string_view, Selector> all;
    for (const auto opcodes :
         {arithmetic_opcodes(), conversion_opcodes(), carry_opcodes(), bit_opcodes(),
          memory_opcodes(), control_opcodes(), meeting_opcodes()}) {
      for (const auto& [name, select] : opcodes) all.emplace(name, select);
    }
    return all;
  }();
  const auto found = selectors.find(opcode);
  return found == selectors.end() ? nullptr : found->second;
}

Handler reject_instruction(const Instruction&) {
  return [](Thread& thread, const Step& step) -> const Step* {
    reject(thread, step, "instruction not supported");
  };
}

}  // namespace elbo::cuda::emulation::ptx

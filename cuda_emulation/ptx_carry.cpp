// Multi-word arithmetic: instructions with .cc write the carry flag; addc, subc and madc read it.
#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

__extension__ using Wide = unsigned __int128;

enum class Kind { kAdd, kSubtract, kMultiplyLow, kMultiplyHigh };

template <Kind kind, bool takes, bool leaves>
Handler carrying(const Instruction& instruction) {
  return for_integer(instruction.type, []<class T>() -> Handler {
    return [](Thread& thread, const Step& step) {
      using Word = std::make_unsigned_t<T>;
      const auto source = [&](size_t i) { return read<T>(thread, step, i); };
      const Wide carry = takes && thread.carry ? 1 : 0;
      constexpr unsigned kBits = 8 * sizeof(T);
      Wide sum = 0;
      if constexpr (kind == Kind::kAdd) {
        sum = Wide{static_cast<Word>(source(1))} + static_cast<Word>(source(2)) + carry;
      } else if constexpr (kind == Kind::kSubtract) {
        sum = Wide{static_cast<Word>(source(1))} - static_cast<Word>(source(2)) - carry;
      } else {
        const Wide product = static_cast<Wide>(source(1)) * static_cast<Wide>(source(2));
        const auto half =
            static_cast<Word>(kind == Kind::kMultiplyHigh ? product >> kBits : product);
        sum = Wide{half} + static_cast<Word>(source(3)) + carry;
      }
      if (leaves) thread.carry = (sum >> kBits & 1) != 0;
      write(thread, step, static_cast<Word>(sum));
      return step.next();
    };
  });
}

constexpr Opcode kOpcodes[] = {
    {"add.cc", &carrying<Kind::kAdd, false, true>},
    {"addc", &carrying<Kind::kAdd, true, false>},
    {"addc.cc", &carrying<Kind::kAdd, true, true>},
    {"sub.cc", &carrying<Kind::kSubtract, false, true>},
    {"subc", &carrying<Kind::kSubtract, true, false>},
    {"subc.cc", &carrying<Kind::kSubtract, true, true>},
    {"mad.lo.cc", &carrying<Kind::kMultiplyLow, false, true>},
    {"madc.lo", &carrying<Kind::kMultiplyLow, true, false>},
    {"madc.lo.cc", &carrying<Kind::kMultiplyLow, true, true>},
    {"mad.hi.cc", &carrying<Kind::kMultiplyHigh, false, true>},
    {"madc.hi", &carrying<Kind::kMultiplyHigh, true, false>},
    {"madc.hi.cc", &carrying<Kind::kMultiplyHigh, true, true>},
};

}  // namespace

std::span<const Opcode> carry_opcodes() { return kOpcodes; }

}  // namespace elbo::cuda::emulation::ptx

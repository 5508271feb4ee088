// Modifiers of floating-point instructions: rounding, flushing of subnormals, saturation. Sources
// that include this header are compiled with -frounding-math.
#pragma once

#include <algorithm>
#include <bit>
#include <cfenv>
#include <concepts>
#include <limits>
#include <type_traits>

#include "cuda_emulation/ptx_machine.hpp"

namespace elbo::cuda::emulation::ptx {

template <class T>
concept Real = std::floating_point<T>;

class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding) { std::fesetround(mode(rounding)); }
  ~RoundingScope() { std::fesetround(FE_TONEAREST); }

 private:
  static int mode(Rounding rounding) {
    switch (rounding) {
      case Rounding::kZero:
        return FE_TOWARDZERO;
      case Rounding::kDown:
        return FE_DOWNWARD;
      case Rounding::kUp:
        return FE_UPWARD;
      case Rounding::kNearest:
        break;
    }
    return FE_TONEAREST;
  }
};

enum class Mode {
  kPlain,    // operands and result are unchanged
  kFlush,    // subnormal operands and results become zero (.ftz)
  kGeneral,  // the instruction's modifiers are tested at run time
};

/// Returns the handler visit.operator()<mode>() for the instruction's mode.
template <class Visitor>
Handler for_mode(const Instruction& instruction, Visitor visit) {
  const bool nearest = instruction.rounding == Rounding::kNearest && !instruction.to_integral;
  if (!nearest || instruction.saturate) return visit.template operator()<Mode::kGeneral>();
  if (instruction.flush) return visit.template operator()<Mode::kFlush>();
  return visit.template operator()<Mode::kPlain>();
}

/// Returns the handler visit.operator()<T, mode>(); the mode of integers is kPlain.
template <class Visitor>
Handler for_modes(const Instruction& instruction, Visitor visit) {
  return for_number(instruction.type, [&]<class T>() -> Handler {
    if constexpr (Real<T>) {
      return for_mode(instruction,
                      [&]<Mode mode>() { return visit.template operator()<T, mode>(); });
    } else {
      return visit.template operator()<T, Mode::kPlain>();
    }
  });
}

template <class Visitor>
Handler for_real_modes(const Instruction& instruction, Visitor visit) {
  return for_real(instruction.type, [&]<class T>() -> Handler {
    return for_mode(instruction, [&]<Mode mode>() { return visit.template operator()<T, mode>(); });
  });
}

template <Mode mode, class T>
T flushed(const Step& step, T value) {
  if constexpr (mode != Mode::kPlain && Real<T>) {
    if (mode == Mode::kGeneral && !step.instruction->flush) return value;
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr Bits kSign = std::bit_cast<Bits>(T(-0.0));
    constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
    const auto bits = std::bit_cast<Bits>(value);
    return std::bit_cast<T>((bits & kExponent) == 0 ? bits & kSign : bits);
  }
  return value;
}

template <class T, Mode mode>
T source(const Thread& thread, const Step& step, size_t index) {
  return flushed<mode>(step, read<T>(thread, step, index));
}

template <Mode mode, class T>
const Step* result(Thread& thread, const Step& step, T value) {
  if constexpr (mode != Mode::kPlain && Real<T>) {
    value = flushed<mode>(step, value);
    if (mode == Mode::kGeneral && step.instruction->saturate) {
      value = value > T(0) ? std::min(value, T(1)) : T(0);  // NaN becomes 0
    }
  }
  write(thread, step, value);
  return step.next();
}

/// Evaluates a floating-point expression in the instruction's rounding mode.
template <Mode mode, class Operation, class... T>
auto rounded(const Step& step, Operation operation, T... arguments) {
  if (mode != Mode::kGeneral || step.instruction->rounding == Rounding::kNearest) {
    return operation(arguments...);
  }
  const RoundingScope scope(step.instruction->rounding);
  const auto hidden = [](auto value) {  // keeps the evaluation inside the scope
    volatile auto copy = value;
    return copy;
  };
  return hidden(operation(hidden(arguments)...));
}

inline const Step* reject_saturation(Thread& thread, const Step& step) {
  reject(thread, step, "integer saturation not supported");
}

}  // namespace elbo::cuda::emulation::ptx

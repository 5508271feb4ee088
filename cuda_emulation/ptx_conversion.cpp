// Comparisons and numeric conversions. Compiled with -frounding-math, like ptx_arithmetic.cpp.
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

#include "cuda_emulation/ptx_modes.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"
#include "cuda_emulation/tensor_core.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

/// Returns visit.operator()<Compare>(), with `Compare` the comparison's function object.
template <class Visitor>
Handler for_comparison(Comparison comparison, Visitor visit) {
  switch (comparison) {
    case Comparison::kEqual:
      return visit.template operator()<std::equal_to<>>();
    case Comparison::kNotEqual:
      return visit.template operator()<std::not_equal_to<>>();
    case Comparison::kLess:
      return visit.template operator()<std::less<>>();
    case Comparison::kLessEqual:
      return visit.template operator()<std::less_equal<>>();
    case Comparison::kGreater:
      return visit.template operator()<std::greater<>>();
    case Comparison::kGreaterEqual:
      break;
  }
  return visit.template operator()<std::greater_equal<>>();
}

template <class Compare, class T>
bool compare(const Step& step, T a, T b) {
  if constexpr (Real<T>) {
    const NanRule rule = step.instruction->nan_rule;
    const bool nan = std::isnan(a) || std::isnan(b);
    if (rule == NanRule::kTestNan) return nan;
    if (rule == NanRule::kTestNumber) return !nan;
    if (nan) return rule == NanRule::kTrue;
  }
  return Compare{}(a, b);
}

bool combined(const Thread& thread, const Instruction& instruction, bool value) {
  const bool other = read<bool>(thread, instruction.operands[3]);
  if (instruction.combination == Combination::kAnd) return value && other;
  if (instruction.combination == Combination::kOr) return value || other;
  return value != other;
}

Handler set_predicate(const Instruction& instruction) {
  return for_modes(instruction, [&]<class T, Mode mode>() -> Handler {
    return for_comparison(instruction.comparison, [&]<class Compare>() -> Handler {
      if (instruction.combination == Combination::kNone) {
        return [](Thread& thread, const Step& step) {
          const bool holds = compare<Compare>(step, source<T, mode>(thread, step, 1),
                                              source<T, mode>(thread, step, 2));
          write(thread, step, holds);
          thread.slot(step.other) = !holds;
          return step.next();
        };
      }
      return [](Thread& thread, const Step& step) {
        const bool holds = compare<Compare>(step, source<T, mode>(thread, step, 1),
                                            source<T, mode>(thread, step, 2));
        write(thread, step, combined(thread, *step.instruction, holds));
        thread.slot(step.other) = combined(thread, *step.instruction, !holds);
        return step.next();
      };
    });
  });
}

template <Real Source>
Source to_integral(const Step& step, Source value) {
  switch (step.instruction->rounding) {
    case Rounding::kZero:
      return std::trunc(value);
    case Rounding::kDown:
      return std::floor(value);
    case Rounding::kUp:
      return std::ceil(value);
    case Rounding::kNearest:
      break;
  }
  return std::nearbyint(value);
}

/// Converts to an integer. Values out of range become the nearest bound, NaN becomes 0.
template <std::integral Target, Real Source>
Target clamp_to(Source value) {
  if (std::isnan(value)) return 0;
  const Source past_end = std::ldexp(Source(1), std::numeric_limits<Target>::digits);
  if (value >= past_end) return std::numeric_limits<Target>::max();
  const Source begin = std::is_signed_v<Target> ? -past_end : Source(0);
  if (value < begin) return std::numeric_limits<Target>::min();
  return static_cast<Target>(value);
}

template <class Target, Mode mode, class Source>
Target converted(const Step& step, Source value) {
  if constexpr (std::integral<Target> && Real<Source>) {
    return clamp_to<Target>(to_integral(step, value));
  } else if constexpr (std::integral<Target>) {
    return static_cast<Target>(value);
  } else {
    if constexpr (mode == Mode::kGeneral && std::same_as<Target, Source>) {
      if (step.instruction->to_integral) return to_integral(step, value);
    }
    return rounded<mode>(
        step, [](Source x) { return static_cast<Target>(x); }, value);
  }
}

Handler convert(const Instruction& instruction) {
  return for_number(instruction.type, [&]<class Target>() -> Handler {
    return for_number(instruction.source_type, [&]<class Source>() -> Handler {
      const auto make = []<Mode mode>() -> Handler {
        return [](Thread& thread, const Step& step) {
          const Source value = source<Source, mode>(thread, step, 1);
          return result<mode>(thread, step, converted<Target, mode>(step, value));
        };
      };
      if constexpr (std::integral<Target> && std::integral<Source>) {
        return instruction.saturate ? &reject_saturation : make.template operator()<Mode::kPlain>();
      } else {
        return for_mode(instruction, make);
      }
    });
  });
}

const Step* convert_to_tf32(Thread& thread, const Step& step) {
  write(thread, step, to_tf32(read<float>(thread, step, 1)));
  return step.next();
}

constexpr Opcode kOpcodes[] = {
    {"setp", &set_predicate},
    {"cvt", &convert},
    {"cvt.rna.tf32", &always<&convert_to_tf32>},
};

}  // namespace

std::span<const Opcode> conversion_opcodes() { return kOpcodes; }

}  // namespace elbo::cuda::emulation::ptx

// Instructions on numbers. Compiled with -frounding-math: .rz, .rm and .rp set the host's mode.
#include <cfenv>
#include <cmath>
#include <concepts>
#include <limits>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"
#include "cuda_emulation/tensor_core.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

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

template <class T>
T flushed(const Instruction& instruction, T value) {
  if constexpr (Real<T>) {
    if (instruction.flush && std::fpclassify(value) == FP_SUBNORMAL) {
      return std::copysign(T(0), value);
    }
  }
  return value;
}

template <class T>
T source(const Thread& thread, const Instruction& instruction, size_t index) {
  return flushed(instruction, read<T>(thread, instruction.operands[index]));
}

template <class T>
void result(Thread& thread, const Instruction& instruction, T value) {
  if constexpr (Real<T>) {
    value = flushed(instruction, value);
    if (instruction.saturate) value = value > T(0) ? std::min(value, T(1)) : T(0);  // NaN: 0
  }
  write(thread, instruction.operands[0], value);
}

/// Evaluates a real expression in the instruction's rounding mode.
template <class Operation, class... T>
auto rounded(const Instruction& instruction, Operation operation, T... arguments) {
  if (instruction.rounding == Rounding::kNearest) return operation(arguments...);
  const RoundingScope scope(instruction.rounding);
  const auto hidden = [](auto value) {  // keeps the compiler from evaluating before the scope
    volatile auto copy = value;
    return copy;
  };
  return hidden(operation(hidden(arguments)...));
}

/// Integers wrap: `operation` sees them sign- or zero-extended to 64 bits.
template <class T, class Operation, class... Arguments>
T apply(const Instruction& instruction, Operation operation, Arguments... arguments) {
  if constexpr (Real<T>) {
    return rounded(instruction, operation, arguments...);
  } else {
    return static_cast<T>(operation(static_cast<uint64_t>(arguments)...));
  }
}

template <class Operation>
void wrapping(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    if constexpr (!Real<T>) {
      if (instruction.saturate) reject(thread, instruction, "integer saturation not supported");
    }
    result(thread, instruction,
           apply<T>(instruction, Operation{}, source<T>(thread, instruction, 1),
                    source<T>(thread, instruction, 2)));
  });
}

using Add = decltype([](auto a, auto b) { return a + b; });
using Subtract = decltype([](auto a, auto b) { return a - b; });
using Multiply = decltype([](auto a, auto b) { return a * b; });

void fused_multiply_add(Thread& thread, const Instruction& instruction) {
  with_real(thread, instruction, instruction.type, [&]<class T>() {
    const auto fma = [](T a, T b, T c) { return std::fma(a, b, c); };
    result(thread, instruction,
           rounded(instruction, fma, source<T>(thread, instruction, 1),
                   source<T>(thread, instruction, 2), source<T>(thread, instruction, 3)));
  });
}

void divide(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    const T a = source<T>(thread, instruction, 1), b = source<T>(thread, instruction, 2);
    if constexpr (Real<T>) {
      result(thread, instruction,
             rounded(
                 instruction, [](T x, T y) { return x / y; }, a, b));
    } else {
      if (b == 0) reject(thread, instruction, "division by zero");
      const bool wraps = std::is_signed_v<T> && b == T(-1);
      result(thread, instruction, wraps ? static_cast<T>(-static_cast<uint64_t>(a)) : T(a / b));
    }
  });
}

void remainder(Thread& thread, const Instruction& instruction) {
  with_integer(thread, instruction, instruction.type, [&]<class T>() {
    const T a = source<T>(thread, instruction, 1), b = source<T>(thread, instruction, 2);
    if (b == 0) reject(thread, instruction, "division by zero");
    const bool wraps = std::is_signed_v<T> && b == T(-1);
    result(thread, instruction, wraps ? T(0) : T(a % b));
  });
}

__extension__ using Product = __int128;

enum class Half { kLow, kHigh, kWide };

/// mul and mad of integers: the low or high half of the product, or all of it.
template <Half half, bool adds>
void multiply_half(Thread& thread, const Instruction& instruction) {
  with_integer(thread, instruction, instruction.type, [&]<class T>() {
    const Product product = static_cast<Product>(source<T>(thread, instruction, 1)) *
                            static_cast<Product>(source<T>(thread, instruction, 2));
    const auto low = static_cast<uint64_t>(product);
    const auto shifted = static_cast<uint64_t>(product >> (8 * sizeof(T)));
    const uint64_t addend = adds ? read_bits(thread, instruction.operands[3]) : 0;
    const uint64_t value = (half == Half::kHigh ? shifted : low) + addend;
    const size_t bytes = half == Half::kWide ? 2 * sizeof(T) : sizeof(T);
    const uint64_t mask = bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * bytes)) - 1;
    write(thread, instruction.operands[0], value & mask);
  });
}

void negate(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    const T value = source<T>(thread, instruction, 1);
    if constexpr (Real<T>) {
      result(thread, instruction, -value);
    } else {
      result(thread, instruction, static_cast<T>(-static_cast<uint64_t>(value)));
    }
  });
}

void absolute(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    const T value = source<T>(thread, instruction, 1);
    if constexpr (Real<T>) {
      result(thread, instruction, std::fabs(value));
    } else {
      result(thread, instruction,
             value < 0 ? static_cast<T>(-static_cast<uint64_t>(value)) : value);
    }
  });
}

/// The lesser or greater; of a number and NaN the number, of -0 and +0 by sign.
template <bool greater, bool propagates_nan>
void extremum(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    const T a = source<T>(thread, instruction, 1), b = source<T>(thread, instruction, 2);
    if constexpr (Real<T>) {
      if (std::isnan(a) || std::isnan(b)) {
        const bool both = std::isnan(a) && std::isnan(b);
        const T nan = std::numeric_limits<T>::quiet_NaN();
        return result(thread, instruction, both || propagates_nan ? nan : std::isnan(a) ? b : a);
      }
      if (a == b) return result(thread, instruction, std::signbit(a) == greater ? b : a);
    }
    result(thread, instruction, (a < b) == greater ? b : a);
  });
}

/// Functions of one real argument. The hardware's approximations (.approx) are computed exactly
/// here: results agree with a GPU's to the documented error of the instruction, not to the bit.
template <class Function>
void unary(Thread& thread, const Instruction& instruction) {
  with_real(thread, instruction, instruction.type, [&]<class T>() {
    result(thread, instruction,
           rounded(instruction, Function{}, source<T>(thread, instruction, 1)));
  });
}

using Reciprocal = decltype([](auto x) { return decltype(x)(1) / x; });
using SquareRoot = decltype([](auto x) { return std::sqrt(x); });
using ReciprocalRoot = decltype([](auto x) { return decltype(x)(1) / std::sqrt(x); });
using PowerOfTwo = decltype([](auto x) { return std::exp2(x); });
using Log2 = decltype([](auto x) { return std::log2(x); });
using Sine = decltype([](auto x) { return std::sin(x); });
using Cosine = decltype([](auto x) { return std::cos(x); });
using Tanh = decltype([](auto x) { return std::tanh(x); });

void copy_sign(Thread& thread, const Instruction& instruction) {
  with_real(thread, instruction, instruction.type, [&]<class T>() {
    result(thread, instruction,
           std::copysign(source<T>(thread, instruction, 2), source<T>(thread, instruction, 1)));
  });
}

template <class T>
bool compare(const Instruction& instruction, T a, T b) {
  if constexpr (Real<T>) {
    const bool nan = std::isnan(a) || std::isnan(b);
    if (instruction.nan_rule == NanRule::kTestNan) return nan;
    if (instruction.nan_rule == NanRule::kTestNumber) return !nan;
    if (nan) return instruction.nan_rule == NanRule::kTrue;
  }
  switch (instruction.comparison) {
    case Comparison::kEqual:
      return a == b;
    case Comparison::kNotEqual:
      return a != b;
    case Comparison::kLess:
      return a < b;
    case Comparison::kLessEqual:
      return a <= b;
    case Comparison::kGreater:
      return a > b;
    case Comparison::kGreaterEqual:
      return a >= b;
  }
  return false;
}

void set_predicate(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    const bool holds =
        compare(instruction, source<T>(thread, instruction, 1), source<T>(thread, instruction, 2));
    const auto combined = [&](bool value) {
      if (instruction.combination == Combination::kNone) return value;
      const bool other = read<bool>(thread, instruction.operands[3]);
      if (instruction.combination == Combination::kAnd) return value && other;
      if (instruction.combination == Combination::kOr) return value || other;
      return value != other;
    };
    const Operand& target = instruction.operands[0];
    write(thread, target, combined(holds));
    if (target.predicate >= 0) {
      thread.reg(target.predicate) = combined(!holds);
    }
  });
}

template <Real Source>
Source to_integral(const Instruction& instruction, Source value) {
  switch (instruction.rounding) {
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

/// Out of range goes to the nearest bound, NaN to 0.
template <std::integral Target, Real Source>
Target clamp_to(Source value) {
  if (std::isnan(value)) return 0;
  const Source past_end = std::ldexp(Source(1), std::numeric_limits<Target>::digits);
  if (value >= past_end) return std::numeric_limits<Target>::max();
  const Source begin = std::is_signed_v<Target> ? -past_end : Source(0);
  if (value < begin) return std::numeric_limits<Target>::min();
  return static_cast<Target>(value);
}

template <class Target, class Source>
Target converted(const Thread& thread, const Instruction& instruction, Source value) {
  if constexpr (std::integral<Target> && Real<Source>) {
    return clamp_to<Target>(to_integral(instruction, value));
  } else if constexpr (std::integral<Target>) {
    if (instruction.saturate) reject(thread, instruction, "integer saturation not supported");
    return static_cast<Target>(value);
  } else {
    if constexpr (std::same_as<Target, Source>) {
      if (instruction.to_integral) return to_integral(instruction, value);
    }
    return rounded(
        instruction, [](Source x) { return static_cast<Target>(x); }, value);
  }
}

void convert(Thread& thread, const Instruction& instruction) {
  with_number(thread, instruction, instruction.type, [&]<class Target>() {
    with_number(thread, instruction, instruction.source_type, [&]<class Source>() {
      const Source value = source<Source>(thread, instruction, 1);
      result(thread, instruction, converted<Target>(thread, instruction, value));
    });
  });
}

void convert_to_tf32(Thread& thread, const Instruction& instruction) {
  write(thread, instruction.operands[0], to_tf32(read<float>(thread, instruction.operands[1])));
}

constexpr Opcode kOpcodes[] = {
    {"add", &wrapping<Add>},
    {"sub", &wrapping<Subtract>},
    {"mul", &wrapping<Multiply>},
    {"mul.lo", &multiply_half<Half::kLow, false>},
    {"mul.hi", &multiply_half<Half::kHigh, false>},
    {"mul.wide", &multiply_half<Half::kWide, false>},
    {"mad.lo", &multiply_half<Half::kLow, true>},
    {"mad.hi", &multiply_half<Half::kHigh, true>},
    {"mad.wide", &multiply_half<Half::kWide, true>},
    {"mad", &fused_multiply_add},
    {"fma", &fused_multiply_add},
    {"div", &divide},
    {"rem", &remainder},
    {"neg", &negate},
    {"abs", &absolute},
    {"min", &extremum<false, false>},
    {"max", &extremum<true, false>},
    {"min.NaN", &extremum<false, true>},
    {"max.NaN", &extremum<true, true>},
    {"rcp", &unary<Reciprocal>},
    {"sqrt", &unary<SquareRoot>},
    {"rsqrt", &unary<ReciprocalRoot>},
    {"ex2", &unary<PowerOfTwo>},
    {"lg2", &unary<Log2>},
    {"sin", &unary<Sine>},
    {"cos", &unary<Cosine>},
    {"tanh", &unary<Tanh>},
    {"copysign", &copy_sign},
    {"setp", &set_predicate},
    {"cvt", &convert},
    {"cvt.rna.tf32", &convert_to_tf32},
};

}  // namespace

std::span<const Opcode> arithmetic_opcodes() { return kOpcodes; }

}  // namespace elbo::cuda::emulation::ptx

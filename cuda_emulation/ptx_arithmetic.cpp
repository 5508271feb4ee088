// Arithmetic instructions. Compiled with -frounding-math: .rz, .rm and .rp set the host's rounding
// mode.
#include <cmath>
#include <limits>
#include <type_traits>

#include "cuda_emulation/ptx_modes.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

/// Returns the handler of an operation on two operands. Integers wrap: `Operation` receives them
/// sign- or zero-extended to 64 bits.
template <class Operation>
Handler wrapping(const Instruction& instruction) {
  return for_modes(instruction, [&]<class T, Mode mode>() -> Handler {
    if (std::is_integral_v<T> && instruction.saturate) return &reject_saturation;
    return [](Thread& thread, const Step& step) {
      const T a = source<T, mode>(thread, step, 1), b = source<T, mode>(thread, step, 2);
      if constexpr (Real<T>) {
        return result<mode>(thread, step, rounded<mode>(step, Operation{}, a, b));
      } else {
        return result<mode>(
            thread, step,
            static_cast<T>(Operation{}(static_cast<uint64_t>(a), static_cast<uint64_t>(b))));
      }
    };
  });
}

using Add = decltype([](auto a, auto b) { return a + b; });
using Subtract = decltype([](auto a, auto b) { return a - b; });
using Multiply = decltype([](auto a, auto b) { return a * b; });

Handler fused_multiply_add(const Instruction& instruction) {
  return for_real_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const auto fma = [](T a, T b, T c) { return std::fma(a, b, c); };
      return result<mode>(
          thread, step,
          rounded<mode>(step, fma, source<T, mode>(thread, step, 1),
                        source<T, mode>(thread, step, 2), source<T, mode>(thread, step, 3)));
    };
  });
}

Handler divide(const Instruction& instruction) {
  return for_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const T a = source<T, mode>(thread, step, 1), b = source<T, mode>(thread, step, 2);
      if constexpr (Real<T>) {
        const auto quotient = [](T x, T y) { return x / y; };
        return result<mode>(thread, step, rounded<mode>(step, quotient, a, b));
      } else {
        if (b == 0) reject(thread, step, "division by zero");
        const bool wraps = std::is_signed_v<T> && b == T(-1);
        return result<mode>(thread, step,
                            wraps ? static_cast<T>(-static_cast<uint64_t>(a)) : T(a / b));
      }
    };
  });
}

Handler remainder(const Instruction& instruction) {
  return for_integer(instruction.type, []<class T>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const T a = read<T>(thread, step, 1), b = read<T>(thread, step, 2);
      if (b == 0) reject(thread, step, "division by zero");
      const bool wraps = std::is_signed_v<T> && b == T(-1);
      write(thread, step, wraps ? T(0) : T(a % b));
      return step.next();
    };
  });
}

__extension__ using WideSigned = __int128;
__extension__ using WideUnsigned = unsigned __int128;
/// An integer wide enough for the product of two values of type T.
template <class T>
using Product =
    std::conditional_t<std::is_signed_v<T>, std::conditional_t<sizeof(T) == 8, WideSigned, int64_t>,
                       std::conditional_t<sizeof(T) == 8, WideUnsigned, uint64_t>>;

enum class Half { kLow, kHigh, kWide };

/// mul and mad of integers: use the low half, the high half or the full product.
template <Half half, bool adds>
Handler multiply_half(const Instruction& instruction) {
  return for_integer(instruction.type, []<class T>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const Product<T> product = static_cast<Product<T>>(read<T>(thread, step, 1)) *
                                 static_cast<Product<T>>(read<T>(thread, step, 2));
      const auto low = static_cast<uint64_t>(product);
      const auto shifted = static_cast<uint64_t>(product >> (8 * sizeof(T)));
      const uint64_t addend = adds ? read<uint64_t>(thread, step, 3) : 0;
      const uint64_t value = (half == Half::kHigh ? shifted : low) + addend;
      constexpr size_t kBytes = half == Half::kWide ? 2 * sizeof(T) : sizeof(T);
      constexpr uint64_t kMask =
          kBytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * kBytes % 64)) - 1;
      write(thread, step, value & kMask);
      return step.next();
    };
  });
}

Handler negate(const Instruction& instruction) {
  return for_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const T value = source<T, mode>(thread, step, 1);
      if constexpr (Real<T>) {
        return result<mode>(thread, step, -value);
      } else {
        return result<mode>(thread, step, static_cast<T>(-static_cast<uint64_t>(value)));
      }
    };
  });
}

Handler absolute(const Instruction& instruction) {
  return for_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      const T value = source<T, mode>(thread, step, 1);
      if constexpr (Real<T>) {
        return result<mode>(thread, step, std::fabs(value));
      } else {
        return result<mode>(thread, step,
                            value < 0 ? static_cast<T>(-static_cast<uint64_t>(value)) : value);
      }
    };
  });
}

/// Returns the minimum or maximum. If one operand is NaN, returns the other one, or NaN if
/// `propagates_nan`. -0 is less than +0.
template <bool greater, bool propagates_nan, class T>
T extremum_of(T a, T b) {
  if constexpr (Real<T>) {
    if (std::isnan(a) || std::isnan(b)) {
      const bool both = std::isnan(a) && std::isnan(b);
      const T nan = std::numeric_limits<T>::quiet_NaN();
      return both || propagates_nan ? nan : std::isnan(a) ? b : a;
    }
    if (a == b) return std::signbit(a) == greater ? b : a;
  }
  return (a < b) == greater ? b : a;
}

template <bool greater, bool propagates_nan>
Handler extremum(const Instruction& instruction) {
  return for_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return result<mode>(thread, step,
                          extremum_of<greater, propagates_nan>(source<T, mode>(thread, step, 1),
                                                               source<T, mode>(thread, step, 2)));
    };
  });
}

/// Functions of one floating-point operand. The hardware's approximations (.approx) are computed
/// exactly: results agree with a GPU's to the documented error of the instruction, not bitwise.
template <class Function>
Handler unary(const Instruction& instruction) {
  return for_real_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return result<mode>(thread, step,
                          rounded<mode>(step, Function{}, source<T, mode>(thread, step, 1)));
    };
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

Handler copy_sign(const Instruction& instruction) {
  return for_real_modes(instruction, []<class T, Mode mode>() -> Handler {
    return [](Thread& thread, const Step& step) {
      return result<mode>(
          thread, step,
          std::copysign(source<T, mode>(thread, step, 2), source<T, mode>(thread, step, 1)));
    };
  });
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
};

}  // namespace

std::span<const Opcode> arithmetic_opcodes() { return kOpcodes; }

}  // namespace elbo::cuda::emulation::ptx

// Tests the emulated tensor cores, asynchronous copies and tickets: correct kernels agree with
// plain references on every execution, and each planted bug is detected.
#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cuda_emulation/executions.hpp"
#include "cuda_emulation/sample_kernels.cuh"
#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation {
namespace {

using namespace sample;  // NOLINT: the kernels under test

constexpr int kRows = 16, kColumns = 8;

/// Returns the message of the KernelError that `run` throws, or an empty string if it succeeds.
std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const KernelError& error) {
    return error.what();
  }
  return {};
}

/// Returns the value that tensor cores read from an operand's bits.
double operand_value(uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000u); }
double operand_value(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

template <class Element>
Element operand_bits(float value) {
  return static_cast<Element>(std::bit_cast<uint32_t>(value) >> (32 - 8 * sizeof(Element)));
}

template <class Element>
struct Product {
  explicit Product(int terms) : depth(terms) {
    a.resize(static_cast<size_t>(kRows * depth));
    b.resize(static_cast<size_t>(depth * kColumns));
  }

  template <class Draw>
  void fill(Draw draw) {
    for (Element& element : a) element = operand_bits<Element>(draw());
    for (Element& element : b) element = operand_bits<Element>(draw());
    for (float& element : d) element = draw();
  }

  template <Bug bug = Bug::kNone>
  std::vector<float> run() const {
    std::vector<float> result = d;
    launch(mma_kernel<Element, bug>, 1, kWarpSize, 0, nullptr,
           {a.data(), b.data(), result.data(), depth});
    return result;
  }

  /// An element of d + a b, and the sum of its absolute terms.
  struct Expected {
    double sum, magnitude;
  };
  Expected expected(int row, int column) const {
    const double start = d[static_cast<size_t>(row * kColumns + column)];
    Expected result{start, std::fabs(start)};
    for (int k = 0; k < depth; ++k) {
      const double term = operand_value(a[static_cast<size_t>(row * depth + k)]) *
                          operand_value(b[static_cast<size_t>(k * kColumns + column)]);
      result.sum += term;
      result.magnitude += std::fabs(term);
    }
    return result;
  }

  int depth;
  std::vector<Element> a, b;
  std::vector<float> d = std::vector<float>(static_cast<size_t>(kRows * kColumns));
};

/// Products and partial sums of small whole numbers are exact, whatever the order of additions.
template <class Element>
void expect_exact_product() {
  for (const int depth : {16, 32, 80}) {
    Product<Element> product(depth);
    int next = 0;
    product.fill([&] { return static_cast<float>(next++ * 7 % 31 - 15); });
    const auto result = product.run();
    for (int i = 0; i < kRows * kColumns; ++i) {
      EXPECT_EQ(result[static_cast<size_t>(i)], product.expected(i / kColumns, i % kColumns).sum)
          << "element " << i << " of depth " << depth;
    }
  }
}

/// One mma rounds once, by at most 2^-24 of a partial sum. The sum of magnitudes bounds the partial
/// sum except for earlier roundings; those and the additions in double add less than one rounding.
template <class Element>
void expect_random_product() {
  constexpr int kTermsPerMma = sizeof(Element) == 2 ? 16 : 8;
  std::mt19937 engine(7);
  std::normal_distribution<float> normal;
  for (const int depth : {16, 48, 256}) {
    Product<Element> product(depth);
    product.fill([&] { return normal(engine); });
    const auto result = product.run();
    const double roundings = depth / kTermsPerMma + 1;
    for (int i = 0; i < kRows * kColumns; ++i) {
      const auto [sum, magnitude] = product.expected(i / kColumns, i % kColumns);
      EXPECT_NEAR(result[static_cast<size_t>(i)], sum, roundings * std::ldexp(magnitude, -24))
          << "element " << i << " of depth " << depth;
    }
  }
}

class WarpKernels : public EmulatedTest {};

TEST_P(WarpKernels, MultiplyWholeNumbersExactlyInTf32) { expect_exact_product<uint32_t>(); }
TEST_P(WarpKernels, MultiplyWholeNumbersExactlyInBf16) { expect_exact_product<uint16_t>(); }
TEST_P(WarpKernels, MultiplyRandomNumbersInTf32) { expect_random_product<uint32_t>(); }
TEST_P(WarpKernels, MultiplyRandomNumbersInBf16) { expect_random_product<uint16_t>(); }

TEST_P(WarpKernels, RoundOncePerMma) {
  // 1 + 8 * 2^-24. Rounding after each term would leave 1, because every tie rounds to even.
  Product<uint32_t> product(8);
  product.fill([] { return std::ldexp(1.0f, -12); });
  std::fill(product.d.begin(), product.d.end(), 1.0f);
  for (const float element : product.run()) EXPECT_EQ(element, 1.0f + std::ldexp(1.0f, -21));
}

TEST_P(WarpKernels, KeepSubnormalsIfTheHostFlushesThem) {
  constexpr unsigned kFlush = 0x8040;  // flush subnormal results and operands to zero
  const float subnormal = std::ldexp(1.0f, -130);
  Product<uint32_t> product(8);
  product.fill([] { return 1.0f; });
  std::fill(product.a.begin(), product.a.end(), operand_bits<uint32_t>(subnormal));
  std::fill(product.d.begin(), product.d.end(), 0.0f);
  const unsigned control = _mm_getcsr();
  _mm_setcsr(control | kFlush);
  const auto result = product.run();
  _mm_setcsr(control);
  for (const float element : result) EXPECT_EQ(element, 8 * subnormal);
}

TEST_P(WarpKernels, CatchDivergentMma) {
  const Product<uint32_t> tf32(8);
  const Product<uint16_t> bf16(16);
  for (const std::string& error : {error_of([&] { tf32.run<Bug::kDivergentMma>(); }),
                                   error_of([&] { bf16.run<Bug::kDivergentMma>(); })}) {
    EXPECT_NE(error.find("lanes of one mask meet in different"), std::string::npos) << error;
  }
}

TEST_P(WarpKernels, CatchMmaWithoutAllLanes) {
  const Product<uint32_t> product(8);
  const std::string error = error_of([&] { product.run<Bug::kExitBeforeMma>(); });
  EXPECT_NE(error.find("mma in which lane 31 does not take part"), std::string::npos) << error;
}

/// Rounds to 10 mantissa bits by dividing by the unit in the last place. std::round rounds ties
/// away from zero, as cvt.rna does.
float reference_tf32(float x) {
  if (!std::isfinite(x) || x == 0.0f) return x;
  const int smallest = std::numeric_limits<float>::min_exponent - 1;
  const int unit = std::max(std::ilogb(x), smallest) - 10;
  const double rounded = std::ldexp(std::round(std::ldexp(double{x}, -unit)), unit);
  return static_cast<float>(rounded);
}

TEST_P(WarpKernels, RoundToTf32) {
  constexpr float kUnit = 1.0f / 1024, kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMax = std::numeric_limits<float>::max();
  const float before_tie = std::nextafter(1 + kUnit / 2, 0.0f);
  // Half a unit above the largest tf32, 2^128 - 2^117: the smallest value that rounds to infinity.
  const float overflow_tie = std::bit_cast<float>(0x7f7ff000u);
  std::vector<float> x = {0.0f,
                          1.0f,
                          1 + kUnit,
                          1 + kUnit / 2,
                          before_tie,
                          1 + 3 * kUnit / 2,
                          kMax,
                          overflow_tie,
                          std::nextafter(overflow_tie, 0.0f),
                          kInfinity,
                          kNan,
                          std::bit_cast<float>(0x7f800001u),  // a NaN with only low bits set
                          std::numeric_limits<float>::min(),
                          std::numeric_limits<float>::denorm_min()};
  for (const uint32_t bits : {0x0fffu, 0x1000u, 0x1001u, 0x3000u, 0x7ff000u, 0x7fffffu}) {
    x.push_back(std::bit_cast<float>(bits));  // subnormals around their ties
  }
  std::mt19937 engine(11);
  for (int i = 0; i < 1000; ++i) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(engine())));
  for (size_t i = 0, count = x.size(); i < count; ++i) x.push_back(-x[i]);

  std::vector<uint32_t> bits(x.size(), 1);
  launch(tf32_kernel<Bug::kNone>, (static_cast<unsigned>(x.size()) + kBlock - 1) / kBlock, kBlock,
         0, nullptr, {x.data(), bits.data(), static_cast<int>(x.size())});
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(bits[i] & 0x1fffu, 0u) << x[i];
    if (std::isnan(x[i])) {
      EXPECT_TRUE(std::isnan(std::bit_cast<float>(bits[i])));
    } else {
      EXPECT_EQ(bits[i], std::bit_cast<uint32_t>(reference_tf32(x[i]))) << x[i];
    }
  }
}

template <int width, Bug bug = Bug::kNone>
std::vector<float> staged_copy(const std::vector<float>& source) {
  std::vector<float> target(2 * kBlock * width, -1.0f);
  launch(staged_copy_kernel<width, bug>, 1, kBlock, target.size() * sizeof(float), nullptr,
         {source.data(), target.data(), static_cast<int>(source.size())});
  return target;
}

std::vector<float> counted_from_one(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i + 1);
  return values;
}

/// Copies from sources of several lengths, multiples of `width`, and expects zeros after the end.
template <int width>
void expect_zero_fill() {
  for (const size_t present : {0u, 1u, 63u, 64u, 65u, 127u, 128u}) {
    const auto source = counted_from_one(present * width);
    std::vector<float> expected = source;
    expected.resize(2 * kBlock * width);
    EXPECT_EQ(staged_copy<width>(source), expected) << present << " of " << 2 * kBlock;
  }
}

TEST_P(WarpKernels, ZeroFillAsynchronousCopies16) { expect_zero_fill<4>(); }
TEST_P(WarpKernels, ZeroFillAsynchronousCopies4) { expect_zero_fill<1>(); }

TEST_P(WarpKernels, CatchMissingWaitForCopies) {
  const auto source = counted_from_one(2 * kBlock * 4);
  const std::string error = error_of([&] { staged_copy<4, Bug::kMissingWait>(source); });
  EXPECT_NE(error.find("2 asynchronous copies never waited for"), std::string::npos) << error;
}

TEST_P(WarpKernels, PoisonCopiesUntilTheWait) {
  const auto source = counted_from_one(2 * kBlock * 4);
  const auto target = staged_copy<4, Bug::kLateWait>(source);
  for (size_t i = 0; i < target.size(); ++i) {
    if (i < target.size() / 2) {
      EXPECT_EQ(target[i], source[i]) << i;
    } else {
      EXPECT_TRUE(std::isnan(target[i])) << i;
    }
  }
}

TEST_P(WarpKernels, PoisonCopiesOfOtherThreadsUntilTheBarrier) {
  if (thread_sanitizer()) GTEST_SKIP() << "the race check reports it, see DetectsRaces";
  const auto source = counted_from_one(2 * kBlock * 4);
  const auto target = staged_copy<4, Bug::kMissingBarrier>(source);
  EXPECT_TRUE(std::any_of(target.begin(), target.end(), [](float x) { return std::isnan(x); }));
}

TEST_P(WarpKernels, CatchMisalignedAsynchronousCopy) {
  const auto source = counted_from_one(2 * kBlock * 4 + 1);
  std::vector<float> target(2 * kBlock * 4);
  for (const int count : {0, static_cast<int>(target.size())}) {  // also if nothing is read
    const std::string error = error_of([&] {
      launch(staged_copy_kernel<4, Bug::kNone>, 1, kBlock, target.size() * sizeof(float), nullptr,
             {source.data() + 1, target.data(), count});
    });
    EXPECT_NE(error.find("misaligned"), std::string::npos) << error;
  }
}

TEST_P(WarpKernels, TakeEveryTicketOnce) {
  constexpr unsigned kBlocks = 37;
  unsigned counter = 0, last = 0;
  std::vector<unsigned> tickets(kBlocks, kBlocks), expected(kBlocks);
  launch(ticket_kernel<Bug::kNone>, kBlocks, kBlock, 0, nullptr, {&counter, tickets.data(), &last});
  for (unsigned i = 0; i < kBlocks; ++i) expected[i] = i;
  std::sort(tickets.begin(), tickets.end());
  EXPECT_EQ(tickets, expected);
  EXPECT_EQ(counter, kBlocks);
  EXPECT_EQ(last, 1u);
}

INSTANTIATE_TEST_SUITE_P(Emulated, WarpKernels, testing::ValuesIn(executions()), execution_name);

class WarpFibers : public EmulatedTest {};

TEST_P(WarpFibers, CatchAsynchronousCopyToGlobalMemory) {
  const auto source = counted_from_one(2 * kBlock * 4);
  const std::string error = error_of([&] { staged_copy<4, Bug::kCopyToGlobal>(source); });
  EXPECT_NE(error.find("copy to memory that is not shared"), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(Emulated, WarpFibers, testing::ValuesIn(fiber_executions()),
                         execution_name);

TEST(AsynchronousCopyDeathTest, DetectsRaces) {
  if (!thread_sanitizer()) GTEST_SKIP() << "needs a build with clang and ThreadSanitizer";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr int kThreadSanitizerFoundSomething = 66;
  const auto source = counted_from_one(2 * kBlock * 4);
  const auto run_and_exit = [&]<Bug bug> {
    staged_copy<4, bug>(source);
    std::exit(0);  // ThreadSanitizer makes it 66 if it has reported anything
  };
  EXPECT_EXIT(run_and_exit.operator()<Bug::kMissingBarrier>(),
              testing::ExitedWithCode(kThreadSanitizerFoundSomething), "data race");
  EXPECT_EXIT(run_and_exit.operator()<Bug::kNone>(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace elbo::cuda::emulation

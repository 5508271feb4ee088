// The CUDA execution of dense layers equals the CPU's: bitwise on numbers whose sums are exact,
// otherwise within the rounding of a sum.
#include <cstdint>

#include "kernels/dense.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

struct Shape {
  int32_t capacity, active, in, out;
  int shifted;  // number (from 1) of the float array to misalign by 4 bytes; 0: none

  size_t rows() const { return static_cast<size_t>(capacity); }
  size_t active_rows() const { return static_cast<size_t>(active); }
  size_t inputs() const { return static_cast<size_t>(in); }
  size_t outputs() const { return static_cast<size_t>(out); }
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.active << " of " << s.capacity << " rows, " << s.in << " to " << s.out
             << ", shifted " << s.shifted;
}

class CudaDense : public CudaTest {
 protected:
  /// Returns shapes of whole and partial quads, for properties that do not depend on the sizes.
  static std::vector<Shape> few_shapes() { return {{3, 2, 33, 8, 0}, {4, 4, 8, 31, 1}}; }

  /// Returns shapes that use each size as inputs, as outputs and as rows.
  static std::vector<Shape> shapes() {
    std::vector<Shape> all;
    for (const int32_t size : kSizes) {
      all.push_back({3, 2, size, 5, 0});
      all.push_back({2, 2, 7, size, 0});
      all.push_back({size, (size + 1) / 2, 4, 8, 0});
    }
    for (const int shifted : {1, 2, 3, 4, 5}) all.push_back({3, 2, 32, 8, shifted});
    return all;
  }

  static Rows rows_of(Workspace& w, const Shape& shape) {
    StepState state;
    state.rows = shape.active;
    return {w.put(std::vector{state}), shape.capacity, 1};
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaDense);
#if defined(ELBO_CUDA_EMULATION)
INSTANTIATE_TEST_SUITE_P(Library, CudaDense, testing::ValuesIn(library_backends()),
                         [](const testing::TestParamInfo<Backend>& i) { return i.param.name; });
#endif

/// Returns gradients that are zero in inactive rows, as every op leaves them.
std::vector<float> gradients(const Shape& s, unsigned seed) {
  std::vector<float> values = odd_eighths(s.rows() * s.outputs(), seed);
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(s.active_rows() * s.outputs()),
            values.end(), 0.0f);
  return values;
}

TEST_P(CudaDense, Forward) {
  struct Result {
    std::vector<float> y, preactivation, all;
  };
  math::Activations::for_each([&](auto activation) {
    using A = decltype(activation);
    for (const Shape& shape : A::name == "relu" ? shapes() : few_shapes()) {
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shape.shifted);
        DenseForward op;
        op.rows = rows_of(w, shape);
        op.in = shape.in;
        op.out = shape.out;
        op.activation = math::Activation::of<A>();
        op.x = w.put(odd_eighths(shape.rows() * shape.inputs(), 1));
        op.weight = w.put(odd_eighths(shape.outputs() * shape.inputs(), 2));
        op.bias = w.put(odd_eighths(shape.outputs(), 3));
        const size_t size = shape.rows() * shape.outputs(),
                     active = shape.active_rows() * shape.outputs();
        op.y = w.output<float>(size);
        if (A::derivative_from_input) op.preactivation = w.output<float>(size);
        w.run({op});
        Result result = {w.get(op.y.f32(), active), {}, w.get(op.y.f32(), size)};
        if (A::derivative_from_input) result.preactivation = w.get(op.preactivation.f32(), active);
        return result;
      };
      const Result got = run(cuda_), want = run(cpu_);
      EXPECT_TRUE(same_bits(got.y, want.y)) << A::name << ", " << shape;
      EXPECT_TRUE(same_bits(got.preactivation, want.preactivation)) << A::name << ", " << shape;
      if (kFillsInactiveRows) {
        for (const float y : got.all) EXPECT_TRUE(std::isfinite(y));
      }
    }
  });
}

TEST_P(CudaDense, BackwardInput) {
  math::Activations::for_each([&](auto activation) {
    using A = decltype(activation);
    for (const Shape& shape : A::name == "relu" ? shapes() : few_shapes())
      for (const bool activated : {true, false}) {
        const size_t size = shape.rows() * shape.inputs(),
                     active = shape.active_rows() * shape.inputs();
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          DenseBackwardInput op;
          op.rows = rows_of(w, shape);
          op.in = shape.in;
          op.out = shape.out;
          op.activation = math::Activation::of<A>();
          op.grad_y = w.put(gradients(shape, 4));
          op.weight = w.put(odd_eighths(shape.outputs() * shape.inputs(), 5));
          if (activated) op.saved = w.put(odd_eighths(size, 6));
          op.grad_x = w.output<float>(size);
          w.run({op});
          return w.get(op.grad_x.f32(), size);
        };
        std::vector<float> got = run(cuda_), want = run(cpu_);
        if (kFillsInactiveRows) {
          for (size_t i = active; i < size; ++i) EXPECT_EQ(got[i], 0.0f);
        }
        got.resize(active);
        want.resize(active);
        EXPECT_TRUE(same_bits(got, want)) << A::name << ", " << shape;
      }
  });
}

TEST_P(CudaDense, BackwardWeights) {
  struct Result {
    std::vector<float> grad_weight, grad_bias;
  };
  for (const Shape& shape : shapes())
    for (const bool accumulate : {false, true}) {
      const size_t weights = shape.outputs() * shape.inputs();
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shape.shifted);
        const auto result = [&](size_t count, unsigned seed) {
          return accumulate ? w.put(odd_eighths(count, seed)) : w.output<float>(count);
        };
        DenseBackwardWeights op;
        op.accumulate = accumulate;
        op.rows = rows_of(w, shape);
        op.in = shape.in;
        op.out = shape.out;
        op.grad_y = w.put(gradients(shape, 7));
        op.x = w.put(odd_eighths(shape.rows() * shape.inputs(), 8));
        op.grad_weight = result(weights, 9);
        op.grad_bias = result(shape.outputs(), 10);
        w.run({op});
        return Result{w.get(op.grad_weight, weights), w.get(op.grad_bias, shape.outputs())};
      };
      const Result got = run(cuda_), want = run(cpu_);
      EXPECT_TRUE(same_bits(got.grad_weight, want.grad_weight)) << shape << ' ' << accumulate;
      EXPECT_TRUE(same_bits(got.grad_bias, want.grad_bias)) << shape << ' ' << accumulate;
    }
}

// The operands use all 24 bits, so a product in reduced precision (TF32 keeps 11) would fail.
TEST_P(CudaDense, ForwardInFullPrecision) {
  constexpr int32_t kRows = 33, kIn = 257, kOut = 32;
  const std::vector<float> x = uniform_floats(kRows * kIn, -1.0f, 1.0f, 9);
  const std::vector<float> weight = uniform_floats(kOut * kIn, -1.0f, 1.0f, 10);
  const auto run = [&](const std::shared_ptr<Device>& device) {
    Workspace w(device);
    DenseForward op;
    op.rows = rows_of(w, {kRows, kRows, kIn, kOut, 0});
    op.in = kIn;
    op.out = kOut;
    op.x = w.put(x);
    op.weight = w.put(weight);
    op.bias = w.put(std::vector<float>(kOut, 0.0f));
    op.y = w.output<float>(kRows * kOut);
    w.run({op});
    return w.get(op.y.f32(), kRows * kOut);
  };
  std::vector<double> bound;
  for (size_t r = 0; r < kRows; ++r)
    for (size_t c = 0; c < kOut; ++c) {
      double magnitude = 0.0;
      for (size_t k = 0; k < kIn; ++k) magnitude += std::abs(x[r * kIn + k] * weight[c * kIn + k]);
      bound.push_back(sum_bound(kIn, magnitude));
    }
  EXPECT_TRUE(within(run(cuda_), run(cpu_), bound));
}

}  // namespace
}  // namespace elbo

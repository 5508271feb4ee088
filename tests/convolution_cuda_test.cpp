// The CUDA execution of convolutions is bitwise equal to the CPU's on numbers whose sums are exact.
#include "tests/batch_shapes.hpp"
#include "tests/convolution_shapes.hpp"

namespace elbo {
namespace {

class CudaConvolution : public CudaTest {
 protected:
  static Rows rows_of(Workspace& w, const ConvolutionCase& c) {
    StepState state;
    state.rows = c.active;
    return {w.put(std::vector{state}), c.capacity, 1};
  }
  /// Calls `visit(case, transposed)` for every case if `activation` is relu, otherwise for a few;
  /// always for a few if few_sizes().
  template <class Visit>
  static void for_cases(std::string_view activation, Visit visit) {
    for (const ConvolutionCase& c :
         activation == "relu" && !few_sizes() ? convolutions() : few_convolutions())
      for (const bool transposed : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << activation << ", " << (transposed ? "transposed, " : "") << c);
        visit(c, transposed);
      }
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaConvolution);
#if defined(ELBO_CUDA_EMULATION)
INSTANTIATE_TEST_SUITE_P(Library, CudaConvolution, testing::ValuesIn(library_backends()),
                         [](const testing::TestParamInfo<Backend>& i) { return i.param.name; });
#endif

/// Returns `values` with zeros after the first `active` elements: ops leave zero gradients in
/// inactive rows.
std::vector<float> gradients(std::vector<float> values, size_t active) {
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(active), values.end(), 0.0f);
  return values;
}

size_t in_size(const ConvolutionCase& c, bool transposed, int32_t rows) {
  return transposed ? c.narrow(rows) : c.wide(rows);
}
size_t out_size(const ConvolutionCase& c, bool transposed, int32_t rows) {
  return transposed ? c.wide(rows) : c.narrow(rows);
}
size_t out_channels(const ConvolutionCase& c, bool transposed) {
  return static_cast<size_t>((transposed ? c.shape.wide : c.shape.narrow).channels);
}

TEST_P(CudaConvolution, Forward) {
  struct Result {
    std::vector<float> y, preactivation;
  };
  math::Activations::for_each([&](auto activation) {
    using A = decltype(activation);
    for_cases(A::name, [&](const ConvolutionCase& c, bool transposed) {
      const size_t size = out_size(c, transposed, c.capacity),
                   active = out_size(c, transposed, c.active);
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, c.shifted);
        ConvolutionForward op;
        op.rows = rows_of(w, c);
        op.shape = c.shape;
        op.transposed = transposed;
        op.activation = math::Activation::of<A>();
        op.x = w.put(odd_eighths(in_size(c, transposed, c.capacity), 1));
        op.weight = w.put(odd_eighths(c.weights(), 2));
        op.bias = w.put(odd_eighths(out_channels(c, transposed), 3));
        op.y = w.output<float>(size);
        if (A::derivative_from_input) op.preactivation = w.output<float>(size);
        w.run({op});
        Result result = {w.get(op.y.f32(), size), {}};
        if (A::derivative_from_input) result.preactivation = w.get(op.preactivation.f32(), active);
        return result;
      };
      const Result got = run(cuda_), want = run(cpu_);
      EXPECT_TRUE(same_bits(first(got.y, active), first(want.y, active)));
      EXPECT_TRUE(same_bits(got.preactivation, want.preactivation));
      if (kFillsInactiveRows) {
        EXPECT_TRUE(std::ranges::all_of(got.y, [](float y) { return std::isfinite(y); }));
      }
    });
  });
}

TEST_P(CudaConvolution, BackwardInput) {
  math::Activations::for_each([&](auto activation) {
    using A = decltype(activation);
    for (const bool activated : {true, false}) {
      if (!activated && A::name != "identity") continue;
      for_cases(A::name, [&](const ConvolutionCase& c, bool transposed) {
        const size_t size = in_size(c, transposed, c.capacity),
                     active = in_size(c, transposed, c.active);
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, c.shifted);
          ConvolutionBackwardInput op;
          op.rows = rows_of(w, c);
          op.shape = c.shape;
          op.transposed = transposed;
          op.activation = math::Activation::of<A>();
          op.grad_y = w.put(gradients(odd_eighths(out_size(c, transposed, c.capacity), 4),
                                      out_size(c, transposed, c.active)));
          op.weight = w.put(odd_eighths(c.weights(), 5));
          if (activated) op.saved = w.put(odd_eighths(size, 6));
          op.grad_x = w.output<float>(size);
          w.run({op});
          return w.get(op.grad_x.f32(), size);
        };
        const std::vector<float> got = run(cuda_), want = run(cpu_);
        EXPECT_TRUE(same_bits(first(got, active), first(want, active)));
        for (size_t i = active; kFillsInactiveRows && i < size; ++i) ASSERT_EQ(got[i], 0.0f);
      });
    }
  });
}

TEST_P(CudaConvolution, BackwardWeights) {
  struct Result {
    std::vector<float> weight, bias;
  };
  for_cases("relu", [&](const ConvolutionCase& c, bool transposed) {
    for (const bool accumulate : {false, true}) {
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, c.shifted);
        const auto result = [&](size_t count, unsigned seed) {
          return accumulate ? w.put(odd_eighths(count, seed)) : w.output<float>(count);
        };
        ConvolutionBackwardWeights op;
        op.rows = rows_of(w, c);
        op.shape = c.shape;
        op.transposed = transposed;
        op.accumulate = accumulate;
        op.grad_y = w.put(gradients(odd_eighths(out_size(c, transposed, c.capacity), 7),
                                    out_size(c, transposed, c.active)));
        op.x = w.put(odd_eighths(in_size(c, transposed, c.capacity), 8));
        op.grad_weight = result(c.weights(), 9);
        op.grad_bias = result(out_channels(c, transposed), 10);
        w.run({op});
        return Result{w.get(op.grad_weight, c.weights()),
                      w.get(op.grad_bias, out_channels(c, transposed))};
      };
      const Result got = run(cuda_), want = run(cpu_);
      EXPECT_TRUE(same_bits(got.weight, want.weight)) << accumulate;
      EXPECT_TRUE(same_bits(got.bias, want.bias)) << accumulate;
    }
  });
}

}  // namespace
}  // namespace elbo

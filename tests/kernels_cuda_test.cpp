// The CUDA execution of every op but the dense ones equals the CPU's: to the bit wherever each
// result is made of one element's operations, within the rounding of a sum elsewhere.
#include <cstdint>
#include <span>

#include "kernels/math/posterior.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

class CudaKernels : public CudaTest {};
ELBO_INSTANTIATE_CUDA_TEST(CudaKernels);

/// A batch of `capacity` inputs of which `active` are real.
struct Shape {
  int32_t capacity, active, columns, samples;
  int shifted;  // which array of floats lies off 16-byte alignment

  size_t inputs() const { return static_cast<size_t>(capacity); }
  size_t rows() const { return inputs() * static_cast<size_t>(samples); }
  size_t active_rows() const { return static_cast<size_t>(active * samples); }
  size_t width() const { return static_cast<size_t>(columns); }
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.active << " of " << s.capacity << " inputs, " << s.samples << " samples, "
             << s.columns << " columns, shifted " << s.shifted;
}

/// Every size as columns, and as rows.
std::vector<Shape> shapes(std::span<const int32_t> sizes) {
  std::vector<Shape> all;
  for (const int32_t size : sizes) {
    all.push_back({3, 2, size, 1, 0});
    all.push_back({2, 2, size, 3, 0});
    if (size <= 1000) all.push_back({size, (size + 1) / 2, 3, 1, 0});
  }
  for (const int shifted : {1, 2, 3, 4, 5}) all.push_back({2, 1, 32, 3, shifted});
  return all;
}

StepState state_of(const Shape& shape) {
  StepState state;
  state.step = 7;
  state.epoch = 2;
  state.first_row = 5;
  state.rows = shape.active;
  state.beta = 0.25f;
  state.learning_rate = 0.01f;
  return state;
}

template <class T>
std::vector<T> first(std::vector<T> values, size_t count) {
  values.resize(count);
  return values;
}

/// Whether everything behind the first `count` elements is zero.
testing::AssertionResult zero_behind(const std::vector<float>& values, size_t count) {
  if (!kFillsInactiveRows) return testing::AssertionSuccess();
  const std::vector<float> rest(values.begin() + static_cast<std::ptrdiff_t>(count), values.end());
  return same_bits(rest, std::vector<float>(rest.size()));
}

TEST_P(CudaKernels, RandomFill) {
  for (const Distribution distribution :
       {Distribution::bits, Distribution::uniform, Distribution::normal})
    for (const int32_t count : kSizes)
      for (const int shifted : {0, 1}) {
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shifted);
          // Floats, so that they are shifted; any bits will do.
          auto* out = w.output<float>(static_cast<size_t>(count));
          w.run({RandomFill{distribution, 0x123456789abcdefull, uint64_t{3} << 56 | 11,
                            (uint64_t{1} << 32) - 3, count, out}});
          return w.get(out, static_cast<size_t>(count));
        };
        EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << count;
      }
}

TEST_P(CudaKernels, PermutationFill) {
  for (const int32_t size : kSizes) {
    const auto domain = static_cast<uint32_t>(size), skip = domain / 3, count = domain - skip;
    const auto run = [&](const std::shared_ptr<Device>& device) {
      Workspace w(device);
      auto* out = w.output<uint32_t>(count);
      w.run({PermutationFill{
          .seed = 9, .epoch = 4, .domain = domain, .first = skip, .count = count, .out = out}});
      return w.get(out, count);
    };
    EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << size;
  }
}

struct Gathered {
  std::vector<float> x;
  std::vector<uint32_t> row_ids;
};

template <class Stored>
Gathered gather(const std::shared_ptr<Device>& device, const Shape& shape, GatherBatch op,
                const std::vector<Stored>& rows, const std::vector<uint32_t>& index) {
  Workspace w(device, shape.shifted);
  op.rows = w.put(rows);
  op.columns = shape.columns;
  op.batch = {w.put(std::vector{state_of(shape)}), shape.capacity, 1};
  if (!index.empty()) op.index = w.put(index);
  op.x = w.output<float>(shape.inputs() * shape.width());
  op.row_ids = w.output<uint32_t>(shape.inputs());
  w.run({op});
  return {w.get(op.x, shape.inputs() * shape.width()), w.get(op.row_ids, shape.inputs())};
}

TEST_P(CudaKernels, GatherBatch) {
  for (Shape shape : shapes(kSizes)) {
    if (shape.samples != 1 && shape.shifted == 0) continue;
    shape.samples = 1;
    // A data set with twice the rows of the split, every other one of which is in it.
    const auto count = static_cast<uint32_t>(shape.capacity + 6);
    const size_t stored = 2 * count * shape.width();
    std::vector<uint32_t> index;
    for (uint32_t i = 0; i < count; ++i) index.push_back(2 * i + 1);
    const std::vector<float> f32 = uniform_floats(stored, 0.0f, 1.0f, 1);
    const std::vector<double> f64(f32.begin(), f32.end());
    std::vector<uint8_t> u8;
    for (const float value : f32) u8.push_back(static_cast<uint8_t>(value * 256.0f));

    for (const DataView view :
         {DataView::raw, DataView::dequantized, DataView::binarized, DataView::binarized_fixed})
      for (const DType dtype : {DType::u8, DType::f32, DType::f64}) {
        GatherBatch op;
        op.dtype = dtype;
        op.view = view;
        op.count = count;
        op.seed = 77;
        op.shuffle = dtype != DType::f32;
        const std::vector<uint32_t> given = dtype == DType::f64 ? std::vector<uint32_t>() : index;
        const auto run = [&](const std::shared_ptr<Device>& device) {
          if (dtype == DType::u8) return gather(device, shape, op, u8, given);
          if (dtype == DType::f32) return gather(device, shape, op, f32, given);
          return gather(device, shape, op, f64, given);
        };
        const Gathered got = run(cuda_), want = run(cpu_);
        EXPECT_TRUE(same_bits(got.x, want.x)) << shape << ' ' << name_of(dtype);
        EXPECT_TRUE(same_bits(got.row_ids, want.row_ids)) << shape << ' ' << name_of(dtype);
        EXPECT_TRUE(zero_behind(got.x, shape.active_rows() * shape.width())) << shape;
      }
  }
}

// The last batch of the first and of the last window of an epoch, in either slot.
TEST_P(CudaKernels, GatherBatchFromWindows) {
  constexpr uint32_t kCount = 27, kWindow = 12, kColumns = 33;
  constexpr int32_t kBatch = 4;
  std::vector<uint8_t> rows;
  for (const float value : uniform_floats(2 * kWindow * kColumns, 0.0f, 256.0f, 1))
    rows.push_back(static_cast<uint8_t>(value));
  std::vector<uint32_t> ids;
  for (uint32_t place = 0; place < 2 * kWindow; ++place) ids.push_back(1000 - 7 * place);

  for (const uint64_t epoch : {6u, 7u})
    for (const uint32_t first_row : {8u, 24u})
      for (const bool shuffle : {true, false}) {
        const int32_t active = first_row == 24 ? 3 : kBatch;
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device);
          GatherBatch op;
          op.rows = w.put(rows);
          op.index = w.put(ids);
          op.count = kCount;
          op.window = kWindow;
          op.columns = kColumns;
          op.shuffle = shuffle;
          op.view = DataView::dequantized;
          op.seed = 77;
          const StepState state = {
              .step = 7, .epoch = epoch, .first_row = first_row, .rows = active};
          op.batch = {w.put(std::vector{state}), kBatch, 1};
          op.x = w.output<float>(kBatch * kColumns);
          op.row_ids = w.output<uint32_t>(kBatch);
          w.run({op});
          return Gathered{w.get(op.x, kBatch * kColumns), w.get(op.row_ids, kBatch)};
        };
        const Gathered got = run(cuda_), want = run(cpu_);
        EXPECT_TRUE(same_bits(got.x, want.x)) << epoch << ' ' << first_row;
        EXPECT_TRUE(same_bits(got.row_ids, want.row_ids)) << epoch << ' ' << first_row;
        // Three windows an epoch: number 18 is in slot 0, 20 in 0, 21 in 1 and 23 in 1.
        const uint32_t slot = epoch == 6 ? 0 : kWindow, window = first_row == 24 ? 3 : kWindow;
        for (int32_t i = 0; i < active; ++i) {
          const uint32_t place = (1000 - got.row_ids[static_cast<size_t>(i)]) / 7;
          EXPECT_GE(place, slot);
          EXPECT_LT(place, slot + window);
          if (shuffle) continue;
          EXPECT_EQ(place, slot + first_row % kWindow + static_cast<uint32_t>(i));
        }
      }
}

enum class Posterior { separate, heads, shared_logvar };

/// Where a test's latent ops find their inputs.
struct LatentInputs {
  Rows inputs;
  PosteriorView posterior;
  EpsilonSource epsilon;

  LatentInputs(Workspace& w, const Shape& s, Posterior kind, bool external_epsilon) {
    const size_t codes = s.inputs() * s.width();
    inputs = {w.put(std::vector{state_of(s)}), s.capacity, 1};
    std::vector<float> values = uniform_floats(2 * codes, -2.0f, 2.0f, 3);
    values.front() = 20.0f;  // beyond the clamp, where it is a log-variance
    values.back() = -20.0f;
    const float* given = w.put(values);
    posterior = {given, given + codes, s.columns, s.columns};
    if (kind == Posterior::heads)
      posterior = {given, given + s.columns, 2 * s.columns, 2 * s.columns};
    if (kind == Posterior::shared_logvar) posterior.logvar_stride = 0;
    epsilon.seed = 5;
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < s.inputs(); ++i) ids.push_back(1000 - 3 * i);
    epsilon.row_ids = w.put(ids);
    if (external_epsilon)
      epsilon.buffer = w.put(uniform_floats(s.rows() * s.width(), -3.0f, 3.0f, 4));
  }
};

TEST_P(CudaKernels, LatentForward) {
  struct Result {
    std::vector<float> z, kl;
  };
  for (const Shape& shape : shapes(kSizes))
    for (const Posterior kind : {Posterior::separate, Posterior::heads, Posterior::shared_logvar})
      for (const bool external_epsilon : {false, true}) {
        const size_t codes = shape.rows() * shape.width();
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          const LatentInputs in(w, shape, kind, external_epsilon);
          auto *z = w.output<float>(codes), *kl = w.output<float>(shape.inputs());
          w.run({LatentForward{in.inputs, shape.samples, shape.columns, in.posterior, in.epsilon, z,
                               kl}});
          return Result{w.get(z, codes), w.get(kl, static_cast<size_t>(shape.active))};
        };
        const Result got = run(cuda_), want = run(cpu_);
        const size_t active = shape.active_rows() * shape.width();
        EXPECT_TRUE(same_bits(first(got.z, active), first(want.z, active))) << shape;
        EXPECT_TRUE(zero_behind(got.z, active)) << shape;
        // The divergence is never negative, so a sum of it is its own magnitude; the 1 stands for
        // the cancellation inside a term.
        std::vector<double> bound;
        for (const float kl : want.kl)
          bound.push_back(sum_bound(shape.columns, std::abs(kl) + 1.0));
        EXPECT_TRUE(within(got.kl, want.kl, bound)) << shape;
      }
}

TEST_P(CudaKernels, LatentBackward) {
  for (const Shape& shape : shapes(kSizes))
    for (const Posterior kind : {Posterior::separate, Posterior::heads, Posterior::shared_logvar})
      for (const bool external_epsilon : {false, true}) {
        const size_t codes = shape.inputs() * shape.width();
        // The gradients of both heads lie in one array, as their layer wants them.
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          const LatentInputs in(w, shape, kind, external_epsilon);
          const float* grad_z = w.put(uniform_floats(shape.rows() * shape.width(), -1.0f, 1.0f, 6));
          auto* grad = w.output<float>(2 * codes);
          w.run({LatentBackward{in.inputs, shape.samples, shape.columns, in.posterior, in.epsilon,
                                grad_z, grad, grad + shape.columns, 2 * shape.columns,
                                2 * shape.columns}});
          return w.get(grad, 2 * codes);
        };
        const std::vector<float> got = run(cuda_), want = run(cpu_);
        const size_t active = 2 * static_cast<size_t>(shape.active) * shape.width();
        EXPECT_TRUE(same_bits(first(got, active), first(want, active))) << shape;
        EXPECT_TRUE(zero_behind(got, active)) << shape;
      }
}

struct LikelihoodResult {
  std::vector<float> output, nll, grad_log_variance;
};

/// Sums over each active row of the magnitudes of the terms that nll and grad_log_variance add up.
template <class L>
LikelihoodResult magnitudes(const Shape& s, const std::vector<float>& x,
                            const std::vector<float>& output, float log_variance) {
  LikelihoodResult sums;
  for (size_t row = 0; row < s.active_rows(); ++row) {
    float nll = 0.0f, grad = 0.0f;
    for (size_t c = 0; c < s.width(); ++c) {
      float parameter[L::parameters];
      for (size_t p = 0; p < L::parameters; ++p)
        parameter[p] = output[(row * L::parameters + p) * s.width() + c];
      const auto terms = L::terms(x[row / static_cast<size_t>(s.samples) * s.width() + c],
                                  parameter, log_variance);
      nll += std::abs(terms.nll);
      grad += std::abs(terms.grad_log_variance) / static_cast<float>(s.active_rows());
    }
    sums.nll.push_back(nll);
    sums.grad_log_variance.push_back(grad);
  }
  return sums;
}

std::vector<double> sum_bounds(const Shape& s, const std::vector<float>& magnitude) {
  std::vector<double> bounds;
  for (const float m : magnitude) bounds.push_back(sum_bound(s.columns, m));
  return bounds;
}

template <class L>
void test_likelihood_terms(const std::shared_ptr<Device>& cuda, const std::shared_ptr<Device>& cpu,
                           const Shape& shape, bool gradients) {
  constexpr float kLogVariance = -0.7f;
  const size_t outputs = shape.rows() * L::parameters * shape.width();
  const std::vector<float> x = uniform_floats(shape.inputs() * shape.width(), 0.0f, 1.0f, 8);
  std::vector<float> output = uniform_floats(outputs, -3.0f, 3.0f, 9);
  for (size_t i = 96; i < outputs; i += 97) output[i] = 24.0f;  // beyond the clamp
  const auto run = [&](const std::shared_ptr<Device>& device) {
    Workspace w(device, shape.shifted);
    LikelihoodTerms op;
    op.likelihood = math::Likelihood::of<L>();
    op.gradients = gradients;
    op.inputs = {w.put(std::vector{state_of(shape)}), shape.capacity, 1};
    op.samples = shape.samples;
    op.columns = shape.columns;
    op.x = w.put(x);
    op.output = w.put(output);
    op.log_variance = w.put(std::vector{kLogVariance});
    op.nll = w.output<float>(shape.rows());
    if (L::variance == math::VarianceRole::learned && gradients)
      op.grad_log_variance = w.output<float>(shape.rows());
    w.run({op});
    LikelihoodResult result = {w.get(op.output, outputs), w.get(op.nll, shape.active_rows()), {}};
    if (op.grad_log_variance != nullptr)
      result.grad_log_variance = w.get(op.grad_log_variance, shape.active_rows());
    return result;
  };
  const LikelihoodResult got = run(cuda), want = run(cpu);
  const LikelihoodResult magnitude = magnitudes<L>(shape, x, output, kLogVariance);
  const size_t active = shape.active_rows() * L::parameters * shape.width();
  EXPECT_TRUE(same_bits(first(got.output, active), first(want.output, active)));
  if (gradients) {
    EXPECT_TRUE(zero_behind(got.output, active));
  }
  EXPECT_TRUE(within(got.nll, want.nll, sum_bounds(shape, magnitude.nll)));
  if (L::variance == math::VarianceRole::learned && gradients) {
    EXPECT_TRUE(within(got.grad_log_variance, want.grad_log_variance,
                       sum_bounds(shape, magnitude.grad_log_variance)));
  }
}

TEST_P(CudaKernels, LikelihoodTerms) {
  math::Likelihoods::for_each([&](auto likelihood) {
    using L = decltype(likelihood);
    for (const Shape& shape : shapes(kSizes))
      for (const bool gradients : {true, false}) {
        SCOPED_TRACE(testing::Message() << L::name << ", " << shape << ", gradients " << gradients);
        test_likelihood_terms<L>(cuda_, cpu_, shape, gradients);
      }
  });
}

TEST_P(CudaKernels, LikelihoodMean) {
  math::Likelihoods::for_each([&](auto likelihood) {
    using L = decltype(likelihood);
    for (const Shape& shape : shapes(kSizes)) {
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shape.shifted);
        const Rows rows = {w.put(std::vector{state_of(shape)}), shape.capacity, shape.samples};
        const float* output =
            w.put(uniform_floats(shape.rows() * L::parameters * shape.width(), -9.0f, 9.0f, 10));
        auto* mean = w.output<float>(shape.rows() * shape.width());
        w.run({LikelihoodMean{math::Likelihood::of<L>(), rows, shape.columns, output, mean}});
        return w.get(mean, shape.active_rows() * shape.width());
      };
      EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << L::name << ", " << shape;
    }
  });
}

TEST_P(CudaKernels, ColumnSum) {
  for (const Shape& shape : shapes(kSizes)) {
    // 24 bits above 2^-12: their sums are exact in double and not in float.
    std::vector<float> x = uniform_floats(shape.rows() * shape.width(), -2048.0f, 2048.0f, 11);
    for (float& value : x) value = std::round(value * 4096.0f) / 4096.0f;
    const auto run = [&](const std::shared_ptr<Device>& device) {
      Workspace w(device, shape.shifted);
      const Rows rows = {w.put(std::vector{state_of(shape)}), shape.capacity, shape.samples};
      auto* out = w.output<float>(shape.width());
      w.run({ColumnSum{rows, shape.columns, w.put(x), out}});
      return w.get(out, shape.width());
    };
    EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << shape;
  }
}

}  // namespace
}  // namespace elbo

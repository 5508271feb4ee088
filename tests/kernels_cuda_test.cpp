// The CUDA execution of random numbers, the latent layer and likelihoods equals the CPU's: bitwise
// if each result depends on one element, otherwise within the rounding of a sum.
#include <cstdint>

#include "kernels/math/posterior.hpp"
#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

class CudaKernels : public CudaTest {};
ELBO_INSTANTIATE_CUDA_TEST(CudaKernels);

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

enum class Posterior { separate, heads, shared_logvar, prior };
constexpr Posterior kPosteriors[] = {Posterior::separate, Posterior::heads,
                                     Posterior::shared_logvar, Posterior::prior};

/// Inputs of a test's latent ops.
struct LatentInputs {
  Rows inputs;
  PosteriorView posterior;
  EpsilonSource epsilon;

  LatentInputs(Workspace& w, const BatchShape& s, Posterior kind, bool external_epsilon) {
    const size_t codes = s.inputs() * s.width();
    StepState state = s.state();
    state.first_sample = 11;
    inputs = {w.put(std::vector{state}), s.capacity, 1};
    std::vector<float> values = uniform_floats(2 * codes, -2.0f, 2.0f, 3);
    values.front() = 20.0f;  // beyond the clamp, where it is a log-variance
    values.back() = -20.0f;
    const float* given = w.put(values);
    posterior = {given, given + codes, s.columns, s.columns};
    if (kind == Posterior::heads)
      posterior = {given, given + s.columns, 2 * s.columns, 2 * s.columns};
    if (kind == Posterior::shared_logvar) posterior.logvar_stride = 0;
    if (kind == Posterior::prior) {
      const float* zeros = w.put(std::vector<float>(s.width()));
      posterior = {zeros, zeros, 0, 0};
      epsilon.stream = math::NoiseStream::prior;
    }
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
    std::vector<float> z, kl, log_ratio;
  };
  for (const BatchShape& shape : batch_shapes(kSizes))
    for (const Posterior kind : kPosteriors)
      for (const bool external_epsilon : {false, true}) {
        const size_t codes = shape.rows() * shape.width();
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          const LatentInputs in(w, shape, kind, external_epsilon);
          // Draws from the prior need no KL; one case also needs no ratios.
          auto* z = w.output<float>(codes);
          float* kl = kind == Posterior::prior ? nullptr : w.output<float>(shape.inputs());
          float* log_ratio = kind == Posterior::separate ? nullptr : w.output<float>(shape.rows());
          w.run({LatentForward{in.inputs, shape.samples, shape.columns, in.posterior, in.epsilon, z,
                               kl, log_ratio}});
          Result result = {w.get(z, codes), {}, {}};
          if (kl != nullptr) result.kl = w.get(kl, static_cast<size_t>(shape.active));
          if (log_ratio != nullptr) result.log_ratio = w.get(log_ratio, shape.active_rows());
          return result;
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
        // A ratio's terms are at most (z^2 + epsilon^2 + |logvar|) / 2, with |epsilon| < 7 and
        // log-variances within 2 but for one, at the clamp.
        bound.clear();
        for (size_t row = 0; row < want.log_ratio.size(); ++row) {
          double magnitude = 0.5 * 16.0;
          for (size_t c = 0; c < shape.width(); ++c)
            magnitude += 0.5 * (std::pow(want.z[row * shape.width() + c], 2.0) + 49.0 + 2.0);
          bound.push_back(sum_bound(shape.columns, magnitude));
        }
        EXPECT_TRUE(within(got.log_ratio, want.log_ratio, bound)) << shape;
      }
}

enum class Weighing { none, dimensions, samples };

TEST_P(CudaKernels, LatentBackward) {
  for (const BatchShape& shape : batch_shapes(kSizes))
    for (const Posterior kind : kPosteriors)
      for (const auto& way :
           {std::pair{false, Weighing::none}, std::pair{true, Weighing::none},
            std::pair{true, Weighing::dimensions}, std::pair{false, Weighing::samples}}) {
        const bool external_epsilon = way.first;
        const Weighing weighing = way.second;
        const size_t codes = shape.inputs() * shape.width();
        // The gradients of both heads lie in one array, as their layer wants them.
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          const LatentInputs in(w, shape, kind, external_epsilon);
          auto* grad = w.output<float>(2 * codes);
          LatentBackward op;
          op.inputs = in.inputs;
          op.samples = shape.samples;
          op.latent = shape.columns;
          op.posterior = in.posterior;
          op.epsilon = in.epsilon;
          if (weighing == Weighing::dimensions)
            op.kl_weight = w.put(uniform_floats(shape.width(), -1.0f, 1.0f, 7));
          if (weighing == Weighing::samples)
            op.importance = w.put(uniform_floats(shape.rows(), 0.0f, 2.0f, 8));
          op.grad_z = w.put(uniform_floats(shape.rows() * shape.width(), -1.0f, 1.0f, 6));
          op.grad_mu = grad;
          op.grad_logvar = grad + shape.columns;
          op.grad_mu_stride = op.grad_logvar_stride = 2 * shape.columns;
          w.run({op});
          return w.get(grad, 2 * codes);
        };
        const std::vector<float> got = run(cuda_), want = run(cpu_);
        const size_t active = 2 * static_cast<size_t>(shape.active) * shape.width();
        EXPECT_TRUE(same_bits(first(got, active), first(want, active))) << shape;
        EXPECT_TRUE(zero_behind(got, active)) << shape;
      }
}

// Thresholds between the dimensions' divergences, which sums in double do not come near.
TEST_P(CudaKernels, KlWeights) {
  for (const BatchShape& shape : batch_shapes(kSizes))
    for (const Posterior kind : kPosteriors)
      for (const bool capacity : {false, true}) {
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device, shape.shifted);
          const LatentInputs in(w, shape, kind, true);
          StepState state = shape.state();
          state.capacity = 0.4271f * static_cast<float>(shape.columns);
          KlWeights op;
          op.inputs = {w.put(std::vector{state}), shape.capacity, 1};
          op.latent = shape.columns;
          op.posterior = in.posterior;
          op.free_bits = capacity ? 0.0f : 1.0f;
          op.capacity = capacity;
          op.weight = w.output<float>(shape.width());
          w.run({op});
          return w.get(op.weight, shape.width());
        };
        EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << shape << ' ' << capacity;
      }
}

constexpr float kWeight = 0.3f;  // of the loss

struct LikelihoodResult {
  std::vector<float> output, nll, grad_log_variance;
};

/// The sharing of log-variances.
struct Channels {
  int32_t count = 1, step = 1;
};
/// Neighbouring elements of different channels, of the same, and a row's last channel cut short.
template <class L>
std::vector<Channels> channels_of() {
  if (L::variance != math::VarianceRole::learned_by_channel) return {{1, 1}};
  return {{1, 1}, {3, 1}, {4, 1}, {3, 11}, {2, 4}};
}

constexpr float kLogVariances[] = {-0.7f, 0.3f, 1.1f, -0.2f};

/// Sums over each active row of the magnitudes of the terms that nll and grad_log_variance add up.
template <class L>
LikelihoodResult magnitudes(const BatchShape& s, const std::vector<float>& x,
                            const std::vector<float>& output, const Channels& channels) {
  LikelihoodResult sums;
  for (size_t row = 0; row < s.active_rows(); ++row) {
    float nll = 0.0f;
    std::vector<float> grad(static_cast<size_t>(channels.count));
    for (size_t c = 0; c < s.width(); ++c) {
      const size_t channel = c / static_cast<size_t>(channels.step) % grad.size();
      float parameter[L::parameters];
      for (size_t p = 0; p < L::parameters; ++p)
        parameter[p] = output[(row * L::parameters + p) * s.width() + c];
      const auto terms = L::terms(x[row / static_cast<size_t>(s.samples) * s.width() + c],
                                  parameter, math::shared_variance(kLogVariances[channel]));
      nll += std::abs(terms.nll);
      grad[channel] +=
          kWeight * std::abs(terms.grad_log_variance) / static_cast<float>(s.active_rows());
    }
    sums.nll.push_back(nll);
    sums.grad_log_variance.insert(sums.grad_log_variance.end(), grad.begin(), grad.end());
  }
  return sums;
}

std::vector<double> sum_bounds(const BatchShape& s, const std::vector<float>& magnitude) {
  std::vector<double> bounds;
  for (const float m : magnitude) bounds.push_back(sum_bound(s.columns, m));
  return bounds;
}

template <class L>
void test_likelihood_terms(const std::shared_ptr<Device>& cuda, const std::shared_ptr<Device>& cpu,
                           const BatchShape& shape, const Channels& channels, bool gradients,
                           bool weighed) {
  const size_t outputs = shape.rows() * L::parameters * shape.width();
  const std::vector<float> x = uniform_floats(shape.inputs() * shape.width(), 0.0f, 1.0f, 8);
  std::vector<float> output = uniform_floats(outputs, -3.0f, 3.0f, 9);
  for (size_t i = 96; i < outputs; i += 97) output[i] = 24.0f;  // beyond the clamp
  const auto run = [&](const std::shared_ptr<Device>& device) {
    Workspace w(device, shape.shifted);
    LikelihoodTerms op;
    op.likelihood = math::Likelihood::of<L>();
    op.gradients = gradients;
    op.weight = kWeight;
    op.inputs = {w.put(std::vector{shape.state()}), shape.capacity, 1};
    op.samples = shape.samples;
    op.columns = shape.columns;
    op.x = w.put(x);
    op.output = w.put(output);
    op.channels = channels.count;
    op.channel_step = channels.step;
    op.log_variance = w.put(std::vector<float>(kLogVariances, kLogVariances + channels.count));
    if (weighed) op.row_weight = w.put(uniform_floats(shape.rows(), 0.0f, 1.0f, 12));
    op.nll = w.output<float>(shape.rows());
    const auto shares = static_cast<size_t>(channels.count);
    if (math::is_learned(L::variance) && gradients)
      op.grad_log_variance = w.output<float>(shape.rows() * shares);
    w.run({op});
    LikelihoodResult result = {w.get(op.output, outputs), w.get(op.nll, shape.active_rows()), {}};
    if (op.grad_log_variance != nullptr)
      result.grad_log_variance = w.get(op.grad_log_variance, shape.active_rows() * shares);
    return result;
  };
  const LikelihoodResult got = run(cuda), want = run(cpu);
  const LikelihoodResult magnitude = magnitudes<L>(shape, x, output, channels);
  const size_t active = shape.active_rows() * L::parameters * shape.width();
  EXPECT_TRUE(same_bits(first(got.output, active), first(want.output, active)));
  if (gradients) {
    EXPECT_TRUE(zero_behind(got.output, active));
  }
  EXPECT_TRUE(within(got.nll, want.nll, sum_bounds(shape, magnitude.nll)));
  if (math::is_learned(L::variance) && gradients) {
    EXPECT_TRUE(within(got.grad_log_variance, want.grad_log_variance,
                       sum_bounds(shape, magnitude.grad_log_variance)));
  }
}

TEST_P(CudaKernels, LikelihoodTerms) {
  math::Likelihoods::for_each([&](auto likelihood) {
    using L = decltype(likelihood);
    for (const BatchShape& shape : batch_shapes(kSizes))
      for (const Channels& channels : channels_of<L>())
        for (const bool gradients : {true, false}) {
          SCOPED_TRACE(testing::Message()
                       << L::name << ", " << shape << ", " << channels.count << " channels by "
                       << channels.step << ", gradients " << gradients);
          test_likelihood_terms<L>(cuda_, cpu_, shape, channels, gradients, false);
          // Weights of at most 1, with which the bounds hold all the more.
          if (gradients) test_likelihood_terms<L>(cuda_, cpu_, shape, channels, gradients, true);
        }
  });
}

TEST_P(CudaKernels, LikelihoodMean) {
  math::Likelihoods::for_each([&](auto likelihood) {
    using L = decltype(likelihood);
    for (const BatchShape& shape : batch_shapes(kSizes)) {
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shape.shifted);
        const Rows rows = {w.put(std::vector{shape.state()}), shape.capacity, shape.samples};
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
  for (const BatchShape& shape : batch_shapes(kSizes))
    for (const bool accumulate : {false, true}) {
      // 24 bits above 2^-12: their sums are exact in double and not in float.
      std::vector<float> x = uniform_floats(shape.rows() * shape.width(), -2048.0f, 2048.0f, 11);
      for (float& value : x) value = std::round(value * 4096.0f) / 4096.0f;
      const std::vector<float> before = uniform_floats(shape.width(), -1.0f, 1.0f, 12);
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shape.shifted);
        const Rows rows = {w.put(std::vector{shape.state()}), shape.capacity, shape.samples};
        auto* out = accumulate ? w.put(before) : w.output<float>(shape.width());
        w.run({ColumnSum{rows, shape.columns, w.put(x), out, accumulate}});
        return w.get(out, shape.width());
      };
      EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << shape << ' ' << accumulate;
    }
}

}  // namespace
}  // namespace elbo

// The CUDA execution of other losses and of gradient sums equals the CPU's: bitwise if results
// depend on one element, otherwise within the rounding of a sum.
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/program.hpp"
#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class CudaLosses : public CudaTest {
 protected:
  static std::vector<Format> formats() {
    if (kReadsBfloat16) return {Format::f32, Format::bf16};
    return {Format::f32};
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaLosses);

/// Numbers as a format holds them: the CPU is given these as floats.
std::vector<float> held(const std::vector<float>& values, Format format) {
  return format == Format::f32 ? values : widened(rounded(values));
}
ConstReals put(Workspace& w, const std::vector<float>& values, Format format) {
  if (format == Format::f32) return w.put(values);
  return w.put(rounded(values));
}
Reals output(Workspace& w, size_t count, Format format) {
  if (format == Format::f32) return w.output<float>(count);
  return w.output<math::Bfloat16>(count);
}
std::vector<float> get(const Workspace& w, const Reals& array, size_t count) {
  if (array.format == Format::f32) return w.get(array.f32(), count);
  return widened(w.get(array.as<math::Bfloat16>(), count));
}

struct Classified {
  std::vector<float> loss, correct, grad, logits;
};

/// Runs CategoricalTerms on `logits` [rows, columns as classes]; input i has label
/// 7 (1000 - 3 i) modulo the classes.
Classified classify(const std::shared_ptr<Device>& device, const BatchShape& s,
                    math::ClassLoss loss, const std::vector<float>& logits, bool gradients,
                    Format grad_format) {
  Workspace w(device, s.shifted);
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < s.inputs(); ++i) ids.push_back(1000 - 3 * (i % 333));
  std::vector<int32_t> labels;
  for (int32_t id = 0; id <= 1000; ++id) labels.push_back(7 * id % s.columns);
  CategoricalTerms op;
  op.loss_kind = loss;
  op.gradients = gradients;
  op.weight = 0.3f;
  op.rows = s.put_rows(w);
  op.classes = s.columns;
  op.labels = w.put(labels);
  op.label_count = static_cast<int64_t>(labels.size());
  op.row_ids = w.put(ids);
  op.logits = w.put(logits);
  op.loss = w.output<float>(s.rows());
  op.correct = w.output<float>(s.rows());
  if (grad_format == Format::bf16) op.grad_logits = w.output<math::Bfloat16>(s.elements());
  w.run({op});
  Classified result = {w.get(op.loss, s.active_rows()),
                       w.get(op.correct, s.active_rows()),
                       {},
                       w.get(op.logits, s.elements())};
  result.grad =
      op.grad_logits == nullptr ? result.logits : widened(w.get(op.grad_logits, s.elements()));
  return result;
}

/// Tolerance of log p: the sum of exponentials, of which the largest is 1, by a float sum's
/// rounding; and three roundings, of log(sum) <= log(classes) and of the result.
double log_p_error(int32_t classes, double log_p) {
  return sum_bound(classes, 1.0) + 2.0 * kEpsilon * (1.0 + std::log(classes) + std::abs(log_p));
}
/// Tolerance of a loss. Cross-entropy is a log p. A probability differs by p times what its log
/// does, at most by e below, as p |log p| < 1; sum (p - t)^2 by sum 2 |p - t| p e <= 4 e, and by
/// its own sum's rounding, whose terms add up to 2 at most.
double loss_bound(int32_t classes, double loss) {
  const double e = log_p_error(classes, 1.0);
  return log_p_error(classes, loss) + 4.0 * e + sum_bound(classes, 2.0);
}
/// Tolerance of a gradient before it is scaled: p - t by e; sum p (p - t), of terms whose
/// magnitudes add up to 2, by 3 e and its rounding; 2 p (p - t - that sum), whose last factor is
/// below 3, by 2 (3 e + e + 3 e) and twice that rounding.
double gradient_bound(int32_t classes) {
  return 14.0 * log_p_error(classes, 1.0) + 2.0 * sum_bound(classes, 2.0) + 8.0 * kEpsilon;
}

TEST_P(CudaLosses, CategoricalTerms) {
  math::ClassLosses::for_each([&](auto member) {
    const auto loss = math::ClassLoss::of<decltype(member)>();
    for (const BatchShape& shape : batch_shapes(kSizes)) {
      // Multiples of 1/4, so that rows have several largest logits.
      std::vector<float> logits = uniform_floats(shape.elements(), -6.0f, 6.0f, 1);
      for (float& logit : logits) logit = std::round(4.0f * logit) / 4.0f;
      for (const bool gradients : {true, false})
        for (const Format format : formats()) {
          SCOPED_TRACE(testing::Message() << loss.name() << ", " << shape << ", " << gradients);
          const Classified got = classify(cuda_, shape, loss, logits, gradients, format);
          const Classified want = classify(cpu_, shape, loss, logits, gradients, Format::f32);
          EXPECT_TRUE(same_bits(got.correct, want.correct));
          std::vector<double> bound;
          for (const float value : want.loss) bound.push_back(loss_bound(shape.columns, value));
          EXPECT_TRUE(within(got.loss, want.loss, bound));
          if (!gradients || format == Format::bf16) {
            EXPECT_TRUE(same_bits(got.logits, logits)) << "not for writing";
          }
          if (!gradients) continue;
          const size_t active = shape.active_elements();
          const double scale = 0.3 / static_cast<double>(shape.active_rows());
          const double stored = format == Format::bf16 ? 0x1p-8 : 0.0;
          bound.clear();
          for (size_t i = 0; i < active; ++i)
            bound.push_back((1.0 + stored) * scale * gradient_bound(shape.columns) +
                            stored * std::abs(want.grad[i]));
          EXPECT_TRUE(within(first(got.grad, active), first(want.grad, active), bound));
          EXPECT_TRUE(zero_behind(got.grad, active));
        }
    }
  });
}

// Three classes, the label is class 7 * 1000 % 3 = 1.
TEST_P(CudaLosses, CategoricalTermsOfExtremeLogits) {
  const BatchShape shape = {1, 1, 3, 1, 0};
  const auto run = [&](const std::shared_ptr<Device>& device, const std::vector<float>& logits) {
    return classify(device, shape, math::ClassLoss::of<math::CrossEntropy>(), logits, true,
                    Format::f32);
  };
  const float quiet = std::numeric_limits<float>::quiet_NaN();
  for (const auto& device : {cpu_, cuda_}) {
    const Classified sure = run(device, {-1e4f, 1e4f, 0.0f});
    EXPECT_EQ(sure.loss[0], 0.0f);
    EXPECT_EQ(sure.correct[0], 1.0f);
    EXPECT_NEAR(sure.grad[1], 0.0f, 1e-30f);
    const Classified wrong = run(device, {1e4f, -1e4f, 0.0f});
    EXPECT_EQ(wrong.loss[0], 2e4f);
    EXPECT_EQ(wrong.correct[0], 0.0f);
    EXPECT_EQ(wrong.grad[0], 0.3f);
    EXPECT_EQ(wrong.grad[1], -0.3f);
    EXPECT_EQ(run(device, {0.0f, -kInfinity, 0.0f}).loss[0], kInfinity);
    // The first of the largest counts.
    EXPECT_EQ(run(device, {0.0f, 2.0f, 2.0f}).correct[0], 1.0f);
    EXPECT_EQ(run(device, {2.0f, 2.0f, 0.0f}).correct[0], 0.0f);
    // NaN appears in every result of its row, for any class.
    for (const std::vector<float>& logits : {std::vector{quiet, 1.0f, 2.0f},
                                             {1.0f, quiet, 2.0f},
                                             {1.0f, 2.0f, quiet},
                                             {kInfinity, 1.0f, 2.0f},
                                             {1.0f, kInfinity, 2.0f},
                                             std::vector<float>(3, -kInfinity)}) {
      const Classified none = run(device, logits);
      EXPECT_TRUE(std::isnan(none.loss[0])) << testing::PrintToString(logits);
      EXPECT_EQ(none.correct[0], 0.0f) << testing::PrintToString(logits);
      for (const float grad : none.grad) EXPECT_TRUE(std::isnan(grad));
    }
  }
}

struct Penalised {
  std::vector<float> norm, grad;
};

Penalised penalise(const std::shared_ptr<Device>& device, const BatchShape& s,
                   math::Activation activation, Format format, bool saved, bool gradients) {
  // With zeros of both signs, and where a derivative changes.
  std::vector<float> x = uniform_floats(s.elements(), -2.0f, 2.0f, 1);
  for (size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 == 0 ? 0.0f : -0.0f;
  const std::vector<float> before = uniform_floats(s.elements(), -2.0f, 2.0f, 2);
  const Format given = device->kind() == DeviceKind::cuda ? format : Format::f32;
  Workspace w(device, s.shifted);
  L1Terms op;
  op.rows = s.put_rows(w);
  op.columns = s.columns;
  op.weight = 0.3f;
  op.activation = activation;
  op.x = put(w, held(x, format), given);
  if (saved) op.saved = put(w, held(before, format), given);
  op.norm = w.output<float>(s.rows());
  if (gradients) op.grad_x = output(w, s.elements(), given);
  w.run({op});
  Penalised result = {w.get(op.norm, s.active_rows()), {}};
  if (gradients) result.grad = get(w, op.grad_x, s.elements());
  return result;
}

TEST_P(CudaLosses, L1Terms) {
  math::Activations::for_each([&](auto member) {
    const auto activation = math::Activation::of<decltype(member)>();
    const bool usual = activation == math::Activation::of<math::Relu>();
    for (const BatchShape& shape : usual ? batch_shapes(kSizes) : few_batch_shapes())
      for (const Format format : formats())
        for (const auto& [saved, gradients] :
             {std::pair{true, true}, std::pair{false, true}, std::pair{false, false}}) {
          SCOPED_TRACE(testing::Message() << activation.name() << ", " << shape << ' ' << saved);
          const Penalised got = penalise(cuda_, shape, activation, format, saved, gradients);
          const Penalised want = penalise(cpu_, shape, activation, format, saved, gradients);
          std::vector<double> bound;
          for (const float norm : want.norm) bound.push_back(sum_bound(shape.columns, norm));
          EXPECT_TRUE(within(got.norm, want.norm, bound));
          if (!gradients) continue;
          const size_t active = shape.active_elements();
          EXPECT_TRUE(same_bits(first(got.grad, active), first(held(want.grad, format), active)));
          EXPECT_TRUE(zero_behind(got.grad, active));
        }
  });
}

/// Terms as wide as `columns`, narrower by two and left out; the sum in memory of its own, or in
/// the second or fourth term's.
enum class SumIn { own, second, fourth };

std::vector<float> sum_gradients(const std::shared_ptr<Device>& device, const BatchShape& s,
                                 Format format, SumIn place) {
  const Format given = device->kind() == DeviceKind::cuda ? format : Format::f32;
  const int32_t narrow = std::max(s.columns - 2, 1);
  Workspace w(device, s.shifted);
  GradientSum op;
  op.rows = s.put_rows(w);
  op.columns = s.columns;
  const auto term = [&](int32_t columns, unsigned seed) {
    // Of several magnitudes, so that another order of additions would show.
    std::vector<float> values =
        uniform_floats(s.rows() * static_cast<size_t>(columns), -1.0f, 1.0f, seed);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= i % 3 == seed % 3 ? 1.0f : 0x1p-6f;
    return GradientSum::Term{put(w, held(values, format), given), columns};
  };
  op.terms[0] = term(narrow, 1);
  op.terms[1] = term(s.columns, 2);
  if (place != SumIn::second) op.terms[3] = term(s.columns, 3);
  if (place == SumIn::own)
    op.out = output(w, s.elements(), given);
  else
    op.out = Reals(const_cast<void*>(op.terms[place == SumIn::second ? 1 : 3].data.data), given);
  w.run({op});
  return get(w, op.out, s.elements());
}

TEST_P(CudaLosses, GradientSum) {
  for (const BatchShape& shape : batch_shapes(kSizes))
    for (const Format format : formats())
      for (const SumIn place : {SumIn::own, SumIn::second, SumIn::fourth}) {
        SCOPED_TRACE(testing::Message() << shape << ", out " << static_cast<int>(place));
        const std::vector<float> got = sum_gradients(cuda_, shape, format, place);
        const std::vector<float> want = held(sum_gradients(cpu_, shape, format, place), format);
        const size_t active = shape.active_elements();
        EXPECT_TRUE(same_bits(first(got, active), first(want, active)));
        EXPECT_TRUE(zero_behind(got, active));
      }
}

TEST_P(CudaLosses, ImportanceWeights) {
  for (const BatchShape& shape : batch_shapes(kSizes)) {
    struct Result {
      std::vector<float> bound, weight;
    };
    // As many samples as a shape has columns.
    const std::vector<float> nll = uniform_floats(shape.inputs() * shape.width(), 80.0f, 88.0f, 1);
    const std::vector<float> log_ratio =
        uniform_floats(shape.inputs() * shape.width(), -24.0f, -20.0f, 2);
    const auto run = [&](const std::shared_ptr<Device>& device, bool weights) {
      Workspace w(device, shape.shifted);
      ImportanceWeights op;
      op.inputs = {w.put(std::vector{shape.state()}), shape.capacity, 1};
      op.samples = shape.columns;
      op.nll = w.put(nll);
      op.log_ratio = w.put(log_ratio);
      op.bound = w.output<float>(shape.inputs());
      if (weights) op.weight = w.output<float>(shape.inputs() * shape.width());
      w.run({op});
      const auto active = static_cast<size_t>(shape.active);
      return Result{w.get(op.bound, active),
                    weights ? w.get(op.weight, active * shape.width()) : std::vector<float>()};
    };
    // Exponentials are the same on both; their sum is taken in another order, and its relative
    // error is the weights' and the bound's absolute one.
    const double sum = sum_bound(shape.columns, 1.0);
    for (const bool weights : {true, false}) {
      SCOPED_TRACE(testing::Message() << shape << ", weights " << weights);
      const Result got = run(cuda_, weights), want = run(cpu_, weights);
      EXPECT_TRUE(within(got.bound, want.bound,
                         std::vector<double>(want.bound.size(), sum + 128.0 * kEpsilon)));
      std::vector<double> bound;
      for (const float weight : want.weight) bound.push_back((sum + 4.0 * kEpsilon) * weight);
      EXPECT_TRUE(within(got.weight, want.weight, bound));
      for (size_t i = 0; i < want.weight.size(); i += shape.width()) {
        double total = 0.0;
        for (size_t l = 0; l < shape.width(); ++l) total += want.weight[i + l];
        EXPECT_NEAR(total / static_cast<double>(shape.width()), 1.0, sum + 8.0 * kEpsilon);
      }
    }
  }
}

TEST_P(CudaLosses, SquaredDistance) {
  for (const BatchShape& shape : batch_shapes(kSizes)) {
    const auto run = [&](const std::shared_ptr<Device>& device) {
      Workspace w(device, shape.shifted);
      const Rows rows = shape.put_rows(w);
      const float* x = w.put(uniform_floats(shape.inputs() * shape.width(), -1.0f, 1.0f, 1));
      const float* y = w.put(uniform_floats(shape.elements(), -1.0f, 1.0f, 2));
      auto* distance = w.output<float>(shape.rows());
      w.run({SquaredDistance{rows, shape.columns, x, y, distance}});
      return w.get(distance, shape.active_rows());
    };
    const std::vector<float> got = run(cuda_), want = run(cpu_);
    std::vector<double> bound;
    for (const float distance : want) bound.push_back(sum_bound(shape.columns, distance));
    EXPECT_TRUE(within(got, want, bound)) << shape;
  }
}

}  // namespace
}  // namespace elbo

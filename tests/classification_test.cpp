// For every registered class loss: the gradient with respect to the logits matches the loss
// composed with softmax, the value matches its formula, and the loss is proper, i.e. its
// expectation is smallest if the predicted probabilities equal the distribution of the labels.
#include "kernels/classification.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/compare.hpp"
#include "tests/finite_difference.hpp"
#include "tests/workspace.hpp"

namespace elbo::math {
namespace {

using Logits = std::vector<double>;

double log_sum(const Logits& logits) {
  double sum = 0.0;
  for (const double logit : logits) sum += ::exp(logit);
  return ::log(sum);
}

ClassTerm<double> term(const Logits& logits, size_t c, size_t label, double shift) {
  return class_term(logits[c] - log_sum(logits), c == label, shift);
}

template <class L>
double loss(const Logits& logits, size_t label) {
  double sum = 0.0;
  for (size_t c = 0; c < logits.size(); ++c) sum += L::loss(term(logits, c, label, 0.0));
  return sum;
}

template <class L>
double gradient(const Logits& logits, size_t c, size_t label) {
  double shift = 0.0;
  for (size_t k = 0; k < logits.size(); ++k) {
    const ClassTerm<double> t = term(logits, k, label, 0.0);
    shift += t.p * (t.p - t.target);
  }
  return L::gradient(term(logits, c, label, shift));
}

const std::vector<Logits> kRows = {{0.3}, {2.0, -1.0}, {0.0, 0.0, 0.0}, {-3.0, 0.5, 6.0, 0.25}};

TEST(ClassLoss, GradientMatchesFiniteDifferences) {
  ClassLosses::for_each([](auto member) {
    using L = decltype(member);
    for (const Logits& row : kRows)
      for (size_t label = 0; label < row.size(); ++label)
        for (size_t c = 0; c < row.size(); ++c) {
          const auto numeric = finite_difference(
              [&](double value) {
                Logits moved = row;
                moved[c] = value;
                return loss<L>(moved, label);
              },
              row[c]);
          EXPECT_NEAR(gradient<L>(row, c, label), numeric.value, numeric.error) << L::name;
          EXPECT_LT(numeric.error, 1e-6) << L::name << ": loose error bound";
        }
  });
}

TEST(ClassLoss, MatchesFormula) {
  const Logits row = {-3.0, 0.5, 6.0, 0.25};
  const double sum = ::exp(-3.0) + ::exp(0.5) + ::exp(6.0) + ::exp(0.25);
  EXPECT_NEAR(loss<CrossEntropy>(row, 1), -::log(::exp(0.5) / sum), 1e-14);
  double squares = 0.0;
  for (size_t c = 0; c < row.size(); ++c)
    squares += std::pow(::exp(row[c]) / sum - (c == 1 ? 1.0 : 0.0), 2.0);
  EXPECT_NEAR(loss<SquaredError>(row, 1), squares, 1e-14);
}

// If labels are drawn from softmax(logits), these logits minimize the expected loss: the expected
// gradient is zero.
TEST(ClassLoss, IsProper) {
  ClassLosses::for_each([](auto member) {
    using L = decltype(member);
    for (const Logits& row : kRows)
      for (size_t c = 0; c < row.size(); ++c) {
        double expected = 0.0;
        for (size_t label = 0; label < row.size(); ++label)
          expected += ::exp(row[label] - log_sum(row)) * gradient<L>(row, c, label);
        EXPECT_NEAR(expected, 0.0, 1e-15) << L::name;
      }
  });
}

// Compares the op on the CPU with the losses above: labels are looked up by data set row, an input
// has several rows, the batch is partial, gradients are means over active rows and have a weight.
TEST(CategoricalTerms, MatchesFormula) {
  constexpr int32_t kInputs = 9, kActive = 7, kSamples = 2, kClasses = 37;
  constexpr size_t kRowCount = kActive * kSamples;
  constexpr double kWeight = 0.625;
  const std::vector<float> logits =
      uniform_floats(size_t{kInputs} * kSamples * kClasses, -8.0f, 8.0f, 1);
  const std::vector<int32_t> labels = {36, 0, 5, 20, 19, 7, 1, 35, 2, 30};
  const std::vector<uint32_t> ids = {9, 3, 0, 7, 5, 1, 8, 0, 0};
  ClassLosses::for_each([&](auto member) {
    using L = decltype(member);
    Workspace w(make_cpu_device(2));
    CategoricalTerms op;
    op.loss_kind = ClassLoss::of<L>();
    op.weight = static_cast<float>(kWeight);
    op.rows = {w.put(std::vector{StepState{.rows = kActive}}), kInputs, kSamples};
    op.classes = kClasses;
    op.labels = w.put(labels);
    op.label_count = static_cast<int64_t>(labels.size());
    op.row_ids = w.put(ids);
    op.logits = w.put(logits);
    op.loss = w.output<float>(kInputs * kSamples);
    op.correct = w.output<float>(kInputs * kSamples);
    w.run({op});
    const std::vector<float> got = w.get(op.logits, kRowCount * kClasses);
    std::vector<float> want_loss, want_correct, want_grad;
    for (size_t r = 0; r < kRowCount; ++r) {
      const Logits row(logits.begin() + static_cast<std::ptrdiff_t>(r * kClasses),
                       logits.begin() + static_cast<std::ptrdiff_t>((r + 1) * kClasses));
      const auto label = static_cast<size_t>(labels[ids[r / kSamples]]);
      want_loss.push_back(static_cast<float>(loss<L>(row, label)));
      want_correct.push_back(std::max_element(row.begin(), row.end()) - row.begin() ==
                             labels[ids[r / kSamples]]);
      for (size_t c = 0; c < kClasses; ++c)
        want_grad.push_back(static_cast<float>(kWeight * gradient<L>(row, c, label) / kRowCount));
    }
    EXPECT_TRUE(same_bits(w.get(op.correct, kRowCount), want_correct)) << L::name;
    // |log p| is below 32 here and is off by its own rounding. All other errors are roundings of
    // sums of at most 2, multiplied by factors of at most 14 (losses_cuda_test.cpp).
    const double error = sum_bound(kClasses, 1.0) + 0x1p-22 * 32.0;
    EXPECT_TRUE(within(w.get(op.loss, kRowCount), want_loss,
                       std::vector<double>(kRowCount, 5.0 * error + sum_bound(kClasses, 2.0))))
        << L::name;
    EXPECT_TRUE(
        within(got, want_grad, std::vector<double>(got.size(), 18.0 * error * kWeight / kRowCount)))
        << L::name;
  });
}

}  // namespace
}  // namespace elbo::math

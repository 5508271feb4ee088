// Every optimizer on the list against its textbook rule in double, over several steps; clipping;
// and the record a step leaves.
#include "kernels/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "tests/workspace.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// The rules as their papers and PyTorch's documentation write them.
struct Textbook {
  std::string_view rule;
  double learning_rate, weight_decay, momentum = 0.9, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight = 0.0, first = 0.0, second = 0.0;

  void update(double grad, int t) {
    if (rule == "adamw")
      weight -= learning_rate * weight_decay * weight;
    else
      grad += weight_decay * weight;
    if (rule == "sgd") {
      first = momentum * first + grad;
      weight -= learning_rate * first;
    } else if (rule == "adagrad") {
      first += grad * grad;
      weight -= learning_rate * grad / (std::sqrt(first) + epsilon);
    } else if (rule == "adam-epsilon-hat") {
      first = beta1 * first + (1.0 - beta1) * grad;
      second = beta2 * second + (1.0 - beta2) * grad * grad;
      const double rate =
          learning_rate * std::sqrt(1.0 - std::pow(beta2, t)) / (1.0 - std::pow(beta1, t));
      weight -= rate * first / (std::sqrt(second) + epsilon);
    } else if (rule == "adam" || rule == "adamw") {
      first = beta1 * first + (1.0 - beta1) * grad;
      second = beta2 * second + (1.0 - beta2) * grad * grad;
      const double first_hat = first / (1.0 - std::pow(beta1, t));
      const double second_hat = second / (1.0 - std::pow(beta2, t));
      weight -= learning_rate * first_hat / (std::sqrt(second_hat) + epsilon);
    } else {
      ADD_FAILURE() << "no textbook rule for optimizer " << rule;
    }
  }
};

StepPlan one_row_plan(double learning_rate) {
  StepPlan plan;
  plan.row_count = 1;
  plan.batch_rows = 1;
  plan.learning_rate.base = learning_rate;
  return plan;
}

TEST(Optimizer, FollowsItsTextbook) {
  constexpr size_t kCount = 1003;
  constexpr int kSteps = 5;
  const std::vector<float> start = uniform_floats(kCount, -1.0f, 1.0f, 1);
  for (const std::string_view name : math::Optimizers::names)
    for (const double weight_decay : {0.0, 0.125}) {
      const StepPlan plan = one_row_plan(0.25);
      Workspace w(make_cpu_device(1));
      OptimizerUpdate op;
      op.optimizer = {math::Optimizers::find(name)};
      op.settings.weight_decay = static_cast<float>(weight_decay);
      op.rate = 0.25f;  // of the state's learning rate: what the textbook is given
      op.count = kCount;
      op.weight = w.put(start);
      op.first_moment = w.put(std::vector<float>(kCount));
      op.second_moment = w.put(std::vector<float>(kCount));
      // A large epsilon, so that its position in the formula matters.
      op.settings.epsilon = 0.125f;
      std::vector<Textbook> want(
          kCount,
          {.rule = name, .learning_rate = 0.0625, .weight_decay = weight_decay, .epsilon = 0.125});
      for (size_t i = 0; i < kCount; ++i) want[i].weight = start[i];

      for (int step = 0; step < kSteps; ++step) {
        const std::vector<float> grad =
            uniform_floats(kCount, -2.0f, 2.0f, static_cast<unsigned>(100 + step));
        op.grad = w.put(grad);
        op.state = w.put(std::vector{plan.at(static_cast<uint64_t>(step))});
        w.run({op});
        for (size_t i = 0; i < kCount; ++i) want[i].update(grad[i], step + 1);
      }
      const auto weight = w.get(op.weight, kCount), first = w.get(op.first_moment, kCount),
                 second = w.get(op.second_moment, kCount);
      // Per step about eight roundings of an update no larger than 0.7, of a moment below 10, and
      // of betas that are themselves rounded: 0.999 by 2e-8, a twenty-thousandth part of 1 - 0.999.
      const double beta2_error = std::abs(0.999f - 0.999) / 0.001;
      for (size_t i = 0; i < kCount; ++i) {
        EXPECT_NEAR(weight[i], want[i].weight, kSteps * (8.0 * kEpsilon + 0.0625 * beta2_error))
            << name;
        // adagrad's sum stays below 30.
        EXPECT_NEAR(first[i], want[i].first, kSteps * 8.0 * kEpsilon * 30.0) << name;
        if (name.starts_with("adam")) {
          EXPECT_NEAR(second[i], want[i].second,
                      want[i].second * (beta2_error + kSteps * 8.0 * kEpsilon))
              << name;
        }
      }
    }
}

// Of a whole number of rows: the update of a sum is that of a gradient so many times as large, and
// its norm is clipped.
TEST(Optimizer, SumsOverTheBatchWhereAsked) {
  const std::vector<float> grad = uniform_floats(100, -1.0f, 1.0f, 3);
  std::vector<float> larger = grad;
  for (float& g : larger) g *= 4.0f;
  const auto updated = [](const std::vector<float>& gradient, bool summed, float clip_norm) {
    Workspace w(make_cpu_device(1));
    OptimizerUpdate op;
    op.optimizer = math::Optimizer::of<math::Sgd>();
    op.summed = summed;
    op.count = 100;
    op.grad = w.put(gradient);
    for (float** array : {&op.weight, &op.first_moment, &op.second_moment})
      *array = w.put(std::vector<float>(100));
    StepPlan plan = one_row_plan(1.0);
    plan.row_count = 6;
    plan.batch_rows = 4;
    op.state = w.put(std::vector{plan.at(0)});
    op.clip_norm = clip_norm;
    auto* partial = w.output<float>(1);
    op.squared_norm = partial;
    auto* ring = w.output<StepRecord>(1);
    op.end = {.plan = plan,
              .inputs = {op.state, 4, 1},
              .ring = ring,
              .ring_size = 1,
              .scratch = w.put(std::vector<StepScratch>(1))};
    w.run({SquaredNorm{100, op.grad, partial}, op});
    return std::pair(w.get(op.weight, 100), w.get(ring, 1)[0].gradient_norm);
  };
  for (const float clip_norm : {0.0f, 10.0f, 1e9f}) {
    const auto [got, norm] = updated(grad, true, clip_norm);
    const auto [want, whole] = updated(larger, false, clip_norm);
    EXPECT_FLOAT_EQ(norm, whole);
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], want[i], 4.0 * kEpsilon * std::abs(want[i])) << clip_norm;
  }
}

TEST(Optimizer, ClipsToTheNorm) {
  const std::vector<float> grad = uniform_floats(40000, -1.0f, 1.0f, 3);
  double squares = 0.0;
  for (const float g : grad) squares += static_cast<double>(g) * g;
  const double norm = std::sqrt(squares);
  for (const double limit : {0.5 * norm, 2.0 * norm}) {
    Workspace w(make_cpu_device(1));
    OptimizerUpdate op;
    op.optimizer = math::Optimizer::of<math::Sgd>();
    op.settings.momentum = 0.0f;
    const auto count = static_cast<int64_t>(grad.size());
    op.count = count;
    op.grad = w.put(grad);
    op.weight = w.put(std::vector<float>(grad.size()));
    op.first_moment = w.put(std::vector<float>(grad.size()));
    op.second_moment = w.put(std::vector<float>(grad.size()));
    op.state = w.put(std::vector{one_row_plan(1.0).at(0)});
    op.clip_norm = static_cast<float>(limit);
    auto* partial = w.output<float>(static_cast<size_t>(arena_chunks(count)));
    op.squared_norm = partial;
    w.run({SquaredNorm{count, op.grad, partial}, op});
    // The norm is a float sum of 16384 squares at a time.
    const double scale = std::min(1.0, limit / norm);
    const auto weight = w.get(op.weight, grad.size());
    for (size_t i = 0; i < grad.size(); ++i)
      ASSERT_NEAR(weight[i], -scale * grad[i], 128.0 * kEpsilon * std::abs(grad[i])) << limit;
  }
}

// The gradient is that of a mean, so the reported value must also be a mean, over active rows only.
TEST(StepEnd, ReportsMeansOverActiveRowsAndMovesOn) {
  Workspace w(make_cpu_device(1));
  StepPlan plan;
  plan.row_count = 7;
  plan.batch_rows = 4;
  plan.beta.base = 0.25;
  OptimizerUpdate op;
  op.rate = 0.5f;
  op.count = 3 * kArenaChunk;  // several tasks, the last of which ends the step
  for (float** array : {&op.weight, &op.first_moment, &op.second_moment})
    *array = w.put(std::vector<float>(static_cast<size_t>(op.count)));
  op.grad = op.weight;
  op.state = w.put(std::vector{plan.at(1)});  // rows 4, 5, 6
  auto* ring = w.output<StepRecord>(3);
  op.end = {.plan = plan,
            .inputs = {op.state, 4, 1},
            .terms = {{w.put(std::vector<float>{1, 2, 3, 4, 5, 9, 1000, 1000}), 2},
                      {},
                      {w.put(std::vector<float>{1, 2, 6, 1000}), 1}},
            .ring = ring,
            .ring_size = 3,
            .scratch = w.put(std::vector<StepScratch>(1))};
  w.run({op});
  EXPECT_EQ(w.get(op.end.scratch, 1)[0].parts_done, 0u);
  const StepRecord record = w.get(ring, 3)[1];
  EXPECT_EQ(record.step, 2u);
  EXPECT_EQ(record.epoch, 0u);
  EXPECT_EQ(record.rows, 3);
  EXPECT_EQ(record.terms[0], 4.0f);
  EXPECT_EQ(record.terms[1], 0.0f) << "nobody asked for it";
  EXPECT_EQ(record.terms[2], 3.0f);
  EXPECT_EQ(record.beta, 0.25f);
  EXPECT_EQ(record.learning_rate, static_cast<float>(plan.learning_rate.base))
      << "the state's, which other parameters may take another part of";
  EXPECT_EQ(record.gradient_norm, -1.0f);
  const StepState state = w.get(op.state, 1)[0];
  EXPECT_EQ(state.step, 2u);
  EXPECT_EQ(state.epoch, 1u);
  EXPECT_EQ(state.first_row, 0u);
  EXPECT_EQ(state.rows, 4);
}

}  // namespace
}  // namespace elbo

// Ops that gather must declare every address they may read, but count only the bytes they move.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// True if one declared read covers the whole range.
bool declares(const AccessList& accesses, const void* data, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  return std::ranges::any_of(accesses.items(), [&](const Access& access) {
    return !access.writes && access.begin <= begin && begin + bytes <= access.end;
  });
}

/// Checks that the op declares every row it reads in all batches of three epochs.
void expect_declared(GatherBatch op, const std::string& which) {
  SCOPED_TRACE(which);
  constexpr int32_t kBatch = 4;
  op.columns = 3;
  op.shuffle = true;
  op.seed = 7;
  op.batch = {nullptr, kBatch, 1};
  const AccessList accesses = op.accesses();
  const auto* rows = static_cast<const uint8_t*>(op.rows);
  StepPlan plan;
  plan.row_count = op.count;
  plan.batch_rows = kBatch;
  for (uint64_t step = 0; step < 3 * plan.steps_per_epoch(); ++step) {
    const StepState state = plan.at(step);
    const BatchOrder order(op, state);
    for (uint32_t i = 0; i < static_cast<uint32_t>(state.rows); ++i) {
      const BatchRow row = order(i);
      EXPECT_TRUE(declares(accesses, rows + 3 * size_t{row.place}, 3)) << step << ", " << i;
    }
  }
  if (op.index != nullptr) {
    const size_t index_count = op.window == 0 ? op.count : 2 * size_t{op.window};
    EXPECT_TRUE(declares(accesses, op.index, index_count * sizeof(uint32_t)));
  }
  const double moved = kBatch * 3.0 + (op.index == nullptr ? 0.0 : kBatch * sizeof(uint32_t));
  EXPECT_EQ(accesses.bytes(), moved);
}

TEST(Accesses, GatherBatchDeclaresEveryRowItReads) {
  const std::vector<uint8_t> rows(300);
  std::vector<uint32_t> index;
  for (uint32_t i = 0; i < 24; ++i) index.push_back(99 - 4 * i);
  expect_declared({.rows = rows.data(), .count = 100, .batch = {}}, "all rows");
  expect_declared(
      {.rows = rows.data(), .index = index.data(), .stored = 100, .count = 24, .batch = {}},
      "selected rows");
  expect_declared(
      {.rows = rows.data(), .index = index.data(), .count = 100, .window = 12, .batch = {}},
      "windows");
}

TEST(Accesses, CategoricalTermsDeclareEveryLabel) {
  const std::vector<int32_t> labels(50);
  const CategoricalTerms op = {.loss_kind = {},
                               .rows = {nullptr, 4, 1},
                               .classes = 3,
                               .labels = labels.data(),
                               .label_count = static_cast<int64_t>(labels.size())};
  EXPECT_TRUE(declares(op.accesses(), labels.data(), labels.size() * sizeof(int32_t)));
  EXPECT_EQ(op.accesses().bytes(), 4.0 * sizeof(int32_t));
}

// Rows are held out for validation, so an index selects the training rows.
TEST(Accesses, CoverTheDataSetInARecordedStep) {
  SmallTraining training(small_config(), small_data(50, 0.26));
  const auto& gather = training.op<GatherBatch>();
  ASSERT_NE(gather.index, nullptr);
  EXPECT_TRUE(declares(gather.accesses(), gather.rows, 50 * kSmallDim * sizeof(float)));
  EXPECT_TRUE(declares(gather.accesses(), gather.index, 37 * sizeof(uint32_t)));
}

}  // namespace
}  // namespace elbo

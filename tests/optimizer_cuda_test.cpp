// The CUDA execution of the end of a step equals the CPU's.
#include <cstdint>

#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

class CudaOptimizer : public CudaTest {
 protected:
  /// Sizes of an arena: within a chunk of the norm, at its edges, and several chunks.
  static std::vector<int64_t> arena_sizes() {
    std::vector<int64_t> all(std::begin(kSizes), std::end(kSizes));
    all.insert(all.end(), {kArenaChunk, kArenaChunk + 1, 2 * kArenaChunk + 4098});
    return all;
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaOptimizer);

TEST_P(CudaOptimizer, SquaredNorm) {
  for (const int64_t count : arena_sizes())
    for (const int shifted : {0, 1, 2}) {
      const auto chunks = static_cast<size_t>(arena_chunks(count));
      const auto run = [&](const std::shared_ptr<Device>& device) {
        Workspace w(device, shifted);
        auto* partial = w.output<float>(chunks);
        w.run({SquaredNorm{count, w.put(odd_eighths(static_cast<size_t>(count), 1)), partial}});
        return w.get(partial, chunks);
      };
      EXPECT_TRUE(same_bits(run(cuda_), run(cpu_))) << count;
    }
}

TEST_P(CudaOptimizer, OptimizerUpdate) {
  struct Result {
    std::vector<float> weight, first_moment, second_moment;
  };
  math::Optimizers::for_each([&](auto optimizer) {
    using Rule = decltype(optimizer);
    for (const int64_t size : arena_sizes())
      for (const float clip_norm : {0.0f, 0.5f, 1e9f})
        for (const int shifted : {0, 1, 2, 3, 4}) {
          const auto count = static_cast<size_t>(size);
          const auto run = [&](const std::shared_ptr<Device>& device) {
            Workspace w(device, shifted);
            StepState state;
            state.learning_rate = 0.01f;
            state.correction1 = 1.7f;
            state.correction2 = 5.3f;
            state.rows = 7;
            OptimizerUpdate op;
            op.optimizer = math::Optimizer::of<Rule>();
            op.rate = 0.3f;
            op.summed = shifted % 2 == 1;
            op.settings.weight_decay = 0.1f;
            op.state = w.put(std::vector{state});
            op.count = size;
            op.weight = w.put(uniform_floats(count, -1.0f, 1.0f, 2));
            op.grad = w.put(uniform_floats(count, -1.0f, 1.0f, 3));
            op.first_moment = w.put(uniform_floats(count, -1.0f, 1.0f, 4));
            op.second_moment = w.put(uniform_floats(count, 0.0f, 1.0f, 5));
            op.clip_norm = clip_norm;
            // Any partial sums will do: alike in exponent, so that their sum is exact.
            op.squared_norm =
                w.put(uniform_floats(static_cast<size_t>(arena_chunks(size)), 512.0f, 1024.0f, 6));
            w.run({op});
            return Result{w.get(op.weight, count), w.get(op.first_moment, count),
                          w.get(op.second_moment, count)};
          };
          SCOPED_TRACE(testing::Message() << Rule::name << ", " << size << ", clip " << clip_norm);
          const Result got = run(cuda_), want = run(cpu_);
          EXPECT_TRUE(same_bits(got.weight, want.weight));
          EXPECT_TRUE(same_bits(got.first_moment, want.first_moment));
          EXPECT_TRUE(same_bits(got.second_moment, want.second_moment));
        }
  });
}

struct StepResult {
  StepState state;
  std::vector<StepRecord> ring;
};

void expect_same_step(const StepResult& got, const StepResult& want) {
  EXPECT_EQ(got.state.step, want.state.step);
  EXPECT_EQ(got.state.epoch, want.state.epoch);
  EXPECT_EQ(got.state.first_row, want.state.first_row);
  EXPECT_EQ(got.state.rows, want.state.rows);
  // Schedules may use cos and pow, which libraries round differently in the last bit of a double.
  EXPECT_FLOAT_EQ(got.state.learning_rate, want.state.learning_rate);
  EXPECT_FLOAT_EQ(got.state.beta, want.state.beta);
  EXPECT_EQ(got.state.correction1, want.state.correction1);
  EXPECT_EQ(got.state.correction2, want.state.correction2);
  EXPECT_TRUE(same_bits(got.ring, want.ring));
}

TEST_P(CudaOptimizer, EndsAStep) {
  math::Decays::for_each([&](auto decay) {
    for (const int32_t batch : kSizes)
      for (const int32_t samples : {1, 3})
        for (const bool clipping : {false, true}) {
          StepPlan plan;
          plan.batch_rows = batch;
          plan.row_count = static_cast<uint32_t>(2 * batch + (batch + 1) / 2);
          plan.learning_rate = {0.01, 2, 50, 0.1, math::Decay::of<decltype(decay)>()};
          plan.beta = {0.5, 10, 0, 0.0, {}};
          // The second, third and first batch of an epoch: full, short, and round the end.
          for (const uint64_t step : {4u, 5u, 6u}) {
            const auto run = [&](const std::shared_ptr<Device>& device) {
              Workspace w(device);
              const auto rows = static_cast<size_t>(batch);
              OptimizerUpdate op;
              op.count = 5000;  // several blocks, the last of which ends the step
              for (float** array : {&op.weight, &op.first_moment, &op.second_moment})
                *array = w.put(std::vector<float>(5000));
              op.grad = op.weight;
              op.state = w.put(std::vector{plan.at(step)});
              op.clip_norm = clipping ? 1.0f : 0.0f;
              op.squared_norm = clipping ? w.put(uniform_floats(1, 1, 2, 9)) : nullptr;
              // Alike in exponent, so that their sums are exact in double.
              const auto values = [&](int32_t per_input, float low, float high) {
                const size_t count = rows * static_cast<size_t>(per_input);
                return StepTerm{w.put(uniform_floats(count, low, high, 7)), per_input};
              };
              op.end = {.plan = plan,
                        .inputs = {op.state, batch, 1},
                        .terms = {values(samples, 64, 128), {}, values(1, 8, 16)},
                        .ring = w.put(std::vector<StepRecord>(4)),
                        .ring_size = 4,
                        .scratch = w.put(std::vector<StepScratch>(1))};
              op.end.terms[kMostStepTerms - 1] = values(2, 1, 2);
              w.run({op});
              EXPECT_EQ(w.get(op.end.scratch, 1)[0].parts_done, 0u);
              return StepResult{w.get(op.state, 1)[0], w.get(op.end.ring, 4)};
            };
            SCOPED_TRACE(testing::Message() << "batch " << batch << ", step " << step);
            expect_same_step(run(cuda_), run(cpu_));
          }
        }
  });
}

}  // namespace
}  // namespace elbo

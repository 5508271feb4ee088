// Evaluation on CUDA agrees with the CPU, up to the rounding of sums.
#include <cmath>
#include <limits>

#include "host/train/evaluator.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

std::vector<double> log_likelihoods(const std::shared_ptr<Device>& device, int64_t batch,
                                    const ImportanceSampling& sampling) {
  const Dataset data = small_data(11);
  Model model(small_config(), {{kSmallDim}, DType::f32}, device, Model::Purpose::inference);
  model.set_weights(model.architecture.initial_weights(3, nullptr));
  return Evaluator(model, data.split("train"), batch).log_likelihoods(sampling);
}

// The logarithm of an importance weight is computed from ten sums of at most fifteen terms below
// 20. The relative error of the mean weight is at most the largest error of a weight.
TEST(EvaluationCuda, LikelihoodsMatchTheCpu) {
  constexpr double kRounding = 64.0 * std::numeric_limits<float>::epsilon() * 20.0;
  const std::vector<double> want = log_likelihoods(make_cpu_device(1), 11, {.samples = 13});
  for (const int64_t decoder_rows : {1, 16, 200}) {
    const std::vector<double> got = log_likelihoods(
        device_under_test(), 4, {.samples = 13, .decoder_rows = decoder_rows});  // 4, 4 and 3 rows
    ASSERT_EQ(got.size(), want.size());
    for (size_t r = 0; r < want.size(); ++r) EXPECT_NEAR(got[r], want[r], kRounding) << r;
  }
}

}  // namespace
}  // namespace elbo

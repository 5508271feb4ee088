// The benchmark's check on a device that does not share host memory: emulated kernels agree with
// the reference in every precision, and differences are reported.
#include "bench/check.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "bench/planning_device.hpp"
#include "bench/row.hpp"
#include "cuda_emulation/fibers.hpp"
#include "tests/emulated_device.hpp"

namespace elbo::bench {

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

namespace {

std::shared_ptr<Device> emulated_device() {
  return make_emulated_device(cuda::emulation::FiberExecutor());
}

/// Returns GPU rows that are fast to emulate; together they cover every op.
Rows small_rows() {
  const std::regex wanted(
      "(random_fill|latent_|likelihood_).*/(4096|128x20|20x50/samples=50|128x784)|"
      "permutation_fill/60000|(gather_batch|l1_terms).*/128x784|categorical_terms/.*/128x10|"
      "(gradient_sum|squared_distance)/128x784|column_sum.*/1024x32|"
      "convolution.*/64x64x3-32x32x32/k4/B=8/tf32|"
      "convolution.*/(8x8x128-4x4x256|4x4x256-8x8x128)/k4/B=8/bf16|"
      "resample.*/(4x4x128|8x8x128)/.*|group_norm.*/4x4x128/.*|swap_axes.*/32x32x3/.*|"
      "(squared_norm|optimizer_update).*/652824|"
      "dense.*/(256x64|32x256)/B=128/(tf32|bf16)|step/784-400-z20/bernoulli/B=128/(tf32|bf16)");
  Rows rows = all_rows();
  std::erase_if(rows, [&](const Row& row) {
    return row.only == DeviceKind::cpu || !std::regex_match(row.name, wanted);
  });
  return rows;
}

class BenchCheck : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Small, BenchCheck, testing::ValuesIn(small_rows()), [](const auto& row) {
  return std::regex_replace(row.param.name, std::regex("[^A-Za-z0-9]"), "_");
});

TEST_P(BenchCheck, AgreesWithTheReference) {
  const std::shared_ptr<Device> device = emulated_device();
  const Work work = GetParam().make(device);
  const Work image = GetParam().make(make_planning_device(device->kind()));
  EXPECT_EQ(difference(*device, work.program, image.program), std::nullopt);
}

/// Returns the check's message for the row `name` if `change` is applied to the op that the
/// reference computes; "agrees" if the check finds no difference.
template <class O, class Change>
std::string difference_after(const std::string& name, Change change) {
  const Rows rows = all_rows();
  const auto row = std::ranges::find(rows, name, &Row::name);
  if (row == rows.end()) return "unknown row";
  const std::shared_ptr<Device> device = emulated_device();
  const Work work = row->make(device);
  Work image = row->make(make_planning_device(device->kind()));
  change(std::get<O>(image.program.front()));
  return difference(*device, work.program, image.program).value_or("agrees");
}

void expect_start(const std::string& text, const std::string& start) {
  EXPECT_TRUE(text.starts_with(start)) << text;
}

TEST(BenchCheckReports, DifferentBits) {
  expect_start(
      difference_after<RandomFill>("random_fill/uniform/4096", [](RandomFill& op) { op.seed = 2; }),
      "random_fill: out[0] has bits ");
}

TEST(BenchCheckReports, UnexpectedRounding) {
  expect_start(
      difference_after<DenseForward>("dense_forward/identity/256x64/B=128/tf32",
                                     [](DenseForward& op) { op.precision = Precision::fp32; }),
      "dense_forward: y[");
}

TEST(BenchCheckReports, DifferentActivationInBfloat16) {
  expect_start(
      difference_after<DenseBackwardInput>(
          "dense_backward_input/relu/256x64/B=128/bf16",
          [](DenseBackwardInput& op) { op.activation = math::Activation::of<math::LeakyRelu>(); }),
      "dense_backward_input: grad_x[");
}

}  // namespace
}  // namespace elbo::bench

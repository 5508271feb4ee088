// Rows of whole training steps, and of their dense ops alone: what a step costs beyond its matrix
// products.
#include <algorithm>

#include "bench/row.hpp"
#include "bench/step_model.hpp"

namespace elbo::bench {
namespace {

constexpr int64_t kDataRows = 60000;

bool is_dense(const Op& op) {
  return std::holds_alternative<DenseForward>(op) ||
         std::holds_alternative<DenseBackwardInput>(op) ||
         std::holds_alternative<DenseBackwardWeights>(op);
}

Row step_row(const StepModel& model, int64_t batch, int threads, bool dense_only) {
  const std::string name = std::string(dense_only ? "step_dense_only/" : "step/") +
                           std::string(model.name) + "/" + std::string(model.likelihood) +
                           "/B=" + std::to_string(batch) +
                           (threads == 1 ? "/one_thread" : "/all_threads");
  return {name, Ceiling::matrix_product, threads,
          [&model, batch, dense_only](const std::shared_ptr<Device>& device) {
            auto step =
                std::make_shared<TrainingStep>(model, random_images(kDataRows), batch, 1, device);
            Program program = step->pass.program();
            if (dense_only) {
              step->pass.run(1);  // numbers of a real step in every buffer
              std::erase_if(program, [](const Op& op) { return !is_dense(op); });
            }
            return Work{std::move(program), std::move(step)};
          }};
}

}  // namespace

void add_step_rows(Rows& rows) {
  for (const StepModel& model : step_models())
    for (const int64_t batch : {20, 128, 1024})
      for (const int threads : {0, 1})
        for (const bool dense_only : {false, true})
          rows.push_back(step_row(model, batch, threads, dense_only));
}

}  // namespace elbo::bench

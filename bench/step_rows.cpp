// Rows of whole training steps and of their matrix products alone. The difference is the cost of
// everything else in a step.
#include "bench/row.hpp"
#include "host/measure/step_times.hpp"

namespace elbo::bench {
namespace {

/// The device and precision of a row; `name` is the last part of the row's name.
struct Variant {
  std::string_view name;
  DeviceKind device;
  int threads = 0;
  Precision precision = Precision::fp32;
};

Row step_row(const StepModel& model, int64_t batch, const Variant& variant, bool products_only) {
  const std::string name = std::string(products_only ? "step_products_only/" : "step/") +
                           std::string(model.name) + "/" +
                           text_of(step_config(model, batch, ChosenPrecision::fp32).likelihood) +
                           "/B=" + std::to_string(batch) + "/" + std::string(variant.name);
  const StepOptions options = {.batch = batch, .precision = chosen(variant.precision)};
  return {.name = name,
          .ceiling = Ceiling::matrix_product,
          .precision = variant.precision,
          .threads = variant.threads,
          .only = variant.device,
          .make = [&model, options, products_only](const std::shared_ptr<Device>& device) {
            auto step = std::make_shared<TrainingStep>(model, random_rows(model, model.random_rows),
                                                       options, device);
            Work work = {step->pass.program(), step};
            if (products_only) {
              // Run one whole step, so that every buffer contains realistic numbers.
              work.begin = [step = step.get()] { step->pass.run(1); };
              work.program = products_of(work.program);
            }
            return work;
          }};
}

}  // namespace

void add_step_rows(Rows& rows) {
  const Variant on_cpu[] = {{"all_threads", DeviceKind::cpu},
                            {"one_thread", DeviceKind::cpu, 1},
                            {"bf16", DeviceKind::cpu, 0, Precision::bf16}};
  const Variant on_gpu[] = {{"fp32", DeviceKind::cuda, 0, Precision::fp32},
                            {"tf32", DeviceKind::cuda, 0, Precision::tf32},
                            {"bf16", DeviceKind::cuda, 0, Precision::bf16}};
  const auto add = [&](std::string_view model, int64_t batch, const Variant& variant) {
    for (const bool products_only : {false, true})
      rows.push_back(step_row(step_model(model), batch, variant, products_only));
  };
  for (const std::string_view model : {"784-400-z20", "784-512-256-z32"}) {
    for (const int64_t batch : {20, 128, 1024})
      for (const Variant& variant : on_cpu) add(model, batch, variant);
    for (const int64_t batch : {128, 1024})
      for (const Variant& variant : on_gpu) add(model, batch, variant);
  }
  for (const int64_t batch : {32, 128})
    for (const Variant& variant : on_cpu) add("conv-32x32x3", batch, variant);
  for (const Variant& variant : on_gpu) add("conv-64x64x3", 128, variant);
}

}  // namespace elbo::bench

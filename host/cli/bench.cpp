// The command that times training steps on this machine.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "host/cli/commands.hpp"
#include "host/io/formatted.hpp"
#include "host/measure/step_times.hpp"
#include "kernels/ceilings.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchFlags {
  std::vector<std::string> models;
  std::vector<int64_t> batches;
  DeviceFlags device;
  int64_t iwae = 0;
  std::string precision = "auto";
  double seconds = 0.5;
  bool profile = false;
  bool json = false;
};

/// Measured peak rates of the machine; 0 if not measured, as on a GPU.
struct Ceilings {
  double product_gf_per_s = 0.0, copy_gb_per_s = 0.0;
};

/// Returns the percentage of a peak rate, as "  38", or "   -" if the peak is unknown.
std::string share(double rate, double ceiling) {
  return ceiling > 0.0 ? formatted("{:>4.0f}", 100.0 * rate / ceiling) : "   -";
}

Json share_json(double rate, double ceiling) {
  return ceiling > 0.0 ? Json(100.0 * rate / ceiling) : Json();
}

void print_step(const std::string& model, int64_t batch, const StepTimes& times,
                const Ceilings& most) {
  const double rate = 1e-9 * times.flops / times.step;
  std::printf("%-21s %5lld %9.3f %10.0f %7.1f %s %%  %9.3f %9.2f\n", model.c_str(),
              static_cast<long long>(batch), 1e3 * times.step,
              static_cast<double>(batch) / times.step, rate,
              share(rate, most.product_gf_per_s).c_str(), 1e3 * times.products,
              times.step / times.products);
  std::fflush(stdout);
}

Json step_json(int64_t batch, const StepTimes& times, const Ceilings& most) {
  const double rate = 1e-9 * times.flops / times.step;
  return {{"step_ms", 1e3 * times.step},
          {"samples_per_s", static_cast<double>(batch) / times.step},
          {"gf_per_s", rate},
          {"percent_of_product_rate", share_json(rate, most.product_gf_per_s)},
          {"products_ms", 1e3 * times.products},
          {"step_over_products", times.step / times.products}};
}

void print_profile(const std::string& model, int64_t batch, const std::vector<OpTimes>& ops,
                   const Ceilings& most) {
  double all = 0.0;
  for (const OpTimes& op : ops) all += op.seconds;
  std::printf("%s, batch %lld: %.3f ms a step\n", model.c_str(), static_cast<long long>(batch),
              1e3 * all);
  std::printf("%-41s %5s %9s %6s %7s  %% of %7s  %% of\n", "op", "count", "ms", "share", "GF/s",
              "GB/s");
  std::printf("%-41s %5s %9s %6s %7s  peak %7s  copy\n", "", "", "", "", "", "");
  for (const OpTimes& op : ops) {
    std::printf("%-41s %5d %9.4f %4.1f %%", op.name.c_str(), op.count, 1e3 * op.seconds,
                100.0 * op.seconds / all);
    const double flops = 1e-9 * op.flops / op.seconds, bytes = 1e-9 * op.bytes / op.seconds;
    if (op.flops > 0.0)
      std::printf(" %7.1f  %s\n", flops, share(flops, most.product_gf_per_s).c_str());
    else
      std::printf(" %7s  %4s %7.1f  %s\n", "", "", bytes, share(bytes, most.copy_gb_per_s).c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
}

Json profile_json(const std::vector<OpTimes>& ops, const Ceilings& most) {
  double all = 0.0;
  for (const OpTimes& op : ops) all += op.seconds;
  Json list = Json::array();
  for (const OpTimes& op : ops) {
    Json each = {{"op", op.name},
                 {"count", op.count},
                 {"ms", 1e3 * op.seconds},
                 {"percent_of_step", 100.0 * op.seconds / all}};
    const double flops = 1e-9 * op.flops / op.seconds, bytes = 1e-9 * op.bytes / op.seconds;
    if (op.flops > 0.0) {
      each["gf_per_s"] = flops;
      each["percent_of_product_rate"] = share_json(flops, most.product_gf_per_s);
    } else {
      each["gb_per_s"] = bytes;
      each["percent_of_copy_rate"] = share_json(bytes, most.copy_gb_per_s);
    }
    list.push_back(each);
  }
  return list;
}

void run_bench(BenchFlags flags) {
  if (flags.models.empty()) {
    flags.models = {"784-400-z20"};
    if (!flags.profile)
      flags.models.insert(flags.models.end(),
                          {"784-512-256-z32", "784-200-200-z50", "conv-32x32x3"});
  }
  if (flags.batches.empty())
    flags.batches = flags.profile ? std::vector<int64_t>{128} : std::vector<int64_t>{20, 128, 1024};
  for (const std::string& model : flags.models) step_model(model);  // before any work
  const std::shared_ptr<Device> device = flags.device.make();
  const ComputationSettings computation = {.precision = precision_named(flags.precision)};
  const Precision precision = computation.precision_on(device->kind());
  Ceilings most;
  if (device->kind() == DeviceKind::cpu) {
    const auto threads = static_cast<int>(flags.device.threads);
    most.product_gf_per_s = cpu_product_gf_per_s(threads, precision);
    if (flags.profile) most.copy_gb_per_s = cpu_copy_gb_per_s(threads);
  }
  if (!flags.json) {
    std::printf("%s, %s\n", device->describe().c_str(), name_of(precision));
    if (most.product_gf_per_s > 0.0)
      std::printf("at most %.1f GF/s in products (oneDNN, 1024^3, measured)\n",
                  most.product_gf_per_s);
    if (most.copy_gb_per_s > 0.0)
      std::printf("at most %.1f GB/s in copies (a = b + s c, beyond the cache, measured)\n",
                  most.copy_gb_per_s);
    std::printf("\n");
    if (!flags.profile)
      std::printf("%-21s %5s %9s %10s %7s %6s %11s %9s\n", "model", "batch", "ms/step", "samples/s",
                  "GF/s", "peak", "products ms", "quotient");
  }
  Json rows = Json::array();
  for (const std::string& name : flags.models) {
    const StepModel& model = step_model(name);
    const Dataset data = random_rows(model, model.random_rows);
    for (const int64_t batch : flags.batches) {
      TrainingStep training(
          model, data, {.batch = batch, .precision = computation.precision, .iwae = flags.iwae},
          device);
      Json row = {{"model", name}, {"batch", batch}, {"iwae", flags.iwae}};
      if (flags.profile) {
        const std::vector<OpTimes> ops = profile_step(training, flags.seconds);
        if (!flags.json) print_profile(name, batch, ops, most);
        row["profile"] = profile_json(ops, most);
      } else {
        const StepTimes times = time_step(training, flags.seconds);
        if (!flags.json) print_step(name, batch, times, most);
        row.update(step_json(batch, times, most));
      }
      rows.push_back(row);
    }
  }
  if (!flags.json) return;
  const auto rate = [](double value) { return value > 0.0 ? Json(value) : Json(); };
  const Json result = {{"device", device->describe()},
                       {"precision", name_of(precision)},
                       {"product_gf_per_s", rate(most.product_gf_per_s)},
                       {"copy_gb_per_s", rate(most.copy_gb_per_s)},
                       {"steps", rows}};
  std::printf("%s\n", result.dump(1).c_str());
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand(
      "bench", "Time training steps on this machine and compare with its roofline");
  command
      ->add_option(
          "--model", flags->models,
          step_model_names() + "; several with commas [four of them, with --profile the first]")
      ->type_name("NAME,...")
      ->delimiter(',');
  add_value(*command, "--batch", "N,...", flags->batches, Each{AtLeast{1, 1e7}},
            "batch sizes [20,128,1024, with --profile 128]");
  add_value(*command, "--iwae", "K", flags->iwae, AtLeast{0, 1e6},
            "number of samples of an importance-weighted bound; 0: ELBO");
  add_value(*command, "--precision", "NAME", flags->precision, NotEmpty{},
            "fp32, tf32, bf16, or auto as in training");
  add_value(*command, "--seconds", "X", flags->seconds, MoreThan{0, 1e6},
            "minimum seconds per measurement");
  command->add_flag("--profile", flags->profile, "print the time of each op of a step (CPU only)");
  command->add_flag("--json", flags->json, "print JSON");
  flags->device.add(*command);
  command->callback([flags] { run_bench(*flags); });
}

}  // namespace elbo::cli

// elbo_bench: checks every kernel of a device against the reference, then times it.
#include <benchmark/benchmark.h>
#include <omp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <regex>

#include "bench/gpu_models.hpp"
#include "bench/likelihood_command.hpp"
#include "bench/plan_command.hpp"
#include "bench/program_command.hpp"
#include "bench/step_command.hpp"
#include "bench/workbench.hpp"
#include "host/measure/step_model.hpp"

namespace elbo::bench {
namespace {

void time_row(benchmark::State& state, const Row& row, Workbench& bench) {
  bench.prepare(row);
  if (bench.difference()) {
    state.SkipWithError(bench.difference()->c_str());
    return;
  }
  if (!bench.choice().empty()) state.SetLabel(bench.choice());
  const double total = seconds_of([&] {
    while (state.KeepRunningBatch(bench.block())) bench.run_block();
  });
  const double seconds = total / static_cast<double>(state.iterations());

  double bytes = 0.0, flops = 0.0;
  for (const Op& op : bench.program()) {
    bytes += bytes_of(op);
    flops += flops_of(op);
  }
  Machine& machine = bench.machine();
  if (row.ceiling == Ceiling::matrix_product) {
    const double rate = 1e-9 * flops / seconds;
    state.counters["GF/s"] = rate;
    const double most = machine.product_gf_per_s(row.threads, row.precision);
    if (most > 0.0) state.counters[machine.product_share()] = 100.0 * rate / most;
    return;
  }
  const double rate = 1e-9 * bytes / seconds;
  state.counters["GB/s"] = rate;
  // The copy rate does not bound a row that fits in the cache, so that row has no %copy.
  if (bytes > machine.cached_bytes())
    state.counters["%copy"] = 100.0 * rate / machine.copy_gb_per_s(row.threads);
}

/// Shows the median over the repetitions and the coefficient of variation, or the first error.
/// Leaves out the mean, which is less informative.
class MedianReporter : public benchmark::ConsoleReporter {
 public:
  MedianReporter() : ConsoleReporter(isatty(STDOUT_FILENO) ? OO_ColorTabular : OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> shown;
    for (const Run& run : runs) {
      const bool first_error = run.aggregate_name.empty() && shown.empty();
      if (first_error || run.aggregate_name == "median" || run.aggregate_name == "cv")
        shown.push_back(run);
    }
    ConsoleReporter::ReportRuns(shown);
  }
};

int check_all(const Rows& rows, Workbench& bench) {
  for (const Row& row : rows) {
    bench.prepare(row);
    std::cout << (bench.difference() ? "DIFFERS  " : "agrees   ") << row.name;
    if (bench.difference()) std::cout << ": " << *bench.difference();
    std::cout << std::endl;
  }
  return bench.failed() ? 1 : 0;
}

int time_all(const Rows& rows, Workbench& bench) {
  for (const auto& [name, value] : bench.machine().context())
    benchmark::AddCustomContext(name, value);
  benchmark::AddCustomContext("compiler", __VERSION__);
  for (const Row& row : rows)
    benchmark::RegisterBenchmark(row.name.c_str(),
                                 [&](benchmark::State& state) { time_row(state, row, bench); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  MedianReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return bench.failed() ? 1 : 0;
}

void add_options(CLI::App& command, StepCommand& options) {
  command.add_option("--model", options.model, step_model_names())->capture_default_str();
  command.add_option("--batch", options.batch)->capture_default_str();
  command.add_option("--steps", options.steps)->capture_default_str();
  command.add_option("--seed", options.seed)->capture_default_str();
  command.add_option("--precision", options.precision, "fp32, tf32, bf16, or auto as in training")
      ->capture_default_str();
  command
      .add_option("--iwae", options.iwae, "samples of an importance-weighted bound; 0: the elbo")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--data", options.data, "a data set of the model's size; else random bytes");
  command.add_option("--write-initial-weights", options.initial_weights,
                     "write the weights training starts from to this file; without --serve, stop");
  command.add_flag("--serve", options.serve,
                   "obey the standard input: 'prepare' and 'run SEED', a line of JSON for each");
}

void add_options(CLI::App& command, LikelihoodCommand& options) {
  command.add_option("--model", options.model, step_model_names())->capture_default_str();
  const auto count = [&](const char* flag, int64_t& value, const char* text) {
    command.add_option(flag, value, text)->check(CLI::PositiveNumber)->capture_default_str();
  };
  count("--images", options.images, "rows whose likelihood is estimated");
  count("--importance-samples", options.samples, "of each row");
  count("--rounds", options.rounds, "that the two sides take turns in");
  command.add_option(
      "--data", options.data,
      "a data set of the model's size, whose test split is taken; else random bytes");
}

void add_options(CLI::App& command, PlanCommand& options) {
  std::string gpus;
  for (const GpuModel& gpu : gpu_models())
    gpus += (gpus.empty() ? "" : ", ") + std::string(gpu.key);
  command.add_option("--model", options.model, step_model_names())->capture_default_str();
  command.add_option("--batch", options.batch)->capture_default_str();
  command.add_option("--precision", options.precision, "fp32, tf32, bf16, or auto as in training")
      ->capture_default_str();
  command.add_option("--gpu", options.gpu, gpus)->capture_default_str();
  command.add_flag("--json", options.json, "print JSON");
}

int run(int argc, char** argv) {
  CLI::App app(
      "Checks and times elbo's kernels on the CPU or a GPU. Options --benchmark_... are Google "
      "Benchmark's own, e.g. --benchmark_out=FILE.json");
  app.allow_extras();
  std::string device = "cpu";
  int threads = omp_get_max_threads();
  bool check_only = false;
  std::string pattern;
  app.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--threads", threads, "threads of every row that does not say otherwise")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--check", check_only, "check the rows against the reference and time nothing");
  app.add_option("--rows", pattern, "only the rows whose name this regular expression matches");
  StepCommand step;
  CLI::App* step_command = app.add_subcommand("step", "time training steps; prints JSON");
  step_command->fallthrough();
  add_options(*step_command, step);
  LikelihoodCommand likelihood;
  CLI::App* likelihood_command = app.add_subcommand(
      "likelihood", "time importance-sampled likelihoods against matrix products; prints JSON");
  likelihood_command->fallthrough();
  add_options(*likelihood_command, likelihood);
  PlanCommand plan;
  CLI::App* plan_command = app.add_subcommand(
      "plan", "print the graph of a training step on a GPU, with predictions; needs no GPU");
  add_options(*plan_command, plan);
  ProgramCommand program;
  CLI::App* program_command =
      app.add_subcommand("program", "print the ops of a training step as recorded; needs no GPU");
  program_command->add_option("--config", program.config, "TOML file of settings, as a run's")
      ->required();
  program_command->add_option("--for", program.device, "device it is recorded for")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::vector<std::string> extras = app.remaining(true);
  if (!app.get_subcommands().empty() && !extras.empty())
    throw ConfigError("got '" + extras.front() + "', which " +
                      app.get_subcommands().front()->get_name() + " does not know");

  if (*step_command) {
    run_step_command(step, device, threads);
    return 0;
  }
  if (*likelihood_command) {
    run_likelihood_command(likelihood, device, threads);
    return 0;
  }
  if (*plan_command) {
    run_plan_command(plan);
    return 0;
  }
  if (*program_command) {
    run_program_command(program);
    return 0;
  }
  const std::unique_ptr<Machine> machine = make_machine(device, threads);
  // Our defaults come first, so that the options of the command line override them.
  std::vector<std::string> options = {
      "--benchmark_repetitions=31", std::string("--benchmark_min_time=") + machine->least_seconds(),
      "--benchmark_display_aggregates_only=true"};
  options.insert(options.end(), extras.begin(), extras.end());
  std::vector<char*> arguments = {argv[0]};
  for (std::string& option : options) arguments.push_back(option.data());
  auto count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

  Rows rows = all_rows();
  const std::regex wanted(pattern);
  std::erase_if(rows, [&](const Row& row) {
    return row.only.value_or(machine->kind()) != machine->kind() ||
           !std::regex_search(row.name, wanted);
  });
  Workbench bench(*machine);
  return check_only ? check_all(rows, bench) : time_all(rows, bench);
}

}  // namespace
}  // namespace elbo::bench

int main(int argc, char** argv) try {
  return elbo::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::cerr << "elbo_bench: " << error.what() << '\n';
  return 1;
}

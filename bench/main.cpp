// elbo_bench: checks every kernel of the CPU device against the reference, then times it.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <regex>

#include "bench/ceilings.hpp"
#include "bench/check.hpp"
#include "bench/row.hpp"
#include "bench/step_command.hpp"

namespace elbo::bench {
namespace {

template <class Run>
double seconds_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The row whose turn it is: made, checked and warm. Its repetitions share it.
class Workbench {
 public:
  explicit Workbench(int threads) : threads_(threads) {}

  int threads_of(const Row& row) const { return row.threads == 0 ? threads_ : row.threads; }

  void prepare(const Row& row) {
    if (row_ == row.name) return;
    executable_.reset();
    work_ = {};
    const std::shared_ptr<Device> device = make_cpu_device(threads_of(row));
    work_ = row.make(device);
    difference_ = bench::difference(*device, work_.program);
    failed_ |= difference_.has_value();
    executable_ = device->prepare(work_.program);
    const double seconds = seconds_of([&] { executable_->run(); });
    constexpr double kBlockSeconds = 0.005;
    block_ = std::clamp<int64_t>(static_cast<int64_t>(kBlockSeconds / seconds), 1, 1000);
    row_ = row.name;
  }
  /// What differs from the reference, if anything does.
  const std::optional<std::string>& difference() const { return difference_; }
  const Program& program() const { return work_.program; }
  Executable& executable() { return *executable_; }
  /// Runs in a row that take some milliseconds: waking the threads is then a small part, as it is
  /// in a training.
  int64_t block() const { return block_; }
  /// Whether any row so far differed.
  bool failed() const { return failed_; }

 private:
  int threads_;
  std::string row_;
  Work work_;
  std::optional<std::string> difference_;
  std::unique_ptr<Executable> executable_;
  int64_t block_ = 1;
  bool failed_ = false;
};

void time_row(benchmark::State& state, const Row& row, Workbench& bench) {
  bench.prepare(row);
  if (bench.difference()) {
    state.SkipWithError(bench.difference()->c_str());
    return;
  }
  const int64_t block = bench.block();
  const double total = seconds_of([&] {
    while (state.KeepRunningBatch(block)) bench.executable().run(static_cast<uint64_t>(block));
  });
  const double seconds = total / static_cast<double>(state.iterations());

  double bytes = 0.0, flops = 0.0;
  for (const Op& op : bench.program()) {
    bytes += bytes_of(op);
    flops += flops_of(op);
  }
  const Ceilings& most = ceilings(bench.threads_of(row));
  if (row.ceiling == Ceiling::matrix_product) {
    const double rate = 1e-9 * flops / seconds;
    state.counters["GF/s"] = rate;
    state.counters["%sgemm"] = 100.0 * rate / most.sgemm_gf_per_s;
    return;
  }
  const double rate = 1e-9 * bytes / seconds;
  state.counters["GB/s"] = rate;
  // Within the cache there is no such ceiling, and the row says nothing of it.
  if (bytes > 2.0 * last_level_cache_bytes())
    state.counters["%copy"] = 100.0 * rate / most.copy_gb_per_s;
}

/// Shows the median over the repetitions and its coefficient of variation, or the first error; the
/// mean says less.
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

int time_all(const Rows& rows, Workbench& bench, int threads) {
  const Ceilings& most = ceilings(threads);
  const dnnl_version_t* dnnl = dnnl_version();
  benchmark::AddCustomContext("device", make_cpu_device(threads)->describe());
  benchmark::AddCustomContext("copy_gb_per_s", std::to_string(most.copy_gb_per_s));
  benchmark::AddCustomContext("sgemm_gf_per_s", std::to_string(most.sgemm_gf_per_s));
  benchmark::AddCustomContext("onednn", std::to_string(dnnl->major) + "." +
                                            std::to_string(dnnl->minor) + "." +
                                            std::to_string(dnnl->patch));
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

int run(int argc, char** argv) {
  CLI::App app(
      "Checks and times elbo's kernels on the CPU. Options --benchmark_... are Google "
      "Benchmark's own, e.g. --benchmark_out=FILE.json");
  app.allow_extras();
  int threads = omp_get_max_threads();
  bool check_only = false;
  std::string pattern;
  app.add_option("--threads", threads, "threads of every row that does not say otherwise")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--check", check_only, "check the rows against the reference and time nothing");
  app.add_option("--rows", pattern, "only the rows whose name this regular expression matches");
  StepOptions step;
  CLI::App* step_command = app.add_subcommand("step", "time training steps; prints JSON");
  step_command->fallthrough();
  step_command->add_option("--model", step.model, "784-400-z20 or 784-512-256-z32")
      ->capture_default_str();
  step_command->add_option("--batch", step.batch)->capture_default_str();
  step_command->add_option("--steps", step.steps)->capture_default_str();
  step_command->add_option("--seed", step.seed)->capture_default_str();
  step_command->add_option("--data", step.data, "a data set of 28 x 28 images; else random bytes");
  step_command->add_option("--write-initial-weights", step.initial_weights,
                           "write the weights training starts from to this file, and stop");
  CLI11_PARSE(app, argc, argv);

  if (*step_command) {
    run_step_command(step, threads);
    return 0;
  }
  // Our defaults first: what the command line says comes later and wins.
  std::vector<std::string> options = {"--benchmark_repetitions=31", "--benchmark_min_time=0.02",
                                      "--benchmark_display_aggregates_only=true"};
  for (std::string& option : app.remaining()) options.push_back(std::move(option));
  std::vector<char*> arguments = {argv[0]};
  for (std::string& option : options) arguments.push_back(option.data());
  auto count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

  Rows rows = all_rows();
  const std::regex wanted(pattern);
  std::erase_if(rows, [&](const Row& row) { return !std::regex_search(row.name, wanted); });
  Workbench bench(threads);
  return check_only ? check_all(rows, bench) : time_all(rows, bench, threads);
}

}  // namespace
}  // namespace elbo::bench

int main(int argc, char** argv) try {
  return elbo::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::cerr << "elbo_bench: " << error.what() << '\n';
  return 1;
}

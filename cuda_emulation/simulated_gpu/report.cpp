#include "cuda_emulation/simulated_gpu/report.hpp"

#include <cxxabi.h>
#include <execinfo.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <utility>

#include "cuda_emulation/simulated_gpu/options.hpp"

namespace elbo::cuda::simulated {
namespace {

struct Findings {
  std::mutex mutex;
  std::map<std::string, uint64_t> texts;
  std::vector<std::string> order;
  bool defects = false;
  std::map<std::string, uint64_t> calls;
  uint64_t instructions = 0;
};

Findings& findings() {
  static auto* all = new Findings;  // never destroyed, because exit handlers read it
  return *all;
}

void print(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::fputs(text.c_str(), stderr);
  } else if (std::FILE* file = std::fopen(path.c_str(), "a")) {
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }
}

/// Reports requested failures and planted defects that never took effect. Without this, the run
/// would look as if the program had survived them.
void report_idle_faults(const Options& options) {
  for (const Failure& failure : options.failures)
    if (failure.calls < failure.call)
      report_doubt("fail=" + failure.function + ":" + std::to_string(failure.call) +
                   " did not occur: the function was called " + std::to_string(failure.calls) +
                   " times");
  const bool plants =
      options.without_edge != 0 || options.without_event != 0 || !options.without_wait.empty();
  if (plants && options.planted == 0)
    report_doubt("the planted defect did not occur: no such dependency, wait or kernel");
}

void summarize() {
  const Options& options = Options::get();
  report_idle_faults(options);
  Findings& all = findings();
  for (const auto& [text, count] : all.texts)
    if (count > 1)
      print(options.report, "simulated GPU: " + std::to_string(count) + " times: " + text + "\n");
  if (!options.counts.empty()) {
    std::string text;
    for (const auto& [name, count] : all.calls)
      text += "call " + name + " " + std::to_string(count) + "\n";
    text += "instructions " + std::to_string(all.instructions) + "\n";
    print(options.counts, text);
  }
  std::fflush(nullptr);
  if (all.defects && options.exit_code != 0) _exit(options.exit_code);
}

void add(const char* severity, const std::string& text) {
  const std::string line = std::string(severity) + ": " + text;
  Findings& all = findings();
  const std::lock_guard lock(all.mutex);
  if (++all.texts[line] > 1) return;
  all.order.push_back(line);
  print(Options::get().report, "simulated GPU: " + line + "\n");
  if (!Options::get().backtrace) return;
  void* frames[24];
  backtrace_symbols_fd(frames, backtrace(frames, 24), STDERR_FILENO);
}

}  // namespace

void report_defect(const std::string& text) {
  findings().defects = true;
  add("defect", text);
}
void report_doubt(const std::string& text) { add("doubt", text); }

std::vector<std::string> take_findings() {
  Findings& all = findings();
  const std::lock_guard lock(all.mutex);
  all.texts.clear();
  all.defects = false;
  return std::exchange(all.order, {});
}

void report_at_exit() {
  findings();
  std::atexit(summarize);
}

Injected count_call(const char* function) {
  Findings& all = findings();
  const std::lock_guard lock(all.mutex);
  ++all.calls[function];
  Injected result = Injected::kNothing;
  for (const Failure& failure : Options::get().failures) {
    if (failure.function != function) continue;
    ++failure.calls;
    if (failure.calls == failure.call || (failure.onwards && failure.calls > failure.call))
      result = failure.lasting ? Injected::kLastingError : Injected::kError;
  }
  return result;
}

void count_instructions(uint64_t instructions) { findings().instructions += instructions; }

std::string readable(const std::string& mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? text : mangled;
  std::free(text);
  for (const std::string common : {"(anonymous namespace)::", "elbo::cuda::", "elbo::"})
    for (size_t at = name.find(common); at != std::string::npos; at = name.find(common))
      name.erase(at, common.size());
  if (const size_t end = name.find('('); end != std::string::npos) name.resize(end);
  if (name.starts_with("void ")) name.erase(0, 5);
  return name;
}

std::mt19937_64& dice() {
  static std::mt19937_64 generator(Options::get().seed);
  return generator;
}
bool chance(double probability) {
  return std::uniform_real_distribution<>(0.0, 1.0)(dice()) < probability;
}
size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(dice()); }

}  // namespace elbo::cuda::simulated

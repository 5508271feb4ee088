#include "kernels/cuda/graph_choice.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <limits>
#include <optional>

#include "kernels/cuda/snapshot.hpp"
#include "kernels/cuda/trial.hpp"

namespace elbo::cuda {
namespace {

constexpr double kMillisecond = 1e3;  // in microseconds

struct Form {
  GraphOptions options;
  std::string name;
  std::unique_ptr<StepGraph> graph = nullptr;
  double time = std::numeric_limits<double>::infinity();  // the shortest launch, in microseconds
};

std::vector<Form> all_forms(int repeats) {
  std::vector<Form> forms;
  for (const bool overlapping : {false, true})
    for (const bool branches : {false, true})
      forms.push_back({{repeats, branches, overlapping},
                       std::string("graph, ") + (branches ? "branches" : "one chain") +
                           (overlapping ? ", overlapping kernels" : "") + ": "});
  return forms;
}

std::string microseconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f us", value);
  return text;
}

/// Returns the time of one launch, in microseconds, without the time to restore the state.
double launch_time(const Form& form, const Snapshot& before, cudaStream_t stream) {
  const Event start, stop;
  before.restore();
  start.record(stream);
  form.graph->launch(stream);
  stop.record(stream);
  return stop.microseconds_since(start);
}

}  // namespace

GraphChoice choose_graph(const std::vector<Access>& carried, int repeats, const MakeGraph& make,
                         const DescribeGraph& describe, cudaStream_t stream) {
  constexpr double kMostTime = 200.0 * kMillisecond;  // of the launches after the first round
  constexpr int kMostRounds = 3;
  GraphChoice choice;
  std::optional<Snapshot> before, first;  // `first`: content after a run of the first form
  try {
    before.emplace(carried, stream);
    first.emplace(carried, stream);
    warm_up(stream);
  } catch (const GpuLost&) {
    throw;
  } catch (const DeviceError& error) {
    recover();
    choice.notes.push_back(std::string("graphs not tried, one kernel after another: ") +
                           error.what());
    return choice;
  }

  std::vector<Form> forms;
  std::exception_ptr failure;
  double round_time = 0.0;
  for (Form& form : all_forms(repeats)) {
    try {
      form.graph = make(form.options);
      form.time = launch_time(form, *before, stream);
      if (forms.empty()) first->take();
      const uint64_t differing = forms.empty() ? 0 : first->differing_words();
      if (differing > 0) {
        choice.notes.push_back(form.name + std::to_string(differing) +
                               " words of the result differ, not used");
        continue;
      }
      round_time += form.time;
      forms.push_back(std::move(form));
    } catch (const GpuLost&) {
      throw;
    } catch (const DeviceError& error) {
      recover();
      failure = std::current_exception();
      choice.notes.push_back(form.name + error.what());
    }
  }
  // Forms take turns, so that a change of the clock rate affects all of them. A slow program keeps
  // the times of its first launches.
  double spent = 0.0;
  for (int round = 0; round < kMostRounds && spent + round_time <= kMostTime; ++round)
    for (Form& form : forms) {
      const double time = launch_time(form, *before, stream);
      form.time = std::min(form.time, time);
      spent += time;
    }
  before->restore();
  if (forms.empty()) std::rethrow_exception(failure);

  for (const Form& form : forms)
    choice.notes.push_back(form.name + describe(*form.graph) + ", " +
                           microseconds(form.time / repeats) + " a run");
  Form& best = *std::ranges::min_element(forms, {}, &Form::time);
  choice.graph = std::move(best.graph);
  choice.options = best.options;
  return choice;
}

}  // namespace elbo::cuda

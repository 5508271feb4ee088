#include <algorithm>
#include <cstdio>
#include <limits>

#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/cli/progress.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

void add_evaluate(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    DataFlags data;
    std::optional<int64_t> samples, importance_samples;
    bool json = false, quiet = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "evaluate",
      "Evaluate a model on a data set: ELBO, reconstruction error, accuracy, as applicable");
  flags->model.add(*command);
  flags->data.add(*command);
  add_value(*command, "--samples", "N", flags->samples, Any{},
            "number of posterior samples per row (default: as in training)");
  add_value(*command, "--importance-samples", "K", flags->importance_samples, AtLeast{1, 1e19},
            "also estimate nll = -log p(x) with K importance samples per row: an upper bound that "
            "tightens with K; papers use 5000");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->add_flag("--quiet", flags->quiet, "never show a progress bar");
  command->callback([flags] {
    const Model model = flags->model.load(flags->samples);
    const Dataset data = flags->data.open(flags->model, model, flags->quiet);
    const Split& split = data.split(flags->data.split);
    ImportanceSampling importance = {.samples = flags->importance_samples.value_or(0)};
    Evaluation result;
    {
      constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
      const int64_t rows = std::max<int64_t>(1, split.size());
      WorkDisplay display("samples", rows * std::min(importance.samples, kMost / rows),
                          flags->quiet);
      importance.on_progress = [&](int64_t weighed) { display.add(weighed); };
      result = Evaluator(model, split).evaluate(importance);
    }
    if (flags->json)
      std::printf("%s\n", to_json(result).c_str());
    else
      std::printf("%s\n", describe(flags->data.split, result).c_str());
  });
}

}  // namespace elbo::cli

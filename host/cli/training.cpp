#include "host/cli/training.hpp"

#include <cstdio>
#include <cstring>

#include "host/cli/faults.hpp"
#include "host/cli/output.hpp"
#include "host/cli/progress.hpp"
#include "host/data/statistics.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

void announce(const Dataset& data) {
  std::printf("%s: %lld rows of %s to train on", data.path().c_str(),
              static_cast<long long>(data.split("train").size()),
              to_string(data.sample_shape()).c_str());
  for (const char* split : {"validation", "test"})
    if (data.has(split))
      std::printf(", %lld %s", static_cast<long long>(data.split(split).size()), split);
  std::printf("\n");
  std::fflush(stdout);
}

void announce(const Trainer& trainer) {
  const Model& model = trainer.model();
  const Dataset& data = trainer.dataset();
  std::printf("recipe %s, %lld parameters, on %s\n", trainer.config().recipe.c_str(),
              static_cast<long long>(model.architecture.layout().parameter_count()),
              model.device->describe().c_str());
  for (const std::string& line : describe_composition(model.settings, data.sample_shape()))
    std::printf("  %s\n", line.c_str());
  if (const double floor =
          model.takes_grey_targets() ? mean_entropy(data.split("train"), data.dim()) : 0.0;
      floor > 0.0)
    std::printf(
        "note: grey targets under %s: a cross-entropy, not a likelihood; floor %.2f "
        "nats; --binarize dynamic gives a likelihood\n",
        said(model.settings, model.settings.likelihood).c_str(), floor);
  std::fflush(stdout);
}

/// Trains; appends to errors how to resume.
TrainingEnd train_watched(Trainer& trainer, RunDirectory& run, bool quiet) {
  const auto with_advice = [&](const std::exception& error) {
    return std::string(error.what()) + "; " + run.how_to_resume();
  };
  advise_after_fault("`elbo resume " + run.path().string() +
                     "` resumes from the last checkpoint, if there is one");
  try {
    ProgressDisplay display(quiet);
    StopSignals signals;
    ObserverGroup observers({&run, &display, &signals});
    const TrainingEnd end = trainer.train(&observers);
    if (end == TrainingEnd::interrupted)
      throw Interrupted(
          signals.received(),
          formatted("interrupted ({}) after step {} of {}; {}", ::strsignal(signals.received()),
                    trainer.progress().step, trainer.total_steps(), run.how_to_resume()));
    return end;
  } catch (const DeviceError& error) {
    throw DeviceError(with_advice(error));
  } catch (const DataError& error) {
    throw DataError(with_advice(error));
  } catch (const std::bad_alloc&) {
    throw DeviceError("out of memory; a smaller model or batch needs less; " + run.how_to_resume());
  } catch (const DivergenceError& error) {
    throw DivergenceError(
        std::string(error.what()) + "; more in " + run.divergence_file().string() +
        "; `elbo resume " + run.path().string() +
        " --on-divergence rollback` resumes from the last checkpoint with half the learning rate");
  }
}

}  // namespace

void Talk::add(CLI::App& command) {
  command.add_flag("--quiet", quiet, "print warnings and errors only");
  command.add_flag("--verbose", verbose, "also print the choices made for the GPU");
}

void Talk::check() const {
  if (quiet && verbose) throw ConfigError("--quiet cannot be combined with --verbose: use one");
}

Dataset open_training_data(const Config& config, const Config& start,
                           const std::filesystem::path& run, const SettingFlags& settings,
                           const Talk& talk) {
  Dataset data = open_dataset(config, run, talk.quiet);
  if (!talk.quiet) announce(data);
  settings.print_notes(config.idle(data, start, settings.keys()));
  return data;
}

void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk) {
  const bool quiet = talk.quiet;
  if (!quiet) announce(trainer);
  const TrainingEnd end = train_watched(trainer, run, quiet);
  if (talk.verbose)
    for (const std::string& note : trainer.pass().notes()) std::printf("plan: %s\n", note.c_str());
  if (end == TrainingEnd::out_of_time) {
    if (!quiet)
      std::printf(
          "stopped after %g minutes and step %llu of %llu; %s\n", trainer.config().max_minutes,
          static_cast<unsigned long long>(trainer.progress().step),
          static_cast<unsigned long long>(trainer.total_steps()), run.how_to_resume().c_str());
    return;
  }
  std::optional<Evaluation> test;
  if (trainer.dataset().has("test")) test = trainer.evaluate("test");
  run.write_summary(trainer, test);
  if (quiet) return;
  if (end == TrainingEnd::stopped_early)
    std::printf("stopped early: no better validation score since epoch %llu\n",
                static_cast<unsigned long long>(trainer.progress().best_epoch));
  if (test) std::printf("%s\n", describe("test", *test).c_str());
  if (!run.samples_picture().empty())
    std::printf("samples:         %s\n", run.samples_picture().c_str());
  if (!run.reconstructions_picture().empty())
    std::printf("reconstructions: %s\n", run.reconstructions_picture().c_str());
  if (!run.interpolations_picture().empty())
    std::printf("interpolations:  %s\n", run.interpolations_picture().c_str());
  std::printf("run:             %s\n", run.path().c_str());
}

}  // namespace elbo::cli

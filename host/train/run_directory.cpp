#include "host/train/run_directory.hpp"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/data/sample_pictures.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/png.hpp"
#include "host/io/staged_directory.hpp"
#include "host/train/generation.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Starts from Json::object(): the library's own conversion of null to an object does not survive a
// failing allocation.
Json json_of(const Evaluation& e) {
  Json json = Json::object();
  for_each_metric(e, [&](const std::string& name, double value) {
    if (name == "active_units" || name == "importance_samples")
      json[name] = static_cast<int64_t>(value);
    else
      json[name] = value;
  });
  json["count"] = e.count;
  return json;
}

constexpr const char* kParts[] = {"checkpoints", "samples", "reconstructions", "interpolations"};
constexpr const char* kInUse = "another process is training here";

void make_directories(const fs::path& run) {
  for (const char* part : kParts) {
    std::error_code error;
    fs::create_directories(run / part, error);
    if (error) fail_system(run / part, "create", error.value());
  }
}

void require_run(const fs::path& path) {
  if (!fs::is_regular_file(path / "config.toml"))
    throw DataError(path.string() + ": not a run directory (it has no config.toml)");
}

/// Returns the step of a line of metrics; nothing if this program did not write the line.
std::optional<uint64_t> step_in(const Json& line) {
  if (!line.is_object()) return std::nullopt;
  const auto step = line.find("step");
  if (step == line.end() || !step->is_number_unsigned()) return std::nullopt;
  return step->get<uint64_t>();
}

/// Parses a line that on_metrics() wrote.
TrainingMetrics metrics_from(const Json& line) {
  TrainingMetrics m;
  const auto take = [&](const char* key, auto& member) {
    if (line.contains(key) && line[key].is_number()) line[key].get_to(member);
  };
  take("step", m.step);
  take("epoch", m.epoch);
  take("learning_rate", m.learning_rate);
  take("beta", m.beta);
  take("seconds", m.seconds);
  take("samples_per_second", m.samples_per_second);
  for (const auto& [key, value] : line.items())
    if (value.is_number() && key != "step" && key != "epoch" && key != "learning_rate" &&
        key != "beta" && key != "seconds" && key != "samples_per_second")
      m.values.push_back({key, value.get<double>()});
  return m;
}

/// Returns the first rows of the split from which pictures are made.
Split pictured_rows(const Dataset& data, int64_t count) {
  Split rows = data.split(data.has("validation") ? "validation"
                          : data.has("test")     ? "test"
                                                 : "train");
  if (rows.index.empty()) {
    rows.index.resize(static_cast<size_t>(rows.row_count));
    std::iota(rows.index.begin(), rows.index.end(), 0u);
  }
  rows.index.resize(static_cast<size_t>(std::min(count, rows.size())));
  return rows;
}

fs::path epoch_file(const fs::path& directory, uint64_t epoch) {
  return directory / formatted("epoch-{:04}.png", epoch);
}

[[noreturn]] void fail_existing(const fs::path& path) {
  throw ConfigError("out: '" + path.string() +
                    "' exists already; choose another, or resume it: `elbo resume " +
                    path.string() + "`");
}

}  // namespace

void RunDirectory::refuse_existing(const fs::path& path) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error))) fail_existing(path);
}

RunDirectory RunDirectory::create(const fs::path& path, const Config& config) {
  refuse_existing(path);
  fs::path target = path;
  if (!target.has_filename()) target = target.parent_path();  // "run/"
  StagedDirectory staged(target);
  make_directories(staged.path());
  write_file_atomically(staged.path() / "config.toml", to_toml(config));
  RunDirectory run(path);
  run.lock_ = FileLock(staged.path() / "lock", kInUse);
  run.metrics_ = LogFile(staged.path() / "metrics.jsonl");
  if (!staged.commit()) fail_existing(path);
  return run;
}

RunDirectory RunDirectory::reopen(const fs::path& path) {
  require_run(path);
  RunDirectory run(path);
  run.lock_ = FileLock(path / "lock", kInUse);
  make_directories(path);
  return run;
}

std::vector<std::string> RunDirectory::restore(Trainer& trainer) {
  std::vector<std::string> errors = checkpoints_.restore(trainer);
  remove_abandoned_files(path_);
  for (const char* part : kParts) remove_abandoned_files(path_ / part);
  drop_metrics_after(trainer.progress().step);
  const std::string settings = to_toml(trainer.config());
  if (settings != to_toml(read_run_config(path_)))
    write_file_atomically(path_ / "config.toml", settings);
  return errors;
}

/// Drops the metrics of later steps, which will be run (again), and truncated lines.
void RunDirectory::drop_metrics_after(uint64_t step) {
  const fs::path file = path_ / "metrics.jsonl";
  std::ifstream metrics(file);
  if (!metrics && fs::exists(file)) fail_system(file, "open", errno);
  std::string kept, line;
  bool drops = false;
  while (std::getline(metrics, line)) {
    const Json entry = Json::parse(line, nullptr, false);
    const std::optional<uint64_t> of = step_in(entry);
    if (!of || *of > step) {
      drops = true;
      continue;
    }
    kept += line + '\n';
    if (entry.contains("split") && entry["split"] == "train") last_ = metrics_from(entry);
  }
  if (metrics.bad()) fail_system(file, "read", errno);
  metrics.close();
  if (drops) write_file_atomically(file, kept);
  metrics_ = LogFile(file);
}

void RunDirectory::on_metrics(const TrainingMetrics& m) {
  last_ = m;
  Json line = {{"split", "train"}, {"step", m.step}, {"epoch", m.epoch}};
  for (const Metric& metric : m.values) line[metric.name] = metric.value;
  line["learning_rate"] = m.learning_rate;
  line["beta"] = m.beta;
  line["seconds"] = m.seconds;
  line["samples_per_second"] = m.samples_per_second;
  metrics_.append(line.dump());
}

void RunDirectory::on_report(const TrainingReport& report, const Trainer& trainer) {
  if (report.validation) {
    Json line = {
        {"split", "validation"}, {"step", report.training.step}, {"epoch", report.training.epoch}};
    line.update(json_of(*report.validation));
    line["learning_rate"] = report.training.learning_rate;
    line["seconds"] = report.training.seconds;
    metrics_.append(line.dump());
  }
  draw(trainer);
  std::string plan;
  for (const std::string& note : trainer.pass().notes()) plan += note + '\n';
  if (!plan.empty()) write_file_atomically(path_ / "plan.txt", plan);
  metrics_.sync();  // before the checkpoint, so that no checkpoint lacks its metrics
  // Without validation there is no score to compare: the last state counts as the best.
  if (report.best || !report.validation) checkpoints_.save_best(trainer);
  checkpoints_.save_last(trainer);
}

void RunDirectory::on_checkpoint(const Trainer& trainer) {
  metrics_.sync();
  checkpoints_.save_last(trainer);
}

void RunDirectory::on_divergence(const Divergence& divergence) {
  divergence_ = path_ / formatted("divergence-{}.json", divergence.step.step);
  write_file_atomically(divergence_, to_json(divergence) + '\n');
  if (divergence.learning_rate_factor) drop_metrics_after(divergence.good_step);
}

std::string RunDirectory::how_to_resume() const {
  const std::vector<fs::path> files = checkpoints_.all();
  if (files.empty()) return "there is no checkpoint yet";
  return "the last checkpoint is " + files.front().string() + "; `elbo resume " + path_.string() +
         "` resumes from it";
}

void RunDirectory::draw(const Trainer& trainer) {
  const Model& model = trainer.model();
  const int64_t count = trainer.config().picture_count;
  if (count == 0 || !model.architecture.has(Part::decoder)) return;
  const uint64_t epoch = trainer.progress().epoch;
  if (!pictured_)
    pictured_ = std::make_shared<Evaluator>(model, pictured_rows(trainer.dataset(), count), count);
  if (has_prior(model.settings)) {
    samples_ = epoch_file(path_ / "samples", epoch);
    write_png(samples_, tile_grid(sample(model, count, static_cast<uint64_t>(model.settings.seed)),
                                  model.data.sample_shape));
  }
  reconstructions_ = epoch_file(path_ / "reconstructions", epoch);
  const Evaluator::Reconstructions pairs = pictured_->reconstruct(count);
  write_reconstructions(reconstructions_, pairs, model.data.sample_shape);
  if (pairs.inputs.size() < 2 * static_cast<size_t>(model.data.dim())) return;
  interpolations_ = epoch_file(path_ / "interpolations", epoch);
  write_interpolations(interpolations_, model, pairs.inputs, pictured_->encode(false));
}

void RunDirectory::write_summary(const Trainer& trainer, const std::optional<Evaluation>& test) {
  const TrainingProgress& progress = trainer.progress();
  Json summary = {{"step", progress.step},
                  {"epoch", progress.epoch},
                  {"stopped_early", trainer.stopped_early()},
                  {"rollbacks", progress.rollbacks},
                  {"parameters", trainer.model().architecture.layout().parameter_count()},
                  {"device", trainer.model().device->describe()},
                  {"seconds", last_.seconds}};
  Json train = Json::object();
  for (const Metric& metric : last_.values) train[metric.name] = metric.value;
  if (!train.empty()) summary["train"] = std::move(train);
  if (std::isfinite(progress.best_score))
    summary["best_validation"] = {{"score", progress.best_score}, {"epoch", progress.best_epoch}};
  if (test) summary["test"] = json_of(*test);
  write_file_atomically(path_ / "summary.json", summary.dump(2) + '\n');
}

Config read_run_config(const fs::path& run) {
  require_run(run);
  Config config;
  try {
    apply_toml_file(config, run / "config.toml");
  } catch (const ConfigError& error) {
    throw DataError(error.what());
  }
  return config;
}

fs::path find_checkpoint(const fs::path& path, std::string_view which) {
  if (fs::is_regular_file(path)) return path;
  const fs::path found = path / "checkpoints" / (std::string(which) + ".safetensors");
  if (fs::is_regular_file(found)) return found;
  if (which == "last")
    if (const auto files = CheckpointFiles(path / "checkpoints").all(); !files.empty())
      return files.front();
  if (!fs::exists(path)) throw DataError(path.string() + ": no such run directory or checkpoint");
  throw DataError(path.string() + ": no checkpoint '" + std::string(which) + "' in it (" +
                  found.string() + " is missing)");
}

void write_reconstructions(const fs::path& path, const Evaluator::Reconstructions& pairs,
                           const Shape& sample_shape) {
  const int64_t dim = element_count(sample_shape);
  const int64_t count = static_cast<int64_t>(pairs.inputs.size()) / dim;
  const auto root = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(2 * count))));
  const int64_t columns = std::max<int64_t>(1, std::min(count, (root + 1) / 2 * 2));
  std::vector<const std::vector<float>*> parts = {&pairs.inputs, &pairs.means};
  if (!pairs.corrupted.empty()) parts.insert(parts.begin() + 1, &pairs.corrupted);
  std::vector<float> rows;
  for (int64_t first = 0; first < count; first += columns)
    for (const std::vector<float>* part : parts) {
      const int64_t last = std::min(first + columns, count);
      rows.insert(rows.end(), part->begin() + first * dim, part->begin() + last * dim);
      // Pads a short row, so that the next row starts at the left.
      rows.resize(rows.size() + static_cast<size_t>((first + columns - last) * dim), 0.0f);
    }
  write_png(path, tile_grid(rows, sample_shape, {.columns = columns}));
}

void write_interpolations(const fs::path& path, const Model& model, std::span<const float> rows,
                          std::span<const float> codes) {
  constexpr int64_t kMostPairs = 8, kSteps = 10;
  const int64_t dim = model.data.dim(), latent = model.architecture.latent();
  const int64_t pairs = std::min(kMostPairs, static_cast<int64_t>(rows.size()) / dim / 2);
  const std::vector<float> pictures =
      interpolate(model, rows.first(static_cast<size_t>(2 * pairs * dim)),
                  codes.first(static_cast<size_t>(2 * pairs * latent)), kSteps);
  write_png(path, tile_grid(pictures, model.data.sample_shape, {.columns = kSteps + 2}));
}

std::string to_json(const Evaluation& evaluation) { return json_of(evaluation).dump(); }

}  // namespace elbo

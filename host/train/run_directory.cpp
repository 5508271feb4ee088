#include "host/train/run_directory.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/png.hpp"
#include "host/train/generation.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json json_of(const Evaluation& e) {
  Json json;
  for_each_metric(e, [&](const std::string& name, double value) {
    if (name == "active_units" || name == "importance_samples")
      json[name] = static_cast<int64_t>(value);
    else
      json[name] = value;
  });
  json["count"] = e.count;
  return json;
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail_system(path, "create", error.value());
}

void make_directories(const fs::path& run) {
  for (const char* part : {"checkpoints", "samples", "reconstructions", "interpolations"})
    make_directory(run / part);
}

/// The split that pictures are of, and its first rows.
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
  char name[32];
  std::snprintf(name, sizeof name, "epoch-%04llu.png", static_cast<unsigned long long>(epoch));
  return directory / name;
}

}  // namespace

RunDirectory RunDirectory::create(const fs::path& path, const Config& config) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error)))
    throw ConfigError("out: '" + path.string() +
                      "' exists already; choose another, or go on with `elbo resume " +
                      path.string() + "`");
  RunDirectory run(path);
  make_directories(path);
  write_file_atomically(path / "config.toml", to_toml(config));
  return run;
}

RunDirectory RunDirectory::reopen(const fs::path& path, const TrainingProgress& progress) {
  RunDirectory run(path);
  make_directories(path);
  std::ifstream metrics(path / "metrics.jsonl");
  std::string kept, line;
  while (std::getline(metrics, line)) {
    const Json entry = Json::parse(line, nullptr, false);
    if (entry.is_object() && entry.value("step", ~uint64_t{0}) <= progress.step)
      kept += line + '\n';
  }
  metrics.close();
  write_file_atomically(path / "metrics.jsonl", kept);
  return run;
}

void RunDirectory::append_metrics(const std::string& line) {
  const fs::path file = path_ / "metrics.jsonl";
  std::ofstream out(file, std::ios::app);
  out << line << '\n';
  out.close();
  if (!out) fail_system(file, "write", errno);
}

void RunDirectory::on_metrics(const TrainingMetrics& m) {
  last_ = m;
  Json line = {{"split", "train"}, {"step", m.step}, {"epoch", m.epoch}};
  for (const Metric& metric : m.values) line[metric.name] = metric.value;
  line["learning_rate"] = m.learning_rate;
  line["beta"] = m.beta;
  line["seconds"] = m.seconds;
  line["samples_per_second"] = m.samples_per_second;
  append_metrics(line.dump());
}

void RunDirectory::on_report(const TrainingReport& report, const Trainer& trainer) {
  if (report.validation) {
    Json line = {
        {"split", "validation"}, {"step", report.training.step}, {"epoch", report.training.epoch}};
    line.update(json_of(*report.validation));
    line["learning_rate"] = report.training.learning_rate;
    line["seconds"] = report.training.seconds;
    append_metrics(line.dump());
  }
  draw(trainer);
  std::string plan;
  for (const std::string& note : trainer.pass().notes()) plan += note + '\n';
  if (!plan.empty()) write_file_atomically(path_ / "plan.txt", plan);
  // Without validation there is no choosing: the last is the best there is.
  if (report.best || !report.validation) trainer.save(path_ / "checkpoints" / "best.safetensors");
  trainer.save(path_ / "checkpoints" / "last.safetensors");
}

std::string RunDirectory::how_to_go_on() const {
  const fs::path last = path_ / "checkpoints" / "last.safetensors";
  if (!fs::is_regular_file(last)) return "there is no checkpoint yet";
  return "the last checkpoint is " + last.string() + "; `elbo resume " + path_.string() +
         "` goes on from it";
}

void RunDirectory::draw(const Trainer& trainer) {
  const Model& model = trainer.model();
  const int64_t count = model.config.picture_count;
  if (count == 0 || !model.architecture.has(Part::decoder)) return;
  const uint64_t epoch = trainer.progress().epoch;
  if (!pictured_)
    pictured_ = std::make_shared<Evaluator>(model, pictured_rows(trainer.dataset(), count), count);
  if (has_prior(model.config)) {
    samples_ = epoch_file(path_ / "samples", epoch);
    write_png(samples_, tile_grid(sample(model, count, static_cast<uint64_t>(model.config.seed)),
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
                  {"parameters", trainer.model().architecture.layout().parameter_count()},
                  {"device", trainer.model().device->describe()},
                  {"seconds", last_.seconds}};
  for (const Metric& metric : last_.values) summary["train"][metric.name] = metric.value;
  if (std::isfinite(progress.best_score))
    summary["best_validation"] = {{"score", progress.best_score}, {"epoch", progress.best_epoch}};
  if (test) summary["test"] = json_of(*test);
  write_file_atomically(path_ / "summary.json", summary.dump(2) + '\n');
}

Config read_run_config(const fs::path& run) {
  if (!fs::is_regular_file(run / "config.toml"))
    throw DataError(run.string() + ": not a run directory (it has no config.toml)");
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
      // A short row is filled up, so that the next one starts at the left.
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

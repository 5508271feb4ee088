#include "host/train/checkpoint.hpp"

#include <charconv>
#include <cmath>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/safetensors.hpp"
#include "host/io/text.hpp"

namespace elbo {
namespace {

constexpr const char* kFormat = "elbo-checkpoint";
constexpr const char* kVersion = "2";

/// The state's arrays that a checkpoint contains, with the prefix of their tensor names.
struct StatePart {
  const char* prefix;
  std::vector<float> TrainingState::*values;
};
constexpr StatePart kWeights = {"", &TrainingState::weights};
constexpr StatePart kMoments[] = {{"optimizer.first_moment.", &TrainingState::first_moments},
                                  {"optimizer.second_moment.", &TrainingState::second_moments}};

std::string required(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    fail_file(file.path(), "not a checkpoint: metadata has no '" + key + "'");
  return found->second;
}

template <class T>
T number(const SafetensorsFile& file, const std::string& key) {
  const std::string text = required(file, key);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    fail_file(file.path(), "metadata '" + key + "' is " + in_quotes(text) + ", expected a number");
  return value;
}

/// Returns "rows,sum,sum,..."; empty if there are no sums.
std::string text_of(const TermSums& sums) {
  if (sums.rows == 0.0) return "";
  std::string text = exact_text(sums.rows);
  for (const double sum : sums.sums) text += ',' + exact_text(sum);
  return text;
}

/// Parses the result of text_of(). Old checkpoints lack these sums.
TermSums sums_from(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end() || found->second.empty()) return {};
  const std::string& text = found->second;
  std::vector<double> values;
  for (const char *at = text.data(), *end = at + text.size();; ++at) {
    const auto [next, error] = std::from_chars(at, end, values.emplace_back());
    if (error != std::errc{} || (next != end && *next != ',') || !std::isfinite(values.back()))
      fail_file(file.path(), "metadata '" + key + "' is " + in_quotes(text) + ", expected numbers");
    if (next == end) break;
    at = next;
  }
  return {values.front(), {values.begin() + 1, values.end()}};
}

Shape shape_from(const SafetensorsFile& file, const std::string& text) {
  constexpr int64_t kLargest = DataSignature::kLargestDim;
  Shape shape;
  const char* at = text.data();
  const char* end = at + text.size();
  int64_t dim = 1;
  while (true) {
    int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc{} || extent < 1 || extent > kLargest || (dim *= extent) > kLargest ||
        shape.size() == kMostDimensions)
      fail_file(file.path(), "metadata 'data_shape' is " + in_quotes(text));
    shape.push_back(extent);
    if (next == end) return shape;
    if (*next != ',') fail_file(file.path(), "metadata 'data_shape' is " + in_quotes(text));
    at = next + 1;
  }
}

constexpr std::pair<DType, const char*> kDTypes[] = {
    {DType::u8, "u8"}, {DType::f32, "f32"}, {DType::f64, "f64"}};

CheckpointHeader header_of(const SafetensorsFile& file) {
  if (const std::string format = required(file, "format"); format != kFormat)
    fail_file(file.path(), "not a checkpoint: format is " + in_quotes(format));
  if (const std::string version = required(file, "version"); version != kVersion)
    fail_file(file.path(), "checkpoint version " + in_quotes(version) + ", this program reads '" +
                               kVersion + "'");
  CheckpointHeader header;
  try {
    apply_toml(header.config, required(file, "config"), file.path().string() + " (config)");
    header.config.check();
  } catch (const ConfigError& error) {
    fail_file(file.path(), std::string("damaged settings: ") + error.what());
  }
  header.data.sample_shape = shape_from(file, required(file, "data_shape"));
  const std::string dtype = required(file, "data_dtype");
  bool known = false;
  for (const auto& [value, name] : kDTypes)
    if (dtype == name) header.data.dtype = value, known = true;
  if (!known) fail_file(file.path(), "metadata 'data_dtype' is " + in_quotes(dtype));
  header.data.classes = number<int32_t>(file, "classes");
  constexpr int32_t kMostClasses = 1 << 16;
  const bool classifies = header.config.classifies();
  if (classifies ? header.data.classes < 1 || header.data.classes > kMostClasses
                 : header.data.classes != 0)
    fail_file(file.path(), "metadata 'classes' is " + std::to_string(header.data.classes));
  header.progress = {
      number<uint64_t>(file, "step"),
      number<uint64_t>(file, "epoch"),
      number<double>(file, "best_score"),
      number<uint64_t>(file, "best_epoch"),
      file.metadata().contains("rollbacks") ? number<uint64_t>(file, "rollbacks") : 0,
      file.metadata().contains("train_rows") ? number<uint64_t>(file, "train_rows") : 0,
      sums_from(file, "since_metrics"),
      sums_from(file, "since_report")};
  if (header.progress.rollbacks > kMostRollbacks)
    fail_file(file.path(), formatted("metadata 'rollbacks' is {}, expected at most {}",
                                     header.progress.rollbacks, kMostRollbacks));
  return header;
}

/// Returns one array of the state from the file; the gaps of the arena are zero.
std::vector<float> load(const SafetensorsFile& file, const StatePart& part, const Model& model) {
  std::vector<float> image(static_cast<size_t>(model.architecture.layout().size()), 0.0f);
  for (const Parameter& p : model.architecture.layout().parameters())
    file.read(
        part.prefix + p.name, p.shape,
        std::span(image).subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.count())));
  return image;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const Config& config, const Model& model,
                     const TrainingState& state) {
  std::vector<TensorView> tensors;
  const auto add = [&](const StatePart& part) {
    const std::span<const float> values = state.*part.values;
    for (const Parameter& p : model.architecture.layout().parameters())
      tensors.push_back({part.prefix + p.name, TensorType::f32, p.shape,
                         std::as_bytes(values.subspan(static_cast<size_t>(p.offset),
                                                      static_cast<size_t>(p.count())))});
  };
  add(kWeights);
  if (!state.first_moments.empty())
    for (const StatePart& part : kMoments) add(part);

  std::string shape;
  for (const int64_t extent : model.data.sample_shape)
    shape += (shape.empty() ? "" : ",") + std::to_string(extent);
  std::string dtype;
  for (const auto& [value, name] : kDTypes)
    if (value == model.data.dtype) dtype = name;
  Config kept = config;
  static_cast<RunSettings&>(kept) = {};
  const TrainingProgress& progress = state.progress;
  write_safetensors(path, std::move(tensors),
                    {{"format", kFormat},
                     {"version", kVersion},
                     {"config", to_toml(kept)},
                     {"data_shape", shape},
                     {"data_dtype", dtype},
                     {"classes", exact_text(model.data.classes)},
                     {"step", exact_text(progress.step)},
                     {"epoch", exact_text(progress.epoch)},
                     {"best_score", exact_text(progress.best_score)},
                     {"best_epoch", exact_text(progress.best_epoch)},
                     {"rollbacks", exact_text(progress.rollbacks)},
                     {"train_rows", exact_text(progress.train_rows)},
                     {"since_metrics", text_of(progress.since_metrics)},
                     {"since_report", text_of(progress.since_report)}});
}

void save_checkpoint(const std::filesystem::path& path, const Config& config, const Model& model,
                     const TrainingProgress& progress) {
  save_checkpoint(path, config, model, capture_state(model, progress));
}

CheckpointHeader read_checkpoint_header(const std::filesystem::path& path) {
  return header_of(SafetensorsFile(path));
}

Model load_model(const std::filesystem::path& path, std::shared_ptr<Device> device,
                 std::optional<int64_t> samples, Config* config) {
  const SafetensorsFile file(path);
  CheckpointHeader header = header_of(file);
  if (samples) header.config.samples = *samples;
  // Checks the shapes before allocating: a few bytes of settings can request any amount of memory,
  // but tensors that exist are no larger than the file.
  const Architecture architecture(header.config, header.data);
  for (const Parameter& p : architecture.layout().parameters())
    file.require(kWeights.prefix + p.name, TensorType::f32, p.shape);
  if (config != nullptr) *config = header.config;
  Model model(std::move(header.config), std::move(header.data), std::move(device),
              Model::Purpose::inference);
  model.set_weights(load(file, kWeights, model));
  return model;
}

TrainingState read_training_state(const std::filesystem::path& path, const Model& model) {
  const SafetensorsFile file(path);
  const CheckpointHeader header = header_of(file);
  if (header.data.classes != model.data.classes)
    fail_file(path, formatted("made for {} classes, the data set has {}", header.data.classes,
                              model.data.classes));
  if (header.data != model.data)
    fail_file(path,
              formatted("made for samples of shape {}, the data set's have {}",
                        to_string(header.data.sample_shape), to_string(model.data.sample_shape)));
  TrainingState state = {header.progress, load(file, kWeights, model),
                         load(file, kMoments[0], model), load(file, kMoments[1], model)};
  if (!state.finite())
    fail_file(path, "contains numbers that are not finite, so training cannot resume from it");
  return state;
}

}  // namespace elbo

#include "host/train/checkpoint_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepStart = "step-", kEnd = ".safetensors";

std::optional<uint64_t> step_in(const std::string& name) {
  if (!name.starts_with(kStepStart) || !name.ends_with(kEnd)) return std::nullopt;
  uint64_t step = 0;
  const char* end = name.data() + name.size() - kEnd.size();
  const auto [next, error] = std::from_chars(name.data() + kStepStart.size(), end, step);
  if (error != std::errc{} || next != end) return std::nullopt;
  return step;
}

/// Returns the steps of the step-N files in descending order.
std::vector<uint64_t> steps_in(const fs::path& directory) {
  std::vector<uint64_t> steps;
  std::error_code ignored;
  for (fs::directory_iterator entry(directory, ignored), end; entry != end;
       entry.increment(ignored))
    if (const auto step = step_in(entry->path().filename().string())) steps.push_back(*step);
  std::ranges::sort(steps, std::ranges::greater{});
  return steps;
}

/// Gives `file` a second name; if the file system has no hard links, renames it.
void name_also(const fs::path& file, const fs::path& name) {
  ::unlink(name.c_str());
  if (::link(file.c_str(), name.c_str()) == 0) return;
  if (::rename(file.c_str(), name.c_str()) != 0) fail_system(file, "rename", errno);
}

}  // namespace

fs::path CheckpointFiles::of_step(uint64_t step) const {
  return directory_ / formatted("{}{}{}", kStepStart, step, kEnd);
}

std::vector<fs::path> CheckpointFiles::all() const {
  std::vector<fs::path> files = {last()};
  for (const uint64_t step : steps_in(directory_)) files.push_back(of_step(step));
  files.push_back(best());
  std::error_code ignored;
  std::erase_if(files, [&](const fs::path& file) { return !fs::is_regular_file(file, ignored); });
  return files;
}

void CheckpointFiles::save_last(const Trainer& trainer) {
  const TrainingState& state = trainer.state();
  const uint64_t step = state.progress.step;
  const int64_t keep = trainer.config().keep_checkpoints;
  if (keep > 1 && last_step_ && *last_step_ != step) name_also(last(), of_step(*last_step_));
  last_step_.reset();
  save_checkpoint(last(), trainer.config(), trainer.model(), state);
  last_step_ = step;
  remove_old(step, keep - 1);
}

void CheckpointFiles::save_best(const Trainer& trainer) const {
  save_checkpoint(best(), trainer.config(), trainer.model(), trainer.state());
}

/// Keeps the `kept` newest of the files before step `newest`. Files of later steps were unusable:
/// otherwise the training would have resumed from them.
void CheckpointFiles::remove_old(uint64_t newest, int64_t kept) const {
  std::error_code ignored;  // a file that cannot be removed does no harm
  for (const uint64_t step : steps_in(directory_))
    if (step >= newest || --kept < 0) fs::remove(of_step(step), ignored);
}

std::vector<std::string> CheckpointFiles::restore(Trainer& trainer) {
  std::vector<std::string> errors;
  for (const fs::path& file : all()) {
    try {
      trainer.restore(file);
      if (file == last()) last_step_ = trainer.progress().step;
      return errors;
    } catch (const DataError& error) {
      errors.emplace_back(error.what());
    }
  }
  if (!errors.empty()) throw DataError(errors.front());
  return errors;
}

}  // namespace elbo

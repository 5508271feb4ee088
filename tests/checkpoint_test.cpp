// Checkpoints: damage is detected at any position, `keep-checkpoints` of them are kept, and
// training resumes from the newest intact one.
#include "host/train/checkpoint_files.hpp"

#include <gtest/gtest.h>

#include "host/io/safetensors.hpp"
#include "tests/file_fixture.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

Trainer small_trainer(Config config = small_config()) {
  return {std::move(config), small_data(37), make_cpu_device(1)};
}

/// Saves checkpoints after every report, as a run directory does.
class Saver : public TrainingObserver {
 public:
  explicit Saver(const fs::path& directory) : files(directory) {}
  void on_report(const TrainingReport&, const Trainer& trainer) override {
    files.save_best(trainer);
    files.save_last(trainer);
  }
  CheckpointFiles files;
};

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

/// Trains 8 epochs of 5 steps and keeps `keep` checkpoints.
void train_into(const fs::path& directory, int64_t keep) {
  fs::create_directories(directory);
  Config config = small_config();
  config.epochs = 8;
  config.keep_checkpoints = keep;
  Trainer trainer = small_trainer(config);
  Saver saver(directory);
  trainer.train(&saver);
}

void damage(const fs::path& file) {
  std::string bytes = read_bytes(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
}

TEST(Checkpoint, DetectsDamageAtAnyByte) {
  const TemporaryDirectory directory;
  Config config = small_config();
  config.hidden = {2};
  config.latent_dim = 1;
  Trainer trainer = small_trainer(config);
  trainer.save(directory / "whole.safetensors");
  const std::string whole = read_bytes(directory / "whole.safetensors");
  const auto state = [&](const std::string& bytes) {
    return read_training_state(directory.write("file", bytes), trainer.model());
  };
  const TrainingState wanted = state(whole);
  const size_t key = whole.find("checksum");
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << i % 8));
    try {
      const TrainingState read = state(bytes);
      // Only a damaged key "checksum" goes undetected: no checksum is found then, and the rest of
      // the file is intact.
      EXPECT_LT(i - key, std::string_view("checksum").size()) << "byte " << i;
      EXPECT_EQ(read.progress, wanted.progress);
      EXPECT_EQ(read.weights, wanted.weights);
    } catch (const DataError&) {
    }
  }
  for (size_t length = 0; length < whole.size(); length += 97)
    EXPECT_THROW(state(whole.substr(0, length)), DataError) << length;
  expect_error<DataError>([&] { state(whole + '\0'); }, {"file", "checksum"});
}

TEST(Checkpoint, RejectsNonFiniteWeights) {
  const TemporaryDirectory directory;
  Trainer trainer = small_trainer();
  std::vector<float> weights = trainer.model().arena.weights.download();
  weights[3] = std::numeric_limits<float>::quiet_NaN();
  trainer.model().set_weights(weights);
  trainer.save(directory / "file");
  expect_error<DataError>([&] { read_training_state(directory / "file", trainer.model()); },
                          {"file", "not finite"});
}

TEST(Checkpoint, KeepsTheRequestedNumber) {
  const TemporaryDirectory directory;
  train_into(directory / "one", 1);
  EXPECT_EQ(names_in(directory / "one"),
            (std::vector<std::string>{"best.safetensors", "last.safetensors"}));
  train_into(directory / "three", 3);
  EXPECT_EQ(names_in(directory / "three"),
            (std::vector<std::string>{"best.safetensors", "last.safetensors", "step-30.safetensors",
                                      "step-35.safetensors"}));
  EXPECT_EQ(read_checkpoint_header(directory / "three/last.safetensors").progress.step, 40u);
  for (const uint64_t step : {30u, 35u})
    EXPECT_EQ(read_checkpoint_header(directory / "three" /
                                     ("step-" + std::to_string(step) + ".safetensors"))
                  .progress.step,
              step);
}

TEST(Checkpoint, RestoresTheNewestIntact) {
  const TemporaryDirectory directory;
  const fs::path path = directory / "checkpoints";
  train_into(path, 3);
  const auto expect_step = [&](uint64_t step, const std::vector<const char*>& skipped) {
    CheckpointFiles files(path);
    Trainer trainer = small_trainer();
    const std::vector<std::string> errors = files.restore(trainer);
    EXPECT_EQ(trainer.progress().step, step);
    ASSERT_EQ(errors.size(), skipped.size());
    for (size_t i = 0; i < errors.size(); ++i) {
      EXPECT_NE(errors[i].find(skipped[i]), std::string::npos) << errors[i];
      EXPECT_NE(errors[i].find("damaged"), std::string::npos) << errors[i];
    }
  };
  expect_step(40, {});
  damage(path / "last.safetensors");
  expect_step(35, {"last.safetensors"});
  damage(path / "step-35.safetensors");
  expect_step(30, {"last.safetensors", "step-35.safetensors"});
  fs::remove(path / "last.safetensors");
  expect_step(30, {"step-35.safetensors"});
  damage(path / "step-30.safetensors");
  expect_step(40, {"step-35.safetensors", "step-30.safetensors"});  // best.safetensors
  damage(path / "best.safetensors");
  Trainer trainer = small_trainer();
  expect_error<DataError>([&] { CheckpointFiles(path).restore(trainer); },
                          {"step-35.safetensors", "damaged"});
  EXPECT_EQ(trainer.progress().step, 0u);
  fs::remove_all(path);
  expect_step(0, {});
}

// A damaged last checkpoint is not kept under a step's name, and damaged checkpoints of later steps
// are removed.
TEST(Checkpoint, NextSaveRemovesDamaged) {
  const TemporaryDirectory directory;
  const fs::path path = directory / "checkpoints";
  train_into(path, 3);
  damage(path / "last.safetensors");
  damage(path / "step-35.safetensors");
  Config config = small_config();
  config.epochs = 7;
  config.keep_checkpoints = 3;
  Trainer trainer = small_trainer(config);
  Saver saver(path);
  EXPECT_EQ(saver.files.restore(trainer).size(), 2u);
  trainer.train(&saver);
  EXPECT_EQ(names_in(path), (std::vector<std::string>{"best.safetensors", "last.safetensors",
                                                      "step-30.safetensors"}));
  EXPECT_EQ(read_checkpoint_header(path / "last.safetensors").progress.step, 35u);
}

TEST(Checkpoint, FailedRestoreChangesNothing) {
  const TemporaryDirectory directory;
  const fs::path path = directory / "checkpoints";
  train_into(path, 2);
  Trainer trainer = small_trainer();
  const fs::path last = path / "last.safetensors";
  trainer.restore(last);
  const std::string before = read_bytes(last);
  damage(last);
  EXPECT_THROW(trainer.restore(last), DataError);
  EXPECT_EQ(trainer.progress().step, 40u);
  trainer.save(directory / "same");
  // Weights and progress are unchanged. The files differ in their settings, so compare the tensors.
  const SafetensorsFile saved(directory / "same");
  std::ofstream(last, std::ios::binary) << before;
  const SafetensorsFile original(last);
  ASSERT_EQ(saved.tensors().size(), original.tensors().size());
  for (size_t i = 0; i < original.tensors().size(); ++i)
    EXPECT_TRUE(std::ranges::equal(saved.tensors()[i].data, original.tensors()[i].data));
}

}  // namespace
}  // namespace elbo

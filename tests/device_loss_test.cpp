// A device that fails during training: the last checkpoint is intact, and the program reports how
// to resume from it.
#include <gtest/gtest.h>

#include "host/train/run_directory.hpp"
#include "tests/file_fixture.hpp"
#include "tests/forwarding_device.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

/// A CPU device that throws DeviceError after a given number of program runs.
class MortalDevice : public ForwardingDevice {
 public:
  explicit MortalDevice(int64_t runs) : runs_left_(std::make_shared<int64_t>(runs)) {}

  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<MortalExecutable>(ForwardingDevice::prepare(std::move(program)),
                                              runs_left_);
  }

 private:
  class MortalExecutable : public Executable {
   public:
    MortalExecutable(std::unique_ptr<Executable> executable, std::shared_ptr<int64_t> runs_left)
        : executable_(std::move(executable)), runs_left_(std::move(runs_left)) {}
    void run(uint64_t repeats) override {
      *runs_left_ -= static_cast<int64_t>(repeats);
      if (*runs_left_ < 0) throw DeviceError("the GPU failed to finish its work: it is lost");
      executable_->run(repeats);
    }

   private:
    std::unique_ptr<Executable> executable_;
    std::shared_ptr<int64_t> runs_left_;
  };

  std::shared_ptr<int64_t> runs_left_;
};

/// Trains until the device fails and returns the advice on how to resume.
std::string train_until_failure(const std::filesystem::path& path, int64_t runs) {
  const Config config = small_config();  // five steps per epoch, a report after each epoch
  Trainer trainer(config, small_data(37), std::make_shared<MortalDevice>(runs));
  RunDirectory run = RunDirectory::create(path, config);
  try {
    trainer.train(&run);
  } catch (const DeviceError&) {
    return run.how_to_resume();
  }
  return "nothing failed";
}

TEST(DeviceLoss, NamesTheLastCheckpoint) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "run";
  const std::string advice = train_until_failure(path, 8);
  EXPECT_NE(advice.find((path / "checkpoints" / "last.safetensors").string()), std::string::npos)
      << advice;
  EXPECT_NE(advice.find("elbo resume"), std::string::npos) << advice;

  const Config config = small_config();
  Trainer resumed(config, small_data(37), make_cpu_device(1));
  resumed.restore(find_checkpoint(path, "last"));
  EXPECT_EQ(resumed.progress().step, 5u);
  resumed.train();
  Trainer undisturbed(config, small_data(37), make_cpu_device(1));
  undisturbed.train();
  EXPECT_EQ(resumed.model().arena.weights.download(), undisturbed.model().arena.weights.download());
}

/// A device that fails to clear memory and counts its allocations.
class UnclearableDevice : public ForwardingDevice {
 public:
  void* allocate(size_t bytes, std::string_view purpose) override {
    ++allocations;
    return ForwardingDevice::allocate(bytes, purpose);
  }
  void release(void* memory) noexcept override {
    --allocations;
    ForwardingDevice::release(memory);
  }
  void fill_zero(void*, size_t) override { throw DeviceError("cannot clear memory"); }
  int allocations = 0;
};

TEST(DeviceLoss, ReleasesABufferThatCannotBeCleared) {
  const auto device = std::make_shared<UnclearableDevice>();
  EXPECT_THROW(Buffer<float>(device, 8, "a test"), DeviceError);
  EXPECT_EQ(device->allocations, 0);
}

TEST(DeviceLoss, ReportsMissingCheckpoint) {
  const TemporaryDirectory directory;
  EXPECT_EQ(train_until_failure(directory / "run", 3), "there is no checkpoint yet");
}

}  // namespace
}  // namespace elbo

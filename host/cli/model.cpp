// Loads trained models for commands.
#include "host/cli/commands.hpp"
#include "host/train/generation.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

void DeviceFlags::add(CLI::App& command) {
  add_value(command, "--device", "NAME", device, NotEmpty{}, "device: auto, cpu, cuda or cuda:N");
  add_value(command, "--threads", "N", threads, Between{0, 1024}, "number of CPU threads; 0: all");
}

std::shared_ptr<Device> DeviceFlags::make() const {
  return make_device(device, static_cast<int>(threads));
}

void ModelFlags::add(CLI::App& command) {
  add_value(command, "RUN", "", run, NotEmpty{}, "run directory, or a checkpoint file")->required();
  add_value(command, "--checkpoint", "NAME", checkpoint, Any{},
            "checkpoint of a run directory: best or last");
  device.add(command);
}

Model ModelFlags::load(std::optional<int64_t> samples) {
  return load_model(find_checkpoint(run, name_of(checkpoint)), device.make(), samples, &config);
}

}  // namespace elbo::cli

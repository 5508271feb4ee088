// Trained models as commands load them.
#include "host/cli/commands.hpp"
#include "host/train/generation.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

void DeviceFlags::add(CLI::App& command) {
  command.add_option("--device", device, "device: auto, cpu, cuda or cuda:N")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--threads", threads, "number of CPU threads; 0: all")
      ->type_name("N")
      ->capture_default_str();
}

std::shared_ptr<Device> DeviceFlags::make() const {
  return make_device(device, static_cast<int>(threads));
}

void ModelFlags::add(CLI::App& command) {
  command.add_option("RUN", run, "run directory, or a checkpoint file")->required();
  command.add_option("--checkpoint", which, "checkpoint of a run directory: best or last")
      ->type_name("NAME")
      ->check(CLI::IsMember({"best", "last"}))
      ->capture_default_str();
  device.add(command);
}

Model ModelFlags::load(std::optional<int64_t> samples) {
  return load_model(find_checkpoint(run, which), device.make(), samples, &config);
}

}  // namespace elbo::cli

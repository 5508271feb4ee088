#include "bench/machine.hpp"

namespace elbo::bench {

std::unique_ptr<Machine> make_machine(const std::string& name, int threads) {
  std::shared_ptr<Device> device = make_device(name, threads);
  if (device->kind() == DeviceKind::cpu) return make_cpu_machine(threads);
  return make_gpu_machine(std::move(device));
}

}  // namespace elbo::bench

#include "bench/program_command.hpp"

#include <cstdio>
#include <map>

#include "bench/planning_device.hpp"
#include "host/train/trainer.hpp"
#include "kernels/dataflow.hpp"

namespace elbo::bench {
namespace {

void print(const Program& program) {
  const Dependencies waits_for = dependencies(program);
  std::map<uintptr_t, size_t> numbers;
  for (size_t i = 0; i < program.size(); ++i) {
    const Op& op = program[i];
    std::printf("%zu %s gflop %g", i, std::string(name_of(op)).c_str(), 1e-9 * flops_of(op));
    const AccessList accesses = accesses_of(op);
    for (const Access& access : accesses.items())
      std::printf(" %s #%zu+%zu/%g", access.writes ? "writes" : "reads",
                  numbers.try_emplace(access.begin, numbers.size()).first->second,
                  access.end - access.begin, access.bytes);
    std::printf(" waits for");
    for (const int other : waits_for[i]) std::printf(" %d", other);
    std::printf(" sizes %s\n", sizes_of(op).c_str());
  }
}

}  // namespace

void run_program_command(const ProgramCommand& command) {
  Config config;
  apply_toml_file(config, command.config);
  config.check();
  const DeviceKind kind = command.device == "cpu" ? DeviceKind::cpu : DeviceKind::cuda;
  const Trainer trainer(config, Dataset::open(config.dataset, dataset_options(config)),
                        make_planning_device(kind));
  print(trainer.pass().program());
}

}  // namespace elbo::bench

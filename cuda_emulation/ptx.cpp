#include "cuda_emulation/ptx.hpp"

#include <algorithm>
#include <string>

#include "cuda_emulation/default_floating_point.hpp"
#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_program.hpp"

namespace elbo::cuda::emulation {
namespace {

const ptx::Function& find_function(const std::vector<ptx::Module>& modules,
                                   const std::string& name) {
  for (const ptx::Module& module : modules) {
    const auto found = module.functions.find(name);
    if (found != module.functions.end()) return found->second;
  }
  throw KernelError("kernel " + name + " is in none of the " + std::to_string(modules.size()) +
                    " PTX modules");
}

void check_fits(const ptx::Function& function, const Launch& launch) {
  if (function.parameters.size() != 1 || function.parameter_bytes != launch.args_size) {
    throw KernelError("kernel " + function.name + " takes " +
                      std::to_string(function.parameter_bytes) + " bytes of parameters in PTX, " +
                      std::to_string(launch.args_size) + " on the host");
  }
  const size_t threads = size_t{launch.block.x} * launch.block.y * launch.block.z;
  if (function.max_threads != 0 && threads > function.max_threads) {
    throw KernelError("kernel " + function.name + " is bounded to " +
                      std::to_string(function.max_threads) + " threads per block, launched with " +
                      std::to_string(threads));
  }
}

}  // namespace

PtxExecutor::PtxExecutor(const std::vector<std::filesystem::path>& paths) {
  auto modules = std::make_shared<std::vector<ptx::Module>>();
  for (const auto& path : paths) modules->push_back(ptx::parse_module(path));
  modules_ = std::move(modules);
}

void PtxExecutor::operator()(const Launch& launch) const {
  const DefaultFloatingPoint scope;
  const ptx::Function& function = find_function(*modules_, kernel_name(launch.kernel));
  check_fits(function, launch);
  for (unsigned z = 0; z < launch.grid.z; ++z) {
    for (unsigned y = 0; y < launch.grid.y; ++y) {
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        ptx::Block(function, launch, uint3{x, y, z}).run();
      }
    }
  }
}

std::vector<std::filesystem::path> split_paths(std::string_view paths) {
  std::vector<std::filesystem::path> result;
  while (!paths.empty()) {
    const std::string_view path = paths.substr(0, paths.find(':'));
    if (!path.empty()) result.emplace_back(path);
    paths.remove_prefix(std::min(path.size() + 1, paths.size()));
  }
  return result;
}

}  // namespace elbo::cuda::emulation

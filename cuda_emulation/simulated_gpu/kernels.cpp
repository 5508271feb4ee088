#include "cuda_emulation/simulated_gpu/kernels.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "cuda_emulation/default_floating_point.hpp"
#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_program.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

namespace elbo::cuda::simulated {
namespace {

namespace ptx = emulation::ptx;

struct InterpretedKernel : Kernel {
  const ptx::Function* function = nullptr;
};

struct Modules {
  std::vector<std::string> unparsed;
  std::deque<ptx::Module> parsed;
  std::unordered_map<std::string, InterpretedKernel> kernels;
};

Modules& modules() {
  static auto* all = new Modules;
  return *all;
}

InterpretedKernel describe(const ptx::Function& function) {
  InterpretedKernel kernel;
  kernel.name = function.name;
  kernel.function = &function;
  kernel.parameter_bytes = function.parameter_bytes;
  kernel.static_shared_bytes = function.static_shared_bytes;
  kernel.max_threads = function.max_threads;
  for (const ptx::Variable& parameter : function.parameters)
    kernel.parameters.push_back({parameter.address, parameter.size});
  return kernel;
}

/// Adapts a MemoryWatcher to the interpreter's interface.
class WatchedMemory : public ptx::GlobalMemory {
 public:
  explicit WatchedMemory(MemoryWatcher& watcher) : watcher_(watcher) {}
  std::byte* access(uint64_t address, size_t bytes, ptx::Touch touch, bool waited) override {
    return watcher_.access(address, bytes,
                           touch == ptx::Touch::kRead    ? Touch::kRead
                           : touch == ptx::Touch::kWrite ? Touch::kWrite
                                                         : Touch::kUpdate,
                           waited);
  }

 private:
  MemoryWatcher& watcher_;
};

}  // namespace

void add_module(std::string text) { modules().unparsed.push_back(std::move(text)); }

const Kernel* find_kernel(const std::string& name) {
  Modules& all = modules();
  for (const std::string& text : std::exchange(all.unparsed, {})) {
    all.parsed.push_back(ptx::parse_module(text));
    for (const auto& [unused, function] : all.parsed.back().functions)
      if (function.is_entry) all.kernels.emplace(function.name, describe(function));
  }
  const auto found = all.kernels.find(name);
  return found == all.kernels.end() ? nullptr : &found->second;
}

bool is_module_variable(uint64_t address, size_t bytes) {
  for (const ptx::Module& module : modules().parsed)
    for (const ptx::Variable& variable : module.variables)
      if (variable.space != ptx::Space::kShared && address >= variable.address &&
          address + bytes <= variable.address + variable.size)
        return true;
  return false;
}

struct GridRun::State {
  State(const ptx::Function& f, std::vector<std::byte> given, MemoryWatcher& watcher, bool is_held)
      : function(f), arguments(std::move(given)), memory(watcher), held(is_held) {}

  const ptx::Function& function;
  std::vector<std::byte> arguments;
  emulation::Launch launch{};
  WatchedMemory memory;
  bool held;
  std::vector<uint3> left;  // blocks that have not started; the next one is last
  std::vector<std::unique_ptr<ptx::Block>> stopped;
  bool all_triggered = true, all_triggered_after_wait = true, any_waited = false;
  uint64_t instructions = 0;

  void note_end(const ptx::Block& block) {
    any_waited = any_waited || block.waited();
    const bool after_wait = block.triggered() ? block.triggered_after_wait() : block.waited();
    all_triggered_after_wait = all_triggered_after_wait && after_wait;
    instructions += block.instructions();
    count_instructions(block.instructions());
  }
};

GridRun::GridRun(const Kernel& kernel, const std::vector<std::byte>& arguments, Extent grid,
                 Extent block, size_t shared_bytes, MemoryWatcher& watcher, bool held)
    : state_(std::make_unique<State>(*static_cast<const InterpretedKernel&>(kernel).function,
                                     arguments, watcher, held)) {
  State& s = *state_;
  s.launch.args = s.arguments.data();
  s.launch.args_size = s.arguments.size();
  s.launch.grid = {grid.x, grid.y, grid.z};
  s.launch.block = {block.x, block.y, block.z};
  s.launch.shared_bytes = shared_bytes;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) s.left.push_back({x, y, z});
  std::ranges::shuffle(s.left, dice());
}

GridRun::~GridRun() = default;

bool GridRun::run() {
  const emulation::DefaultFloatingPoint scope;
  State& s = *state_;
  while (!s.stopped.empty()) {
    if (!s.stopped.back()->run()) return false;  // the grid is still held
    s.note_end(*s.stopped.back());
    s.stopped.pop_back();
  }
  while (!s.left.empty()) {
    auto block =
        std::make_unique<ptx::Block>(s.function, s.launch, s.left.back(), &s.memory, s.held);
    s.left.pop_back();
    if (block->run()) {
      s.note_end(*block);
      continue;
    }
    s.any_waited = true;
    s.all_triggered = s.all_triggered && block->triggered();
    s.stopped.push_back(std::move(block));
  }
  if (s.stopped.empty()) s.all_triggered = true;
  return s.stopped.empty();
}

void GridRun::release() {
  state_->held = false;
  for (auto& block : state_->stopped) block->release();
}

bool GridRun::triggered() const { return state_->all_triggered; }
bool GridRun::triggered_after_wait() const { return state_->all_triggered_after_wait; }
bool GridRun::waited() const { return state_->any_waited; }
uint64_t GridRun::instructions() const { return state_->instructions; }

}  // namespace elbo::cuda::simulated

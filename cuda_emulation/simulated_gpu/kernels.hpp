// Kernels as PTX, run by the interpreter (cuda_emulation/ptx_machine.hpp). Free of that one's
// headers: they declare CUDA's vector types, as CUDA's own headers do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace elbo::cuda::simulated {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

struct Parameter {
  size_t offset, size;
};

/// What a launch has to know of a kernel.
struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  size_t parameter_bytes = 0;
  size_t static_shared_bytes = 0;
  size_t max_threads = 0;  // by its launch bounds; 0: not bounded
};

/// Adds a module's kernels; the text is parsed when a kernel is first asked for.
void add_module(std::string ptx);
/// The kernel with this mangled name; null if no module has it.
const Kernel* find_kernel(const std::string& name);
/// True if the bytes are part of a module's variable; its address is the host's.
bool is_module_variable(uint64_t address, size_t bytes);

enum class Touch { kRead, kWrite, kUpdate };

/// Translates each address of a kernel's accesses, and learns of them.
class MemoryWatcher {
 public:
  virtual ~MemoryWatcher() = default;
  /// Null if the access is not allowed. `waited`: the thread has passed griddepcontrol.wait.
  virtual std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) = 0;
};

/// A launched kernel. Its blocks run one after the other, in random order.
class GridRun {
 public:
  /// `held`: threads stop at griddepcontrol.wait until `release`.
  GridRun(const Kernel& kernel, const std::vector<std::byte>& arguments, Extent grid, Extent block,
          size_t shared_bytes, MemoryWatcher& watcher, bool held);
  ~GridRun();

  /// True when all blocks have ended; otherwise the remaining ones are held. Throws a
  /// std::exception if the kernel does what is not allowed.
  bool run();
  void release();

  /// Every block has let the next kernel start (griddepcontrol.launch_dependents, or by ending).
  bool triggered() const;
  /// Every block had waited for the kernels before when it did so; known once all have ended.
  bool triggered_after_wait() const;
  /// A thread has waited for the kernels before.
  bool waited() const;
  uint64_t instructions() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo::cuda::simulated

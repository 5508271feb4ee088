// Kernels as PTX, run by the interpreter (cuda_emulation/ptx_machine.hpp). This header does not
// include the interpreter's headers, because they declare CUDA's vector types and would conflict
// with CUDA's headers.
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

/// The properties of a kernel that a launch needs.
struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  size_t parameter_bytes = 0;
  size_t static_shared_bytes = 0;
  size_t max_threads = 0;  // per block, from the launch bounds; 0: not bounded
};

/// Adds a module's kernels. The text is parsed by the next call of find_kernel.
void add_module(std::string ptx);
/// Returns the kernel with this mangled name, or null if no module contains it.
const Kernel* find_kernel(const std::string& name);
/// Returns true if the bytes are part of a module's variable, whose address is a host address.
bool is_module_variable(uint64_t address, size_t bytes);

enum class Touch { kRead, kWrite, kUpdate };

/// Observes a kernel's memory accesses and translates their addresses.
class MemoryWatcher {
 public:
  virtual ~MemoryWatcher() = default;
  /// Returns the host memory of the access, or null if it is not allowed. `waited`: the thread has
  /// passed griddepcontrol.wait.
  virtual std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) = 0;
};

/// A launched kernel. Its blocks run sequentially in random order.
class GridRun {
 public:
  /// `held`: threads stop at griddepcontrol.wait until `release`.
  GridRun(const Kernel& kernel, const std::vector<std::byte>& arguments, Extent grid, Extent block,
          size_t shared_bytes, MemoryWatcher& watcher, bool held);
  ~GridRun();

  /// Runs the blocks. Returns true if all have ended; otherwise the remaining ones are held. Throws
  /// a std::exception if the kernel does something illegal.
  bool run();
  void release();

  /// Returns true if every block has triggered the next kernel (by griddepcontrol.launch_dependents
  /// or by ending).
  bool triggered() const;
  /// Returns true if every block had waited for the preceding kernels when it triggered. Valid
  /// after all blocks have ended.
  bool triggered_after_wait() const;
  /// Returns true if a thread has waited for the preceding kernels.
  bool waited() const;
  uint64_t instructions() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo::cuda::simulated

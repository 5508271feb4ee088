// A device owns memory and runs programs: the CPU, or an NVIDIA GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/precision.hpp"
#include "kernels/core/reals.hpp"
#include "kernels/program.hpp"
#include "kernels/transfer_queue.hpp"

namespace elbo {

enum class DeviceKind { cpu, cuda };

/// How operands of products are stored. The CPU rounds floats when it reads them.
constexpr Format factor_format(Precision precision, DeviceKind device) {
  return precision == Precision::bf16 && device == DeviceKind::cuda ? Format::bf16 : Format::f32;
}

/// The time of an op.
struct OpTime {
  double seconds = 0.0;
  int within = 0;  // index of the op that does the work: its own, unless it is fused into another
};

/// A program prepared for its device. It does not copy the buffers that it works on.
class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs the program `repeats` times in sequence; may return before a GPU has finished.
  virtual void run(uint64_t repeats = 1) = 0;
  /// Runs the program `repeats` times and returns the seconds per run of each op, by the host's
  /// clock [ops]. Returns an empty vector and runs nothing on a device that cannot time single ops.
  virtual std::vector<OpTime> time_ops(uint64_t /*repeats*/) { return {}; }
  /// Choices made for this device, with reasons, in lines for people; may grow with the runs.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// A copy to the host that proceeds while the device continues.
class Download {
 public:
  virtual ~Download() = default;
  /// Waits for the bytes, which live as long as this object.
  virtual const std::byte* wait() = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const noexcept = 0;
  /// One line for people: "CPU, 2 threads, AVX-512".
  virtual std::string describe() const = 0;
  /// True if pointers of the host are valid on this device.
  virtual bool shares_host_memory() const noexcept = 0;

  /// Returns at least `bytes` bytes, aligned to 64. `purpose` names them in the DeviceError if
  /// memory is exhausted.
  virtual void* allocate(size_t bytes, std::string_view purpose) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// Bytes that allocate() can return now; the largest size_t if unknown.
  virtual size_t free_memory() const { return std::numeric_limits<size_t>::max(); }
  /// Copies and fills wait for programs still running.
  virtual void upload(void* to_device, const void* from_host, size_t bytes) = 0;
  virtual void download(void* to_host, const void* from_device, size_t bytes) = 0;
  virtual void fill_zero(void* on_device, size_t bytes) = 0;
  /// Starts a copy of the content after the programs queued so far, without waiting for them.
  virtual std::unique_ptr<Download> start_download(const void* from_device, size_t bytes) = 0;
  /// Returns a queue that copies while programs run, `staging_bytes` at a time; the device must
  /// outlive it.
  virtual std::unique_ptr<TransferQueue> make_transfer_queue(size_t staging_bytes);

  virtual std::unique_ptr<Executable> prepare(Program program) = 0;
  virtual void synchronize() = 0;

  /// Prepares and runs a program once.
  void run(Program program) {
    prepare(std::move(program))->run();
    synchronize();
  }
};

/// The CPU with `threads` threads; 0: as many as OpenMP offers. Throws ConfigError if negative.
std::shared_ptr<Device> make_cpu_device(int threads = 0);

/// Information about the GPUs of this machine. Never throws; loads nothing if there is no driver.
struct CudaProbe {
  int devices = 0;
  std::string reason;  // why none can be used; empty otherwise
};
CudaProbe probe_cuda() noexcept;

/// GPU `ordinal`. Throws DeviceError with the reason if it cannot be used.
std::shared_ptr<Device> make_cuda_device(int ordinal = 0);

/// "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N". Throws ConfigError for other
/// names, and DeviceError if "cuda" was requested and is not available.
std::shared_ptr<Device> make_device(std::string_view name, int threads = 0);

}  // namespace elbo

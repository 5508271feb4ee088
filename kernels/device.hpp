// A device: memory, and something that runs programs. The CPU is one, each NVIDIA GPU is one.
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

/// How factors of products are stored: the CPU rounds floats as it reads them.
constexpr Format factor_format(Precision precision, DeviceKind device) {
  return precision == Precision::bf16 && device == DeviceKind::cuda ? Format::bf16 : Format::f32;
}

/// The time of an op.
struct OpTime {
  double seconds = 0.0;
  int within = 0;  // the place of the op that does its work: its own, unless another takes it over
};

/// A program made ready for its device. Keeps no copy of the buffers it works on.
class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs the program `repeats` times in a row; may return before a GPU is done.
  virtual void run(uint64_t repeats = 1) = 0;
  /// Runs it as often and gives the seconds of one run that passed in each op, by the host's clock
  /// [ops]; empty, and nothing run, on a device that cannot tell one op's time from another's.
  virtual std::vector<OpTime> time_ops(uint64_t /*repeats*/) { return {}; }
  /// What was chosen for this device and why, line by line for people; may grow with the runs.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// A copy to the host that is under way while the device goes on.
class Download {
 public:
  virtual ~Download() = default;
  /// The bytes, once they are there; they live as long as this.
  virtual const std::byte* wait() = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const noexcept = 0;
  /// One line for people: "CPU, 2 threads, AVX-512".
  virtual std::string describe() const = 0;
  /// Whether pointers of the host are valid on this device.
  virtual bool shares_host_memory() const noexcept = 0;

  /// At least `bytes` bytes, aligned to 64; `purpose` names them in the DeviceError when there is
  /// no room.
  virtual void* allocate(size_t bytes, std::string_view purpose) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// Bytes that allocate() has to give now, the largest size_t where that is not known.
  virtual size_t free_memory() const { return std::numeric_limits<size_t>::max(); }
  /// Copies and fills wait for programs still running.
  virtual void upload(void* to_device, const void* from_host, size_t bytes) = 0;
  virtual void download(void* to_host, const void* from_device, size_t bytes) = 0;
  virtual void fill_zero(void* on_device, size_t bytes) = 0;
  /// Copies what is there once the programs queued so far are done, and does not wait for them.
  virtual std::unique_ptr<Download> start_download(const void* from_device, size_t bytes) = 0;
  /// A queue that copies beside programs, `staging_bytes` at a time; the device must outlive it.
  virtual std::unique_ptr<TransferQueue> make_transfer_queue(size_t staging_bytes);

  virtual std::unique_ptr<Executable> prepare(Program program) = 0;
  virtual void synchronize() = 0;

  /// Prepares and runs a program once.
  void run(Program program) {
    prepare(std::move(program))->run();
    synchronize();
  }
};

/// The CPU with `threads` threads; 0: as many as OpenMP offers. Throws ConfigError when negative.
std::shared_ptr<Device> make_cpu_device(int threads = 0);

/// What is known of the GPUs here; never throws, loads nothing where there is no driver.
struct CudaProbe {
  int devices = 0;
  std::string reason;  // why there is none to use, empty otherwise
};
CudaProbe probe_cuda() noexcept;

/// GPU `ordinal`. Throws DeviceError, naming the reason, when it cannot be used.
std::shared_ptr<Device> make_cuda_device(int ordinal = 0);

/// "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N". Throws ConfigError for other
/// names and DeviceError where "cuda" was asked for and cannot be had.
std::shared_ptr<Device> make_device(std::string_view name, int threads = 0);

}  // namespace elbo

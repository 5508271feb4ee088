// The machine that a benchmark runs on, with the peak rates that its rows are compared with.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kernels/core/precision.hpp"
#include "kernels/device.hpp"

namespace elbo::bench {

class Machine {
 public:
  virtual ~Machine() = default;

  virtual DeviceKind kind() const = 0;
  /// Returns the device with `threads` threads (0: the benchmark's own number). A GPU machine has
  /// one device and ignores `threads`.
  virtual std::shared_ptr<Device> device(int threads) = 0;
  /// Returns the rate of a copy, or of a similar loop, over arrays larger than the cache, counting
  /// bytes read and bytes written. Measured on the first call for that number of threads.
  virtual double copy_gb_per_s(int threads) = 0;
  /// Returns the rate of a large matrix product with operands in `precision`, or 0 if no library is
  /// available to measure it with. Measured on the first call for these arguments.
  virtual double product_gf_per_s(int threads, Precision precision) = 0;
  /// If a row moves more bytes than this, its previous run leaves no data in the cache that it
  /// could reuse.
  virtual double cached_bytes() const = 0;
  /// Returns the name of the column for a row's percentage of product_gf_per_s().
  virtual const char* product_share() const = 0;
  /// Returns the number of consecutive runs that take some milliseconds if one run takes `seconds`.
  /// The cost of starting them is then a small fraction of the time, as in training.
  virtual int64_t block(double seconds) const = 0;
  /// Returns the minimum time of one repetition of a row, in seconds.
  virtual const char* least_seconds() const = 0;
  /// Returns the context of the results file: device, versions, rates.
  virtual std::map<std::string, std::string> context() = 0;
};

/// Returns the machine of a device, "cpu", "cuda" or "cuda:N". Throws what make_device throws.
std::unique_ptr<Machine> make_machine(const std::string& device, int threads);

std::unique_ptr<Machine> make_cpu_machine(int threads);
/// Returns the machine of `device`, which is a GPU. Throws DeviceError in a build without CUDA.
std::unique_ptr<Machine> make_gpu_machine(std::shared_ptr<Device> device);
/// Returns the name and version of the matrix product library on a GPU; empty if none is found.
std::string gpu_product_library();

}  // namespace elbo::bench

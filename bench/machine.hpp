// What a benchmark runs on, and what that can do at most: the rates a row is held against.
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
  /// The device with `threads` threads, 0: as many as the benchmark was given. A GPU has one, which
  /// does not ask for threads.
  virtual std::shared_ptr<Device> device(int threads) = 0;
  /// The rates below are measured when first asked for, with that many threads.
  /// Bytes read and written by a copy or the like of arrays beyond the cache.
  virtual double copy_gb_per_s(int threads) = 0;
  /// A large product with factors as in `precision`; 0 where there is nothing to measure it with.
  virtual double product_gf_per_s(int threads, Precision precision) = 0;
  /// A row that moves more bytes than this finds nothing of its last run in the cache.
  virtual double cached_bytes() const = 0;
  /// The column that says a row's share of the above.
  virtual const char* product_share() const = 0;
  /// A number of runs in a row that takes some milliseconds, where one takes `seconds`: starting
  /// them is then a small part, as it is in a training.
  virtual int64_t block(double seconds) const = 0;
  /// Seconds to spend on each repetition of a row at least.
  virtual const char* least_seconds() const = 0;
  /// For the file of results: device, versions, rates.
  virtual std::map<std::string, std::string> context() = 0;
};

/// "cpu", "cuda" or "cuda:N". Throws what make_device throws.
std::unique_ptr<Machine> make_machine(const std::string& device, int threads);

std::unique_ptr<Machine> make_cpu_machine(int threads);
/// `device` is a GPU.
std::unique_ptr<Machine> make_gpu_machine(std::shared_ptr<Device> device);
/// Name and version of the library that multiplies matrices on a GPU; empty if none is found.
std::string gpu_product_library();

}  // namespace elbo::bench

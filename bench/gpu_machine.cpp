#include <cuda_runtime_api.h>

#include <algorithm>
#include <fstream>
#include <regex>

#include "bench/machine.hpp"
#include "bench/row.hpp"
#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/handles.hpp"

namespace elbo::bench {
namespace {

/// Returns "13.0" for 13000.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// Returns the release of the driver's kernel module and the newest CUDA version it supports.
std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  std::smatch release;
  const bool found = std::regex_search(line, release, std::regex("[0-9]+\\.[0-9]+(\\.[0-9]+)?"));
  int version = 0;
  ELBO_CUDA(cudaDriverGetVersion(&version));
  return (found ? release.str() : "unknown release") + ", CUDA " + version_text(version);
}

std::string runtime_version() {
  int version = 0;
  ELBO_CUDA(cudaRuntimeGetVersion(&version));
  return version_text(version);
}

/// Returns the shortest time, in seconds, of `runs` runs of the work that `enqueue` puts on the
/// default stream.
template <class Enqueue>
double best_seconds(int runs, Enqueue enqueue) {
  const cuda::Event start, stop;
  double best = 1e300;
  for (int i = 0; i <= runs; ++i) {
    start.record(nullptr);
    enqueue();
    stop.record(nullptr);
    const double seconds = 1e-6 * stop.microseconds_since(start);
    if (i > 0) best = std::min(best, seconds);  // the first run warms up
  }
  return best;
}

class GpuMachine : public Machine {
 public:
  explicit GpuMachine(std::shared_ptr<Device> device) : device_(std::move(device)) {
    int ordinal = 0;  // `device` is the current one since it was created
    ELBO_CUDA(cudaGetDevice(&ordinal));
    ELBO_CUDA(cudaGetDeviceProperties(&properties_, ordinal));
    library_ = cuda::make_cublaslt(library_defect_);
  }

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::shared_ptr<Device> device(int) override { return device_; }
  double copy_gb_per_s(int) override {
    if (copy_gb_per_s_ == 0.0) copy_gb_per_s_ = measure_copy();
    return copy_gb_per_s_;
  }
  double product_gf_per_s(int, Precision precision) override {
    const auto [place, is_new] = product_gf_per_s_.try_emplace(precision);
    if (is_new) place->second = measure_product(precision);
    return place->second;
  }
  /// The L2 cache holds at most its own size of the previous run's data. If a row moves more than
  /// four times that, less than a quarter of its data are cached, and none of the data that it
  /// reads first.
  double cached_bytes() const override { return 4.0 * properties_.l2CacheSize; }
  const char* product_share() const override { return "%gemm"; }
  /// A multiple of 16, because a graph contains 16 runs.
  int64_t block(double seconds) const override {
    const auto runs = std::clamp<int64_t>(static_cast<int64_t>(0.005 / seconds), 1, 8192);
    return (runs + 15) / 16 * 16;
  }
  const char* least_seconds() const override { return "0.005"; }
  std::map<std::string, std::string> context() override {
    std::map<std::string, std::string> facts = {
        {"device", device_->describe()},
        {"compute_capability",
         std::to_string(properties_.major) + "." + std::to_string(properties_.minor)},
        {"l2_bytes", std::to_string(properties_.l2CacheSize)},
        {"driver", driver_version()},
        {"runtime", runtime_version()},
        {"product_library", library_ ? library_->version() : library_defect_},
        {"copy_gb_per_s", std::to_string(copy_gb_per_s(0))}};
    if (library_ == nullptr) return facts;
    for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16})
      facts[std::string(name_of(precision)) + "_product_gf_per_s"] =
          std::to_string(product_gf_per_s(0, precision));
    return facts;
  }

 private:
  double measure_copy() {
    constexpr size_t kBytes = size_t{1} << 30;
    const Buffer<std::byte> from(device_, kBytes, "measuring the copy rate"),
        to(device_, kBytes, "measuring the copy rate");
    const double seconds = best_seconds(12, [&] {
      ELBO_CUDA(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, nullptr));
    });
    return 2e-9 * kBytes / seconds;
  }
  /// Measures the library's fastest algorithm for a layer of 8192 inputs and outputs at a batch of
  /// 8192.
  double measure_product(Precision precision) {
    if (library_ == nullptr) return 0.0;
    constexpr int32_t kSize = 8192;
    constexpr int64_t kElements = int64_t{kSize} * kSize;
    const Format format = factor_format(precision, DeviceKind::cuda);
    Workspace w(device_);
    DenseForward op;
    op.rows = {w.state(kSize), kSize};
    op.in = op.out = kSize;
    op.x = w.uniforms(format, kElements, -1.0f, 1.0f);
    op.weight = w.uniforms(format, kElements, -1.0f, 1.0f);
    op.bias = w.uniforms(kSize, -1.0f, 1.0f);
    op.y = w.zeros(format, kElements);
    op.precision = precision;
    double best = 1e300;
    for (const auto& product : library_->candidates(op).products)
      best = std::min(best, best_seconds(3, [&] { product->enqueue(cuda::Stream()); }));
    return 1e-9 * op.flops() / best;
  }

  std::shared_ptr<Device> device_;
  cudaDeviceProp properties_{};
  std::unique_ptr<cuda::ProductLibrary> library_;
  std::string library_defect_;
  double copy_gb_per_s_ = 0.0;
  std::map<Precision, double> product_gf_per_s_;
};

}  // namespace

std::unique_ptr<Machine> make_gpu_machine(std::shared_ptr<Device> device) {
  return std::make_unique<GpuMachine>(std::move(device));
}

std::string gpu_product_library() {
  std::string reason;
  const auto library = cuda::make_cublaslt(reason);
  return library ? library->version() : "";
}

}  // namespace elbo::bench

#include <dnnl.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>

#include "bench/machine.hpp"
#include "kernels/ceilings.hpp"

namespace elbo::bench {
namespace {

class CpuMachine : public Machine {
 public:
  explicit CpuMachine(int threads) : threads_(threads) {}

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::shared_ptr<Device> device(int threads) override { return make_cpu_device(given(threads)); }
  double copy_gb_per_s(int threads) override {
    const auto [place, is_new] = copies_.try_emplace(given(threads));
    if (is_new) place->second = cpu_copy_gb_per_s(given(threads));
    return place->second;
  }
  double product_gf_per_s(int threads, Precision precision) override {
    const auto [place, is_new] = products_.try_emplace({given(threads), precision});
    if (is_new) place->second = cpu_product_gf_per_s(given(threads), precision);
    return place->second;
  }
  double cached_bytes() const override { return 2.0 * static_cast<double>(cpu_cache_bytes()); }
  const char* product_share() const override { return "%gemm"; }
  int64_t block(double seconds) const override {
    return std::clamp<int64_t>(static_cast<int64_t>(0.005 / seconds), 1, 1000);
  }
  const char* least_seconds() const override { return "0.02"; }
  std::map<std::string, std::string> context() override {
    const dnnl_version_t* dnnl = dnnl_version();
    return {{"device", device(0)->describe()},
            {"copy_gb_per_s", std::to_string(copy_gb_per_s(0))},
            {"sgemm_gf_per_s", std::to_string(product_gf_per_s(0, Precision::fp32))},
            {"onednn", std::to_string(dnnl->major) + "." + std::to_string(dnnl->minor) + "." +
                           std::to_string(dnnl->patch)}};
  }

 private:
  int given(int threads) const { return threads == 0 ? threads_ : threads; }

  int threads_;
  std::map<int, double> copies_;  // by number of threads
  std::map<std::pair<int, Precision>, double> products_;
};

}  // namespace

std::unique_ptr<Machine> make_cpu_machine(int threads) {
  return std::make_unique<CpuMachine>(threads);
}

}  // namespace elbo::bench

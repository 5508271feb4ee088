#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "bench/machine.hpp"

namespace elbo::bench {
namespace {

/// The shortest of some runs, in seconds: a ceiling is what the machine can do undisturbed.
template <class Run>
double best_seconds(Run run) {
  constexpr int kRuns = 12;
  double best = 1e300;
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// Of the last level; 32 MiB where the system does not say.
double cache_bytes() {
  // Not from sysconf, which counts caches that a virtual machine has no part in.
  int bytes = 0;
  for (const auto& cache : benchmark::CPUInfo::Get().caches) bytes = std::max(bytes, cache.size);
  return bytes > 0 ? bytes : 32.0 * (1 << 20);
}

/// a = b + s * c over three arrays beyond the cache, 12 bytes an element.
double triad_gb_per_s(int threads) {
  const auto count = std::max<int64_t>(int64_t{1} << 24, static_cast<int64_t>(cache_bytes()));
  const std::unique_ptr<float[]> a(new float[static_cast<size_t>(count)]),
      b(new float[static_cast<size_t>(count)]), c(new float[static_cast<size_t>(count)]);
#pragma omp parallel for num_threads(threads)
  for (int64_t i = 0; i < count; ++i) a[i] = 0.0f, b[i] = 1.0f, c[i] = 2.0f;
  const double seconds = best_seconds([&] {
#pragma omp parallel for simd num_threads(threads)
    for (int64_t i = 0; i < count; ++i) a[i] = b[i] + 3.0f * c[i];
  });
  return 12e-9 * static_cast<double>(count) / seconds;
}

/// dnnl_sgemm, 1024^3, one product per thread at a time.
double sgemm_gf_per_s(int threads) {
  constexpr int64_t kSize = 1024;
  struct Matrices {
    std::vector<float> a = std::vector<float>(kSize * kSize, 1.0f);
    std::vector<float> b = std::vector<float>(kSize * kSize, 1.0f);
    std::vector<float> c = std::vector<float>(kSize * kSize);
  };
  std::vector<Matrices> matrices(static_cast<size_t>(threads));
  const double seconds = best_seconds([&] {
#pragma omp parallel num_threads(threads)
    {
      omp_set_num_threads(1);
      Matrices& m = matrices[static_cast<size_t>(omp_get_thread_num())];
      dnnl_sgemm('N', 'T', kSize, kSize, kSize, 1.0f, m.a.data(), kSize, m.b.data(), kSize, 0.0f,
                 m.c.data(), kSize);
    }
  });
  return 2e-9 * kSize * kSize * kSize * threads / seconds;
}

class CpuMachine : public Machine {
 public:
  explicit CpuMachine(int threads) : threads_(threads) {}

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::shared_ptr<Device> device(int threads) override { return make_cpu_device(given(threads)); }
  double copy_gb_per_s(int threads) override { return rates(threads).copy; }
  double product_gf_per_s(int threads, Precision) override { return rates(threads).product; }
  double cached_bytes() const override { return 2.0 * cache_bytes(); }
  const char* product_share() const override { return "%sgemm"; }
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
  struct Rates {
    double copy = 0.0, product = 0.0;
  };

  int given(int threads) const { return threads == 0 ? threads_ : threads; }
  const Rates& rates(int threads) {
    const auto [place, is_new] = rates_.try_emplace(given(threads));
    if (is_new) place->second = {triad_gb_per_s(given(threads)), sgemm_gf_per_s(given(threads))};
    return place->second;
  }

  int threads_;
  std::map<int, Rates> rates_;  // by threads
};

}  // namespace

std::unique_ptr<Machine> make_cpu_machine(int threads) {
  return std::make_unique<CpuMachine>(threads);
}

}  // namespace elbo::bench

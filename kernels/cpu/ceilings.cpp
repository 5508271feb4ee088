#include "kernels/ceilings.hpp"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace elbo {
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

int given(int threads) { return threads == 0 ? omp_get_max_threads() : threads; }

}  // namespace

int64_t cpu_cache_bytes() {
  // Not from sysconf, which counts caches that a virtual machine has no part in.
  int64_t most = 0;
  for (int i = 0;; ++i) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/size");
    int64_t kibibytes = 0;
    if (!(file >> kibibytes)) break;  // "32768K"
    most = std::max(most, kibibytes << 10);
  }
  return most > 0 ? most : int64_t{32} << 20;
}

double cpu_copy_gb_per_s(int threads) {
  threads = given(threads);
  const int64_t count = std::max(int64_t{1} << 24, cpu_cache_bytes() / 3);  // of 12 bytes
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

double cpu_product_gf_per_s(int threads) {
  threads = given(threads);
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

}  // namespace elbo

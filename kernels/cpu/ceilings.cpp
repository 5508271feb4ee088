#include "kernels/ceilings.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "kernels/cpu/one_thread.hpp"

namespace elbo {
namespace {

/// The shortest of several runs, in seconds, because a roofline peak is the undisturbed rate.
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

constexpr int64_t kSize = 1024;  // of a square matrix

template <class Number>
struct Matrices {
  std::vector<Number> a = std::vector<Number>(kSize * kSize);
  std::vector<Number> b = std::vector<Number>(kSize * kSize);
  std::vector<float> c = std::vector<float>(kSize * kSize);
};

/// Shortest time of multiply(matrices), in seconds, on every thread at once.
template <class Number, class Multiply>
double seconds_of_products(int threads, Multiply multiply) {
  std::vector<Matrices<Number>> matrices(static_cast<size_t>(threads));
  return best_seconds([&] {
#pragma omp parallel num_threads(threads)
    {
      omp_set_num_threads(1);
      multiply(matrices[static_cast<size_t>(omp_get_thread_num())]);
    }
  });
}

double sgemm_seconds(int threads) {
  return seconds_of_products<float>(threads, [](Matrices<float>& m) {
    dnnl_sgemm('N', 'T', kSize, kSize, kSize, 1.0f, m.a.data(), kSize, m.b.data(), kSize, 0.0f,
               m.c.data(), kSize);
  });
}

/// Infinite if oneDNN has no such product.
double bf16_seconds(int threads) {
  using dnnl::memory;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto matrix = [](memory::data_type type, memory::format_tag tag) {
    return memory::desc({kSize, kSize}, type, tag);
  };
  const memory::desc a = matrix(memory::data_type::bf16, memory::format_tag::ab);
  const memory::desc b = matrix(memory::data_type::bf16, memory::format_tag::ba);
  const memory::desc c = matrix(memory::data_type::f32, memory::format_tag::ab);
  dnnl::matmul product;
  try {
    const cpu::OneThread one_thread;
#if DNNL_VERSION_MAJOR >= 3
    product = dnnl::matmul(dnnl::matmul::primitive_desc(engine, a, b, c));
#else
    product = dnnl::matmul(dnnl::matmul::primitive_desc({a, b, c}, engine));
#endif
  } catch (const dnnl::error&) {
    return std::numeric_limits<double>::infinity();
  }
  return seconds_of_products<uint16_t>(threads, [&](Matrices<uint16_t>& m) {
    dnnl::stream stream(engine);
    product.execute(stream, {{DNNL_ARG_SRC, {a, engine, m.a.data()}},
                             {DNNL_ARG_WEIGHTS, {b, engine, m.b.data()}},
                             {DNNL_ARG_DST, {c, engine, m.c.data()}}});
    stream.wait();
  });
}

int given(int threads) { return threads == 0 ? omp_get_max_threads() : threads; }

}  // namespace

int64_t cpu_cache_bytes() {
  // Not from sysconf, which reports caches that a virtual machine cannot use.
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
  const int64_t count = std::max(int64_t{1} << 24, cpu_cache_bytes() / 3);  // elements of 12 bytes
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

double cpu_product_gf_per_s(int threads, Precision precision) {
  threads = given(threads);
  const double seconds =
      precision == Precision::bf16 ? bf16_seconds(threads) : sgemm_seconds(threads);
  return 2e-9 * kSize * kSize * kSize * threads / seconds;
}

}  // namespace elbo

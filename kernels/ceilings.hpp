// What a CPU can do at most, as measured with some threads, 0: as many as OpenMP offers. Times are
// held against these rates.
#pragma once

#include <cstdint>

namespace elbo {

/// Of the last level; 32 MiB where the system does not say.
int64_t cpu_cache_bytes();

/// Gigabytes a second of a = b + s * c over three arrays, 12 bytes an element and four times the
/// cache: the best of some runs.
double cpu_copy_gb_per_s(int threads);

/// GFLOP a second of dnnl_sgemm, 1024^3, one product per thread at a time: the best of some runs.
double cpu_product_gf_per_s(int threads);

}  // namespace elbo

// What a CPU can do at most, as measured with some threads, 0: as many as OpenMP offers. Times are
// held against these rates.
#pragma once

#include <cstdint>

#include "kernels/core/precision.hpp"

namespace elbo {

/// Of the last level; 32 MiB where the system does not say.
int64_t cpu_cache_bytes();

/// Gigabytes a second of a = b + s * c over three arrays, 12 bytes an element and four times the
/// cache: the best of some runs.
double cpu_copy_gb_per_s(int threads);

/// GFLOP a second of oneDNN's products, 1024^3, one per thread at a time, in fp32 (dnnl_sgemm) or
/// of factors stored in bfloat16: the best of some runs. 0 where the library has no such product.
double cpu_product_gf_per_s(int threads, Precision precision = Precision::fp32);

}  // namespace elbo

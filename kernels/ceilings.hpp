// Roofline peaks of a CPU, measured with a number of threads; 0: as many as OpenMP offers.
#pragma once

#include <cstdint>

#include "kernels/core/precision.hpp"

namespace elbo {

/// Bytes of the last-level cache; 32 MiB if the system does not report it.
int64_t cpu_cache_bytes();

/// Gigabytes per second of a = b + s * c over three arrays, 12 bytes per element and four times the
/// cache in size: the best of several runs.
double cpu_copy_gb_per_s(int threads);

/// GFLOP per second of oneDNN's products, 1024^3, one per thread at a time, in fp32 (dnnl_sgemm) or
/// with operands stored in bfloat16: the best of several runs. 0 if the library has no such
/// product.
double cpu_product_gf_per_s(int threads, Precision precision = Precision::fp32);

}  // namespace elbo

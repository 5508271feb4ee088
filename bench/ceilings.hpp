// What this machine can do at most, measured: the rates a row is held against.
#pragma once

namespace elbo::bench {

struct Ceilings {
  double copy_gb_per_s = 0.0;   // a = b + s * c over three arrays beyond the cache, 12 bytes each
  double sgemm_gf_per_s = 0.0;  // dnnl_sgemm, 1024^3, one product per thread at a time
};

/// Measured when first asked for (about a second), once per thread count.
const Ceilings& ceilings(int threads);

/// Bytes of the last-level cache; 32 MiB where the system does not say.
double last_level_cache_bytes();

}  // namespace elbo::bench

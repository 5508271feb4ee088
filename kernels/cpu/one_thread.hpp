// oneDNN on the thread that calls it.
#pragma once

#include <omp.h>

namespace elbo::cpu {

/// A primitive is created for the current number of threads; ours run on the calling thread only.
class OneThread {
 public:
  OneThread() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(threads_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

}  // namespace elbo::cpu

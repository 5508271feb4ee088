// oneDNN on the thread that calls it.
#pragma once

#include <omp.h>

namespace elbo::cpu {

/// A primitive is made for as many threads as there are then; ours run on the one that calls.
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

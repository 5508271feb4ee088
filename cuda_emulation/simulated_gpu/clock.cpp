// The host's steady clock, slowed down and advanced by the time of the simulated work. Without
// this, a program that measures until a time limit would do almost nothing on a GPU this slow.
// Replaces clock_gettime of the C library.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cuda_emulation/simulated_gpu/gpu.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"

extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  constexpr double kSecond = 1e9, kMicrosecond = 1e3;  // nanoseconds
  const long status = syscall(SYS_clock_gettime, clock, time);
  const double speed = elbo::cuda::simulated::Options::get().clock;
  if (status != 0 || clock != CLOCK_MONOTONIC || speed == 1.0) return static_cast<int>(status);
  static const timespec start = *time;
  const double passed = static_cast<double>(time->tv_sec - start.tv_sec) * kSecond +
                        static_cast<double>(time->tv_nsec - start.tv_nsec);
  const double work = elbo::cuda::simulated::Gpu::get().now() * kMicrosecond;
  const long nanoseconds = start.tv_nsec + static_cast<long>(passed * speed + work);
  time->tv_sec = start.tv_sec + nanoseconds / static_cast<long>(kSecond);
  time->tv_nsec = nanoseconds % static_cast<long>(kSecond);
  return 0;
}

// The floating-point environment in which instructions mean what they say.
#pragma once

#include <cfenv>

namespace elbo::cuda::emulation {

/// While in scope the host rounds to nearest and keeps subnormals: instructions say (.ftz, .rz)
/// where they differ, whatever mode the caller is in.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatingPoint() { std::fesetenv(&callers_); }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  std::fenv_t callers_;
};

}  // namespace elbo::cuda::emulation

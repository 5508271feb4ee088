// The floating-point environment that the emulated instructions assume.
#pragma once

#include <cfenv>

namespace elbo::cuda::emulation {

/// While in scope, the host rounds to nearest and keeps subnormals, whatever the caller's mode.
/// Instructions that behave differently carry a modifier (.ftz, .rz).
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

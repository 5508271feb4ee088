// The three kinds of error: the user's (ConfigError, DataError), the environment's (DeviceError,
// DivergenceError) and ours (ELBO_ASSERT). The library throws; only the command line prints.
#pragma once

#include <stdexcept>
#include <string>

namespace elbo {

/// Base of all exceptions that the library throws on purpose. `what()` is one line for users.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A setting is wrong or two settings conflict. Exit code 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file or data set is missing, malformed or does not fit. Exit code 3.
class DataError : public Error {
 public:
  using Error::Error;
};

/// A device, its driver or its memory failed or is absent. Exit code 4.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// The loss is no longer finite. Exit code 5.
class DivergenceError : public Error {
 public:
  using Error::Error;
};

/// A broken invariant of the library. No user input can cause it.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] inline void fail_assertion(const char* expression, const char* file, int line) {
  throw InternalError(std::string(file) + ":" + std::to_string(line) +
                      ": assertion failed: " + expression);
}

}  // namespace elbo

#define ELBO_ASSERT(condition) \
  ((condition) ? (void)0 : ::elbo::fail_assertion(#condition, __FILE__, __LINE__))

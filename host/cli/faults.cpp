#include "host/cli/faults.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "host/io/mapped_file.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

constexpr int kDataCode = 3, kDeviceCode = 4;  // as in main()

char advice[4096] = "";
std::atomic<int> stop_signal{0};

/// Does not allocate, so that a signal handler may call it.
void say(const char* text) {
  static_cast<void>(::write(STDERR_FILENO, text, std::strlen(text)) == 0);
}

[[noreturn]] void end(int code, const char* what, const char* why) {
  for (const char* part : {"elbo: ", what, why, static_cast<const char*>(advice), "\n"}) say(part);
  ::_exit(code);
}

void on_bus_error(int signal, siginfo_t* info, void*) {
  if (const char* path = mapped_path_at(info->si_addr))
    end(kDataCode, path, ": cannot be read any more: it was truncated, or its disk is gone");
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

std::atomic<bool> memory_has_run_out{false};

void on_no_memory() {
  memory_has_run_out = true;
  throw std::bad_alloc();
}

/// Uncaught exceptions of other threads end here; those of the main thread end in main().
/// Exceptions that escape a noexcept function of the C++ library also end here, possibly without a
/// current exception.
[[noreturn]] void on_terminate() {
  try {
    if (const std::exception_ptr failure = std::current_exception())
      std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    memory_has_run_out = true;
  } catch (const DeviceError& error) {
    end(kDeviceCode, error.what(), "");
  } catch (const std::exception& error) {
    end(1, "internal error: ", error.what());
  } catch (...) {
  }
  if (memory_has_run_out)
    end(kDeviceCode, "out of memory", "; a smaller model, batch or data set needs less");
  end(1, "internal error: ", "ended without an exception, or one of no known kind");
}

void on_stop(int signal) {
  int none = 0;
  if (stop_signal.compare_exchange_strong(none, signal)) return;
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

void handle_faults() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
  ::signal(SIGXFSZ, SIG_IGN);  // the write fails with an error instead
  std::set_terminate(on_terminate);
  std::set_new_handler(on_no_memory);
  // Loads the C library's unwinder now. It is otherwise loaded when the first exception is thrown,
  // and there may be no memory for it then.
  void* frame[1];
  static_cast<void>(::backtrace(frame, 1));
}

void advise_after_fault(const std::string& text) {
  std::snprintf(advice, sizeof advice, "; %s", text.c_str());
}

StopSignals::StopSignals() {
  stop_signal = 0;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = kSignals[i] == SIGPIPE ? SIG_IGN : on_stop;
    action.sa_flags = SA_RESTART;
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

int StopSignals::received() { return stop_signal; }

}  // namespace elbo::cli

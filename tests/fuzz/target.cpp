#include "tests/fuzz/target.hpp"

#include <atomic>
#include <cstdint>
#include <stdexcept>

#include "kernels/core/error.hpp"

// Functions of the address sanitizer; GCC has no header for them.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                              void (*on_free)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void* memory);
}

namespace elbo::fuzz {
namespace {

std::atomic<std::int64_t> allocated{0}, most_allocated{0};

void on_malloc(const volatile void*, std::size_t size) {
  const std::int64_t now = allocated += static_cast<std::int64_t>(size);
  std::int64_t most = most_allocated;
  while (most < now && !most_allocated.compare_exchange_weak(most, now)) {
  }
}

void on_free(const volatile void* memory) {
  if (memory == nullptr) return;
  allocated -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory));
}

/// OpenMP allocates in its first region (a megabyte in LLVM's runtime), independent of the input.
int start_threads() {
  std::atomic<int> threads{0};
#pragma omp parallel
  ++threads;
  return threads;
}

/// The peak of allocated memory since construction, by any library.
class Allocations {
 public:
  Allocations() {
    [[maybe_unused]] static const int started = start_threads();
    [[maybe_unused]] static const int installed =
        __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    before_ = allocated;
    most_allocated = before_;
  }
  std::size_t most() const { return static_cast<std::size_t>(most_allocated - before_); }

 private:
  std::int64_t before_;
};

void check_message(const std::string& message) {
  constexpr std::size_t kLongest = 4000;
  for (const char c : message)
    if ((c >= '\0' && c < ' ') || c == '\x7f')
      throw std::logic_error("control characters in a message: " + message);
  if (message.size() > kLongest)
    throw std::logic_error("a message of " + std::to_string(message.size()) + " bytes");
}

}  // namespace

void check(const Target& target, Bytes input) {
  const Allocations allocations;
  try {
    target.parse(input);
  } catch (const ConfigError& error) {
    check_message(error.what());
  } catch (const DataError& error) {
    check_message(error.what());
  }
  const std::size_t allowed = target.multiple * input.size() + target.constant;
  if (allocations.most() > allowed)
    throw std::logic_error(std::to_string(allocations.most()) +
                           " bytes allocated for an input of " + std::to_string(input.size()) +
                           ", at most " + std::to_string(allowed) + " are promised");
}

}  // namespace elbo::fuzz

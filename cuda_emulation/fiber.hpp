// One suspendable computation on a stack of its own, and the stacks. Every switch is announced to
// AddressSanitizer and ThreadSanitizer, where the program has them.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <span>
#include <vector>

namespace elbo::cuda::emulation {

class Fiber {
 public:
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Readies the fiber to run body(argument), which must not throw.
  void prepare(std::span<char> stack, void (*body)(void*), void* argument);

  /// Called by the scheduler: runs the fiber until it suspends or finishes.
  void resume();

  /// Called on the fiber: returns to the scheduler until the next resume().
  void suspend();

  /// Called by the scheduler when a launch is over: what the fiber did happens before what follows.
  void join();

 private:
  static void enter(boost::context::detail::transfer_t transfer);
  void switch_to_scheduler(bool finished);

  std::span<char> stack_;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  boost::context::detail::fcontext_t context_ = nullptr;
  boost::context::detail::fcontext_t scheduler_context_ = nullptr;

  void* asan_stack_ = nullptr;
  void* asan_scheduler_stack_ = nullptr;
  const void* asan_scheduler_bottom_ = nullptr;
  size_t asan_scheduler_size_ = 0;
  void* tsan_fiber_ = nullptr;
  void* tsan_scheduler_ = nullptr;
};

/// Stacks with a guard page below each, kept from launch to launch.
class StackPool {
 public:
  StackPool();
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  /// The `index`-th stack, free of what an abandoned fiber left poisoned in it.
  std::span<char> stack(size_t index);

 private:
  size_t page_size_;
  size_t stack_size_;
  std::vector<char*> mappings_;
};

}  // namespace elbo::cuda::emulation

// A suspendable computation with its own stack, and the pool of stacks. Every switch is announced
// to AddressSanitizer and ThreadSanitizer if the program is built with them.
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

  /// Prepares the fiber to run body(argument), which must not throw.
  void prepare(std::span<char> stack, void (*body)(void*), void* argument);

  /// Called by the scheduler: runs the fiber until it suspends or finishes.
  void resume();

  /// Called on the fiber: returns to the scheduler until the next resume().
  void suspend();

  /// Called by the scheduler after a launch: the fiber's accesses happen before all later accesses.
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

/// Stacks, each with a guard page below it, that are reused from launch to launch.
class StackPool {
 public:
  StackPool();
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  /// Returns the `index`-th stack, unpoisoned: a fiber that was abandoned may have left poisoned
  /// bytes in it.
  std::span<char> stack(size_t index);

 private:
  size_t page_size_;
  size_t stack_size_;
  std::vector<char*> mappings_;
};

}  // namespace elbo::cuda::emulation

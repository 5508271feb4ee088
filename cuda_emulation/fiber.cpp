#include "cuda_emulation/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr size_t kStackSize = 64 * 1024;
constexpr size_t kSanitizedStackSize = 256 * 1024;
// Fibers run one after the other, but the race check must treat them as concurrent.
constexpr unsigned kTsanNoSynchronisation = 1;

namespace context = boost::context::detail;

}  // namespace

Fiber::~Fiber() {
  if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
}

void Fiber::prepare(std::span<char> stack, void (*body)(void*), void* argument) {
  stack_ = stack;
  body_ = body;
  argument_ = argument;
  context_ = context::make_fcontext(stack.data() + stack.size(), stack.size(), &Fiber::enter);
  if (thread_sanitizer()) {
    tsan_scheduler_ = __tsan_get_current_fiber();
    tsan_fiber_ = __tsan_create_fiber(0);
  }
}

void Fiber::enter(context::transfer_t transfer) {
  Fiber& self = *static_cast<Fiber*>(transfer.data);
  self.scheduler_context_ = transfer.fctx;
  if (address_sanitizer()) {
    __sanitizer_finish_switch_fiber(nullptr, &self.asan_scheduler_bottom_,
                                    &self.asan_scheduler_size_);
  }
  self.body_(self.argument_);
  self.switch_to_scheduler(true);
  std::abort();  // a finished fiber is never resumed
}

void Fiber::resume() {
  if (address_sanitizer()) {
    __sanitizer_start_switch_fiber(&asan_scheduler_stack_, stack_.data(), stack_.size());
  }
  if (thread_sanitizer()) __tsan_switch_to_fiber(tsan_fiber_, kTsanNoSynchronisation);
  context_ = context::jump_fcontext(context_, this).fctx;
  if (address_sanitizer()) {
    __sanitizer_finish_switch_fiber(asan_scheduler_stack_, nullptr, nullptr);
  }
}

void Fiber::switch_to_scheduler(bool finished) {
  if (address_sanitizer()) {
    __sanitizer_start_switch_fiber(finished ? nullptr : &asan_stack_, asan_scheduler_bottom_,
                                   asan_scheduler_size_);
  }
  if (thread_sanitizer()) __tsan_switch_to_fiber(tsan_scheduler_, kTsanNoSynchronisation);
  scheduler_context_ = context::jump_fcontext(scheduler_context_, nullptr).fctx;
  if (address_sanitizer()) {
    __sanitizer_finish_switch_fiber(asan_stack_, &asan_scheduler_bottom_, &asan_scheduler_size_);
  }
}

void Fiber::suspend() { switch_to_scheduler(false); }

void Fiber::join() {
  if (!thread_sanitizer()) return;
  __tsan_switch_to_fiber(tsan_fiber_, kTsanNoSynchronisation);
  __tsan_switch_to_fiber(tsan_scheduler_, 0);
}

StackPool::StackPool()
    : page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
      stack_size_(address_sanitizer() || thread_sanitizer() ? kSanitizedStackSize : kStackSize) {}

StackPool::~StackPool() {
  for (char* mapping : mappings_) munmap(mapping, page_size_ + stack_size_);
}

std::span<char> StackPool::stack(size_t index) {
  while (mappings_.size() <= index) {
    void* mapping = mmap(nullptr, page_size_ + stack_size_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, page_size_, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
    mappings_.push_back(static_cast<char*>(mapping));
  }
  const std::span<char> stack(mappings_[index] + page_size_, stack_size_);
  unpoison(stack.data(), stack.size());
  return stack;
}

}  // namespace elbo::cuda::emulation

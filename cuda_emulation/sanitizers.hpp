// The sanitizers' fiber and memory interfaces as weak symbols: defined in programs built with the
// sanitizer, null in all others. The preprocessor cannot tell, because this library is compiled
// without ThreadSanitizer (it is the scheduler, not the program under test).
#pragma once

#include <cstddef>

extern "C" {
// AddressSanitizer
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom,
                                                  size_t size);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom,
                                                   size_t* size);
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* address, size_t size);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* address, size_t size);
[[gnu::weak]] void* __asan_region_is_poisoned(void* address, size_t size);
// ThreadSanitizer
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void __tsan_read_range(void* address, unsigned long size);
[[gnu::weak]] void __tsan_write_range(void* address, unsigned long size);
}

namespace elbo::cuda::emulation {

inline bool address_sanitizer() { return __asan_poison_memory_region != nullptr; }
inline bool thread_sanitizer() { return __tsan_create_fiber != nullptr; }

inline void poison(const void* address, size_t size) {
  if (address_sanitizer()) __asan_poison_memory_region(address, size);
}
inline void unpoison(const void* address, size_t size) {
  if (address_sanitizer()) __asan_unpoison_memory_region(address, size);
}
/// Returns the first poisoned byte of the range, or null if there is none or AddressSanitizer is
/// off.
inline void* first_poisoned(void* address, size_t size) {
  return address_sanitizer() ? __asan_region_is_poisoned(address, size) : nullptr;
}

/// Report accesses that this library makes on behalf of an emulated thread to ThreadSanitizer.
inline void note_read(const void* address, size_t size) {
  if (thread_sanitizer()) __tsan_read_range(const_cast<void*>(address), size);
}
inline void note_write(void* address, size_t size) {
  if (thread_sanitizer()) __tsan_write_range(address, size);
}

inline void happens_before(void* tag) {
  if (thread_sanitizer()) __tsan_release(tag);
}
inline void happens_after(void* tag) {
  if (thread_sanitizer()) __tsan_acquire(tag);
}

}  // namespace elbo::cuda::emulation

// A library to preload into a program (LD_PRELOAD): the n-th call of one kind that the program
// makes fails, or kills it. Kinds are those of kCalls; calls before main() are not counted.
//
//   ELBO_FAULT=CALL:N:ACTION  ACTION is an errno's name: the n-th call fails with it; the name and
//                             "+": so do all after it; kill: SIGKILL in its place; power: the same,
//                             and what was written and not synced is lost
//   ELBO_FAULT_COUNTS=FILE    where the numbers of calls are written at the end, "CALL N" a line
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

enum Call { kOpen, kRead, kMap, kWrite, kSync, kRename, kLink, kMakeDirectory, kAllocate, kCalls };
constexpr const char* kNames[kCalls] = {"open",   "read", "map",   "write",   "sync",
                                        "rename", "link", "mkdir", "allocate"};
struct Errno {
  const char* name;
  int value;
};
constexpr Errno kErrors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS},
                             {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EMFILE", EMFILE}};

std::atomic<long> counts[kCalls];
bool counting = false;  // from main() on

int fault_call = -1;
long fault_at = 0;
int fault_errno = 0;
bool fault_stays = false, fault_kills = false, fault_loses = false;

/// Files written since their last sync: our own descriptor and the synced length of each.
struct Unsynced {
  int descriptor = -1;
  dev_t device = 0;
  ino_t number = 0;
  off_t length = 0;
};
Unsynced unsynced[64];
std::mutex unsynced_mutex;

// The real function that this library's function wraps.
#define NEXT(name) \
  static const auto real = reinterpret_cast<decltype(&::name)>(dlsym(RTLD_NEXT, #name))

[[noreturn]] void die() {
  if (fault_loses) {
    const std::scoped_lock lock(unsynced_mutex);
    for (const Unsynced& file : unsynced)
      if (file.descriptor >= 0 && ::ftruncate(file.descriptor, file.length) != 0) ::abort();
  }
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Counts a call. Returns true, with errno set, if the call shall fail.
bool fails(Call call) {
  if (!counting) return false;
  const long number = counts[call].fetch_add(1) + 1;
  if (call != fault_call || number < fault_at || (number > fault_at && !fault_stays)) return false;
  if (fault_kills) die();
  errno = fault_errno;
  return true;
}

Unsynced* find(const struct stat& status, bool add) {
  Unsynced* free = nullptr;
  for (Unsynced& file : unsynced) {
    if (file.descriptor >= 0 && file.device == status.st_dev && file.number == status.st_ino)
      return &file;
    if (file.descriptor < 0) free = &file;
  }
  if (!add || free == nullptr) return nullptr;
  free->device = status.st_dev;
  free->number = status.st_ino;
  return free;
}

/// Called before a write: records the length of the file.
void dirty(int descriptor) {
  struct stat status {};
  if (!fault_loses || !counting || ::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
    return;
  const std::scoped_lock lock(unsynced_mutex);
  Unsynced* file = find(status, true);
  if (file == nullptr || file->descriptor >= 0) return;
  file->descriptor = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 500);
  file->length = status.st_size;
}

void clean(int descriptor) {
  struct stat status {};
  if (!fault_loses || ::fstat(descriptor, &status) != 0) return;
  const std::scoped_lock lock(unsynced_mutex);
  if (Unsynced* file = find(status, false)) {
    ::close(file->descriptor);
    file->descriptor = -1;
  }
}

void read_settings() {
  const char* text = ::getenv("ELBO_FAULT");
  if (text == nullptr) return;
  char call[16] = "", action[16] = "";
  if (::sscanf(text, "%15[^:]:%ld:%15s", call, &fault_at, action) != 3) ::abort();
  for (int i = 0; i < kCalls; ++i)
    if (::strcmp(call, kNames[i]) == 0) fault_call = i;
  fault_loses = ::strcmp(action, "power") == 0;
  fault_kills = fault_loses || ::strcmp(action, "kill") == 0;
  size_t length = ::strlen(action);
  if (length > 0 && action[length - 1] == '+') fault_stays = true, action[--length] = '\0';
  for (const Errno& error : kErrors)
    if (::strcmp(action, error.name) == 0) fault_errno = error.value;
  if (fault_call < 0 || (fault_errno == 0 && !fault_kills)) ::abort();
}

void write_counts() {
  counting = false;
  const char* path = ::getenv("ELBO_FAULT_COUNTS");
  if (path == nullptr) return;
  char text[512];
  int length = 0;
  for (int i = 0; i < kCalls; ++i)
    length += ::snprintf(text + length, sizeof text - static_cast<size_t>(length), "%s %ld\n",
                         kNames[i], counts[i].load());
  const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file < 0 || ::write(file, text, static_cast<size_t>(length)) != length) ::abort();
  ::close(file);
}

using Main = int (*)(int, char**, char**);
Main real_main = nullptr;

int counted_main(int argc, char** argv, char** environment) {
  read_settings();
  ::atexit(write_counts);
  counting = true;
  return real_main(argc, argv, environment);
}

}  // namespace

extern "C" {

int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*loader)(), void* stack) {
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  real_main = main;
  const auto real = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return real(counted_main, argc, argv, init, fini, loader, stack);
}

int open(const char* path, int flags, ...) {
  NEXT(open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return fails(kOpen) ? -1 : real(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  NEXT(open64);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return fails(kOpen) ? -1 : real(path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) {
  NEXT(fopen);
  return fails(kOpen) ? nullptr : real(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  NEXT(fopen64);
  return fails(kOpen) ? nullptr : real(path, mode);
}
ssize_t read(int file, void* bytes, size_t size) {
  NEXT(read);
  return fails(kRead) ? -1 : real(file, bytes, size);
}
ssize_t pread64(int file, void* bytes, size_t size, off64_t offset) {
  NEXT(pread64);
  return fails(kRead) ? -1 : real(file, bytes, size, offset);
}
void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  NEXT(mmap);
  if (file >= 0 && fails(kMap)) return MAP_FAILED;
  return real(address, size, protection, flags, file, offset);
}
ssize_t write(int file, const void* bytes, size_t size) {
  NEXT(write);
  if (fails(kWrite)) return -1;
  dirty(file);
  return real(file, bytes, size);
}
ssize_t writev(int file, const struct iovec* parts, int count) {
  NEXT(writev);
  if (fails(kWrite)) return -1;
  dirty(file);
  return real(file, parts, count);
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  NEXT(pwrite);
  if (fails(kWrite)) return -1;
  dirty(file);
  return real(file, bytes, size, offset);
}
int fsync(int file) {
  NEXT(fsync);
  if (fails(kSync)) return -1;
  clean(file);
  return real(file);
}
int rename(const char* from, const char* to) {
  NEXT(rename);
  return fails(kRename) ? -1 : real(from, to);
}
int link(const char* from, const char* to) {
  NEXT(link);
  return fails(kLink) ? -1 : real(from, to);
}
int mkdir(const char* path, mode_t mode) {
  NEXT(mkdir);
  return fails(kMakeDirectory) ? -1 : real(path, mode);
}

void* malloc(size_t size) { return fails(kAllocate) ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
  return fails(kAllocate) ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  return fails(kAllocate) ? nullptr : __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return fails(kAllocate) ? nullptr : __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) {
  if (fails(kAllocate)) return fault_errno;
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"

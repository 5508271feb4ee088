// The state of a block that the PTX interpreter runs: threads with their registers, and the state
// spaces of the addresses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/pending_copies.hpp"
#include "cuda_emulation/ptx_program.hpp"
#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation::ptx {

inline constexpr unsigned kLanes = 32;

// A generic address is a host address or an offset in one of these windows, which contain no host
// memory.
inline constexpr uint64_t kWindowSize = uint64_t{1} << 56;
inline constexpr uint64_t kSharedWindow = 1 * kWindowSize;
inline constexpr uint64_t kLocalWindow = 2 * kWindowSize;
inline constexpr uint64_t kParameterWindow = 3 * kWindowSize;

class Block;

/// How an instruction accesses memory. Atomics update it.
enum class Touch : uint8_t { kRead, kWrite, kUpdate };

/// Translates addresses of global memory that is not the host's own memory, and observes every
/// access.
class GlobalMemory {
 public:
  virtual ~GlobalMemory() = default;
  /// Returns the host memory that backs `bytes` bytes at a device address, or null if the access is
  /// not allowed. `waited`: the thread has passed a griddepcontrol.wait.
  virtual std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) = 0;
};

/// Operations at which threads wait for each other.
enum class Collective : uint8_t {
  kBarrier,
  kBarrierCount,
  kBarrierAnd,
  kBarrierOr,
  kWarpBarrier,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kReduceAdd,
  kReduceMinimum,
  kReduceMaximum,
  kMmaTf32,
  kMmaBf16,
};

/// An active function of a thread: the kernel, or a function called from it.
struct Frame {
  const Function* function = nullptr;
  const Step* next = nullptr;  // first step to run; while waiting or in a call, the step after it
  uint64_t* slots = nullptr;
  std::byte* parameters = nullptr;
  std::unique_ptr<uint64_t[]> storage;  // of slots and parameters
};

// Initial bytes of shared and local memory: NaN as a float.
inline constexpr unsigned char kUnwritten = 0xff;

struct Thread {
  enum class State : uint8_t { kReady, kAtBarrier, kAtWarpCollective, kAtGridWait, kExited };

  uint64_t& slot(uint32_t number) { return frame.slots[number]; }
  uint64_t slot(uint32_t number) const { return frame.slots[number]; }

  unsigned lane() const { return linear % kLanes; }
  unsigned warp() const { return linear / kLanes; }

  Block* block = nullptr;
  unsigned linear = 0;
  uint3 index{};
  State state = State::kReady;
  Collective collective{};     // valid while waiting
  uint32_t mask = 0;           // while waiting at a warp instruction: the lanes that must arrive
  bool carry = false;          // of the last .cc instruction
  bool waited = false;         // the thread has waited for the preceding grids
  Frame frame;                 // of the running function
  std::vector<Frame> callers;  // of the running function, the kernel first
  std::vector<std::byte> local;
  PendingCopies copies;
};

class Block {
 public:
  /// `global`: null if device addresses are host addresses. `held`: the preceding grids (in
  /// programmatic dependent launch) are not complete, so threads stop at griddepcontrol.wait.
  Block(const Function& function, const Launch& launch, uint3 index, GlobalMemory* global = nullptr,
        bool held = false);

  /// Runs every thread to its end; threads of a held block may stop at griddepcontrol.wait. Returns
  /// true if all threads have ended. Throws KernelError.
  bool run();
  /// Resumes a held block: the preceding grids are complete.
  void release();
  void wait_for_grids(Thread& thread);
  void trigger(const Thread& thread);
  /// triggered: a thread of the block has let the next grid start. triggered_after_wait: the first
  /// thread to do so had waited for the preceding grids. waited: some thread has waited for them.
  bool triggered() const { return triggered_; }
  bool triggered_after_wait() const { return triggered_after_wait_; }
  bool waited() const { return waited_; }
  uint64_t instructions() const { return instructions_; }

  /// Makes `function` the thread's running function. Its registers hold NaN bits, except shared
  /// slots, which are written before they are read.
  void enter(Thread& thread, const Function& function);
  void exit(Thread& thread);

  /// Returns the host memory of `bytes` bytes at an address in `space`. Throws KernelError if they
  /// are misaligned or out of bounds. If the block has no GlobalMemory, the bounds of global
  /// accesses are checked only under AddressSanitizer.
  std::byte* memory(Thread& thread, const Instruction& instruction, Space space, uint64_t address,
                    size_t bytes, Touch touch);
  std::byte* memory(Thread& thread, const Instruction& instruction, uint64_t address, size_t bytes,
                    Touch touch) {
    return memory(thread, instruction, instruction.space, address, bytes, touch);
  }

  /// The same; its fast paths need no function call for most accesses.
  template <Space space, size_t bytes>
  std::byte* place(Thread& thread, const Step& step, uint64_t address, Touch touch);

  unsigned special(const Thread& thread, Special special, unsigned axis) const;
  [[noreturn]] void fail(const Thread& thread, const Instruction& at, const std::string& why) const;

 private:
  using Lanes = std::array<Thread*, kLanes>;

  void run_until_waiting(Thread& thread);
  bool release_barrier();
  bool release_warp(unsigned warp);
  bool complete_lanes(const Thread& waiting, Lanes& lanes);
  void shuffle(const Lanes& lanes);
  void reduce(const Lanes& lanes);
  void multiply(const Lanes& lanes);
  void start(Thread& thread);
  std::byte* global_place(Thread& thread, const Instruction& instruction, uint64_t address,
                          size_t bytes, Touch touch);
  bool in_shared_variable(uint64_t address, size_t bytes);
  static const Instruction& waiting_at(const Thread& thread) {
    return *thread.frame.next[-1].instruction;
  }

  /// The address range of a shared variable.
  struct Extent {
    bool holds(uint64_t address, size_t bytes) const {
      return address >= begin && address + bytes <= end;
    }
    uint64_t begin = 0, end = 0;
  };

  const Function& function_;
  const Launch& launch_;
  uint3 index_;
  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  Extent shared_last_;                              // the shared variable accessed last
  std::vector<std::unique_ptr<uint64_t[]>> spare_;  // storage of threads that have exited
  GlobalMemory* global_;
  bool held_;
  bool triggered_ = false, triggered_after_wait_ = false, waited_ = false;
  uint64_t instructions_ = 0;
};

template <class T>
T from_bits(uint64_t bits) {
  if constexpr (std::is_same_v<T, bool>) {
    return (bits & 1) != 0;
  } else {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
}

/// Returns a value's bits, zero-extended, as registers hold them.
template <class T>
uint64_t to_bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T read(const Thread& thread, const Operand& operand) {
  const uint64_t bits = thread.slot(static_cast<uint32_t>(operand.slot));
  return from_bits<T>(operand.negated ? static_cast<uint64_t>((bits & 1) == 0) : bits);
}

template <class T>
void write(Thread& thread, const Operand& operand, T value) {
  thread.slot(static_cast<uint32_t>(operand.slot)) = to_bits(value);
}

/// Reads the operand in the step's slot `index`, which is never negated.
template <class T>
T read(const Thread& thread, const Step& step, size_t index) {
  return from_bits<T>(thread.slot(step.slots[index]));
}

template <class T>
void write(Thread& thread, const Step& step, T value) {
  thread.slot(step.slots[0]) = to_bits(value);
}

[[noreturn]] void reject(const Thread& thread, const Instruction& instruction,
                         const std::string& why);
[[noreturn]] inline void reject(const Thread& thread, const Step& step, const std::string& why) {
  reject(thread, *step.instruction, why);
}

/// The handler for types that an opcode does not support.
const Step* reject_type(Thread& thread, const Step& step);

/// Returns visit.operator()<T>(), with T the C++ type of `type`, or otherwise() if it is no
/// integer.
template <class Visitor, class Otherwise>
auto with_integer(Type type, Visitor visit, Otherwise otherwise) {
  switch (type) {
    case Type::kU8:
    case Type::kB8:
      return visit.template operator()<uint8_t>();
    case Type::kU16:
    case Type::kB16:
      return visit.template operator()<uint16_t>();
    case Type::kU32:
    case Type::kB32:
      return visit.template operator()<uint32_t>();
    case Type::kU64:
    case Type::kB64:
      return visit.template operator()<uint64_t>();
    case Type::kS8:
      return visit.template operator()<int8_t>();
    case Type::kS16:
      return visit.template operator()<int16_t>();
    case Type::kS32:
      return visit.template operator()<int32_t>();
    case Type::kS64:
      return visit.template operator()<int64_t>();
    default:
      return otherwise();
  }
}

/// Returns the handler visit.operator()<T>(), with T the C++ type of `type`.
template <class Visitor>
Handler for_integer(Type type, Visitor visit) {
  return with_integer(type, visit, []() -> Handler { return &reject_type; });
}

template <class Visitor>
Handler for_real(Type type, Visitor visit) {
  if (type == Type::kF32) return visit.template operator()<float>();
  if (type == Type::kF64) return visit.template operator()<double>();
  return &reject_type;
}

template <class Visitor>
Handler for_number(Type type, Visitor visit) {
  if (type == Type::kF32 || type == Type::kF64) return for_real(type, visit);
  return for_integer(type, visit);
}

/// Returns `handler` for all types.
template <Handler handler>
Handler always(const Instruction&) {
  return handler;
}

template <Space space, size_t bytes>
std::byte* Block::place(Thread& thread, const Step& step, uint64_t address, Touch touch) {
  if (address % bytes == 0) {
    if constexpr (space == Space::kShared) {
      const uint64_t offset = static_cast<uint32_t>(address);
      if (shared_last_.holds(offset, bytes)) return shared_.data() + offset;
    } else if constexpr (space == Space::kParameter) {
      const size_t size = thread.frame.function->parameter_space;
      if (address < size && bytes <= size - address) return thread.frame.parameters + address;
    } else if constexpr (space == Space::kGlobal || space == Space::kGeneric) {
      const bool is_host = global_ == nullptr && !address_sanitizer() && address != 0;
      if (space == Space::kGlobal || address < kWindowSize) {
        if (is_host) return reinterpret_cast<std::byte*>(address);
        return global_place(thread, *step.instruction, address, bytes, touch);
      }
    }
  }
  return memory(thread, *step.instruction, space, address, bytes, touch);
}

}  // namespace elbo::cuda::emulation::ptx

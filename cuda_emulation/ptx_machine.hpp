// The state of one block that the PTX interpreter runs: threads with their registers, and the
// state spaces that an address can lie in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/pending_copies.hpp"
#include "cuda_emulation/ptx_program.hpp"

namespace elbo::cuda::emulation::ptx {

inline constexpr unsigned kLanes = 32;

// A generic address is a host address, or an offset in one of these windows, where no host memory
// lies.
inline constexpr uint64_t kWindowSize = uint64_t{1} << 56;
inline constexpr uint64_t kSharedWindow = 1 * kWindowSize;
inline constexpr uint64_t kLocalWindow = 2 * kWindowSize;
inline constexpr uint64_t kParameterWindow = 3 * kWindowSize;

class Block;

/// How an instruction touches memory; atomics update it.
enum class Touch : uint8_t { kRead, kWrite, kUpdate };

/// Global memory that is not simply the host's: where its addresses lead, and who learns of each
/// access.
class GlobalMemory {
 public:
  virtual ~GlobalMemory() = default;
  /// The host's memory behind `bytes` bytes at a device's address; null where they may not be
  /// touched. `waited`: the thread has passed a griddepcontrol.wait.
  virtual std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) = 0;
};

/// What threads wait for each other to do.
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

/// A function that a thread is in: the kernel itself, or one called from it.
struct Frame {
  const Function* function = nullptr;
  size_t next = 0;  // the instruction to run; while waiting or in a call, the one behind it
  std::vector<uint64_t> registers;
  std::vector<std::byte> parameters;
};

/// Ready to run `function`; its registers hold NaN bits.
Frame make_frame(const Function& function);

// What shared and local memory hold before they are written: as a float, NaN.
inline constexpr unsigned char kUnwritten = 0xff;

struct Thread {
  enum class State : uint8_t { kReady, kAtBarrier, kAtWarpCollective, kAtGridWait, kExited };

  Frame& frame() { return frames.back(); }
  const Frame& frame() const { return frames.back(); }
  uint64_t& reg(int number) { return frame().registers[static_cast<size_t>(number)]; }
  uint64_t reg(int number) const { return frame().registers[static_cast<size_t>(number)]; }

  unsigned lane() const { return linear % kLanes; }
  unsigned warp() const { return linear / kLanes; }

  Block* block = nullptr;
  unsigned linear = 0;
  uint3 index{};
  State state = State::kReady;
  Collective collective{};    // while waiting
  uint32_t mask = 0;          // while waiting at a warp function: the lanes that it waits for
  bool carry = false;         // of the last .cc instruction
  bool waited = false;        // for the grids before this one
  std::vector<Frame> frames;  // the running one is the last
  std::vector<std::byte> local;
  PendingCopies copies;
};

class Block {
 public:
  /// `global`: null where device addresses are the host's. `held`: the grids before this one (by
  /// programmatic dependent launch) are not complete, and threads stop at griddepcontrol.wait.
  Block(const Function& function, const Launch& launch, uint3 index,
        GlobalMemory* global = nullptr, bool held = false);

  /// Runs every thread to its end, or while the block is held as far as they come. True when all
  /// have ended; throws KernelError.
  bool run();
  /// The grids before this one are complete.
  void release();
  void wait_for_grids(Thread& thread);
  void trigger(const Thread& thread);
  /// Whether a thread of the block has let the next grid start, all before it in the block's order
  /// having waited for the grids before; and whether one has waited at all.
  bool triggered() const { return triggered_; }
  bool triggered_after_wait() const { return triggered_after_wait_; }
  bool waited() const { return waited_; }
  uint64_t instructions() const { return instructions_; }

  /// `bytes` bytes at an address of `space`; throws KernelError where they are misaligned or
  /// (shared, local, parameter; global under AddressSanitizer) out of bounds.
  std::byte* memory(Thread& thread, const Instruction& instruction, Space space, uint64_t address,
                    size_t bytes, Touch touch);
  std::byte* memory(Thread& thread, const Instruction& instruction, uint64_t address, size_t bytes,
                    Touch touch) {
    return memory(thread, instruction, instruction.space, address, bytes, touch);
  }

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
  bool in_shared_variable(uint64_t address, size_t bytes) const;
  const Instruction& waiting_at(const Thread& thread) const {
    return thread.frame().function->code[thread.frame().next - 1];
  }

  const Function& function_;
  const Launch& launch_;
  uint3 index_;
  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  GlobalMemory* global_;
  bool held_;
  bool triggered_ = false, triggered_after_wait_ = false, waited_ = false;
  uint64_t instructions_ = 0;
};

uint64_t read_bits(const Thread& thread, const Operand& operand);

template <class T>
T read(const Thread& thread, const Operand& operand) {
  const uint64_t bits = read_bits(thread, operand);
  if constexpr (std::is_same_v<T, bool>) {
    return (bits & 1) != 0;
  } else {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
}

/// Registers hold a value's bits, zero-extended.
template <class T>
void write(Thread& thread, const Operand& operand, T value) {
  if (operand.kind == Operand::Kind::kSink) return;
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  thread.reg(operand.reg) = bits;
}

[[noreturn]] void reject(const Thread& thread, const Instruction& instruction,
                         const std::string& why);

/// Calls visit.operator()<T>() with the C++ type of `type`.
template <class Visitor>
void with_integer(const Thread& thread, const Instruction& instruction, Type type, Visitor visit) {
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
      reject(thread, instruction, "type not supported");
  }
}

template <class Visitor>
void with_real(const Thread& thread, const Instruction& instruction, Type type, Visitor visit) {
  if (type == Type::kF32) return visit.template operator()<float>();
  if (type == Type::kF64) return visit.template operator()<double>();
  reject(thread, instruction, "type not supported");
}

template <class Visitor>
void with_number(const Thread& thread, const Instruction& instruction, Type type, Visitor visit) {
  if (type == Type::kF32 || type == Type::kF64) {
    return with_real(thread, instruction, type, visit);
  }
  with_integer(thread, instruction, type, visit);
}

}  // namespace elbo::cuda::emulation::ptx

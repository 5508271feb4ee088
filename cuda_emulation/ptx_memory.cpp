// State spaces, loads, stores and atomics.
#include <algorithm>
#include <optional>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"
#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

uint64_t address_of(const Thread& thread, const Operand& operand) {
  const uint64_t base = operand.reg >= 0 ? thread.reg(operand.reg) : 0;
  return base + operand.value;
}

uint64_t window_of(Space space) {
  switch (space) {
    case Space::kShared:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    case Space::kParameter:
      return kParameterWindow;
    default:
      return 0;
  }
}

void to_generic(Thread& thread, const Instruction& instruction) {
  write(thread, instruction.operands[0],
        read_bits(thread, instruction.operands[1]) + window_of(instruction.space));
}

void from_generic(Thread& thread, const Instruction& instruction) {
  write(thread, instruction.operands[0],
        read_bits(thread, instruction.operands[1]) - window_of(instruction.space));
}

/// One element of a load; signed types narrower than the register are extended.
void load_element(Thread& thread, const Instruction& instruction, const Operand& target,
                  const std::byte* from) {
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    T value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      write(thread, target, static_cast<int64_t>(value));
    } else {
      write(thread, target, value);
    }
  });
}

void load(Thread& thread, const Instruction& instruction) {
  const Operand& target = instruction.operands[0];
  const uint64_t address = address_of(thread, instruction.operands[1]);
  const size_t size = size_of(instruction.type);
  if (target.kind != Operand::Kind::kVector) {
    const std::byte* from = thread.block->memory(thread, instruction, address, size, Touch::kRead);
    return load_element(thread, instruction, target, from);
  }
  const std::byte* from = thread.block->memory(thread, instruction, address,
                                               size * target.parts.size(), Touch::kRead);
  for (size_t i = 0; i < target.parts.size(); ++i) {
    load_element(thread, instruction, target.parts[i], from + i * size);
  }
}

void store(Thread& thread, const Instruction& instruction) {
  const Operand& source = instruction.operands[1];
  const uint64_t address = address_of(thread, instruction.operands[0]);
  const size_t size = size_of(instruction.type);
  const size_t count = source.kind == Operand::Kind::kVector ? source.parts.size() : 1;
  std::byte* to =
      thread.block->memory(thread, instruction, address, size * count, Touch::kWrite);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t value =
        read_bits(thread, source.kind == Operand::Kind::kVector ? source.parts[i] : source);
    std::memcpy(to + i * size, &value, size);
  }
}

/// `update(old, operand, second operand)` makes the new value; atom writes the old one to a
/// register, red does not.
template <class Update>
void atomic(Thread& thread, const Instruction& instruction) {
  const bool returns = instruction.operands[0].kind != Operand::Kind::kAddress;
  const Operand* operands = &instruction.operands[returns ? 1 : 0];
  const size_t count = instruction.operands.size() - (returns ? 1 : 0);
  with_number(thread, instruction, instruction.type, [&]<class T>() {
    std::byte* at =
        thread.block->memory(thread, instruction, address_of(thread, operands[0]), sizeof(T),
                             Touch::kUpdate);
    const T first = read<T>(thread, operands[1]);
    const T second = count > 2 ? read<T>(thread, operands[2]) : T{};
    T before;
    std::memcpy(&before, at, sizeof before);
    std::optional<T> after;
    if constexpr (requires { Update{}(before, first, second); }) {
      after = static_cast<T>(Update{}(before, first, second));
    }
    if (!after) reject(thread, instruction, "type not supported");
    std::memcpy(at, &*after, sizeof *after);
    if (returns) write(thread, instruction.operands[0], before);
  });
}

using Add = decltype([](auto old, auto value, auto) { return old + value; });
using Exchange = decltype([](auto, auto value, auto) { return value; });
using CompareExchange = decltype([](auto old, auto expected, auto value) {
  return old == expected ? value : old;
});
using Minimum = decltype([](auto old, auto value, auto) { return std::min(old, value); });
using Maximum = decltype([](auto old, auto value, auto) { return std::max(old, value); });
using Increment = decltype([](auto old, auto last, auto) {
  return old >= last ? decltype(old)(0) : decltype(old)(old + 1);
});

template <class T>
concept Integer = std::is_integral_v<T>;
struct And {
  template <Integer T>
  T operator()(T old, T value, T) const {
    return static_cast<T>(old & value);
  }
};
struct Or {
  template <Integer T>
  T operator()(T old, T value, T) const {
    return static_cast<T>(old | value);
  }
};
struct Xor {
  template <Integer T>
  T operator()(T old, T value, T) const {
    return static_cast<T>(old ^ value);
  }
};

/// Operands: [target], [source], bytes, and optionally how many of them are read.
void copy_async(Thread& thread, const Instruction& instruction) {
  const std::vector<Operand>& operands = instruction.operands;
  const auto bytes = read<uint32_t>(thread, operands[2]);
  const auto present = operands.size() > 3 ? read<uint32_t>(thread, operands[3]) : bytes;
  if (present > bytes) reject(thread, instruction, "source larger than the target");
  std::byte* target = thread.block->memory(thread, instruction, instruction.space,
                                           address_of(thread, operands[0]), bytes,
                                           Touch::kWrite);
  const uint64_t from = address_of(thread, operands[1]);
  if (from % bytes != 0) reject(thread, instruction, "misaligned access");
  const std::byte* source =
      present == 0
          ? nullptr
          : thread.block->memory(thread, instruction, instruction.source_space, from, bytes,
                                 Touch::kRead);
  thread.copies.start(target, source, present, bytes);
}

void commit_copies(Thread& thread, const Instruction&) { thread.copies.commit(); }

void wait_for_copies(Thread& thread, const Instruction& instruction) {
  thread.copies.wait(read_bits(thread, instruction.operands[0]));
}

constexpr Opcode kOpcodes[] = {
    {"ld", &load},
    {"ldu", &load},
    {"st", &store},
    {"cvta", &to_generic},
    {"cvta.to", &from_generic},
    {"atom.add", &atomic<Add>},
    {"atom.exch", &atomic<Exchange>},
    {"atom.cas", &atomic<CompareExchange>},
    {"atom.min", &atomic<Minimum>},
    {"atom.max", &atomic<Maximum>},
    {"atom.inc", &atomic<Increment>},
    {"atom.and", &atomic<And>},
    {"atom.or", &atomic<Or>},
    {"atom.xor", &atomic<Xor>},
    {"cp.async", &copy_async},
    {"cp.async.commit_group", &commit_copies},
    {"cp.async.wait_group", &wait_for_copies},
    {"red.add", &atomic<Add>},
    {"red.min", &atomic<Minimum>},
    {"red.max", &atomic<Maximum>},
    {"red.inc", &atomic<Increment>},
    {"red.and", &atomic<And>},
    {"red.or", &atomic<Or>},
    {"red.xor", &atomic<Xor>},
};

}  // namespace

std::span<const Opcode> memory_opcodes() { return kOpcodes; }

std::byte* Block::memory(Thread& thread, const Instruction& instruction, Space space,
                         uint64_t address, size_t bytes, Touch touch) {
  if (address % bytes != 0) fail(thread, instruction, "misaligned access");
  if (space == Space::kGeneric) {
    for (const Space candidate : {Space::kShared, Space::kLocal, Space::kParameter}) {
      if (address / kWindowSize == window_of(candidate) / kWindowSize) space = candidate;
    }
    address -= window_of(space);
  } else if (space == Space::kShared) {
    address = static_cast<uint32_t>(address);  // its addresses wrap at 32 bits
  }
  const auto within = [&](std::vector<std::byte>& storage) {
    if (address > storage.size() || bytes > storage.size() - address) {
      fail(thread, instruction, "access out of bounds");
    }
    return storage.data() + address;
  };
  switch (space) {
    case Space::kLocal:
      return within(thread.local);
    case Space::kParameter:
      return within(thread.frame().parameters);
    case Space::kShared:
      if (!in_shared_variable(address, bytes)) {
        fail(thread, instruction, "access out of bounds of the shared variables");
      }
      return within(shared_);
    default:
      break;
  }
  if (global_ != nullptr) {
    std::byte* place = global_->access(address, bytes, touch, thread.waited);
    if (place == nullptr) fail(thread, instruction, "global access out of bounds");
    return place;
  }
  auto* host = reinterpret_cast<std::byte*>(address);
  if (host == nullptr || first_poisoned(host, bytes) != nullptr) {
    fail(thread, instruction, "global access out of bounds");
  }
  return host;
}

bool Block::in_shared_variable(uint64_t address, size_t bytes) const {
  return std::any_of(
      function_.shared.begin(), function_.shared.end(), [&](const Variable& variable) {
        const size_t size = variable.size != 0 ? variable.size : launch_.shared_bytes;
        return address >= variable.address && address - variable.address + bytes <= size;
      });
}

}  // namespace elbo::cuda::emulation::ptx

// State spaces, loads, stores and atomics.
#include <algorithm>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"
#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

uint64_t address_of(const Thread& thread, const Step& step) {
  return thread.slot(step.other) + step.offset;
}

uint64_t address_of(const Thread& thread, const Operand& operand) {
  return thread.slot(static_cast<uint32_t>(operand.slot)) + operand.value;
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

const Step* to_generic(Thread& thread, const Step& step) {
  write(thread, step, read<uint64_t>(thread, step, 1) + window_of(step.instruction->space));
  return step.next();
}

const Step* from_generic(Thread& thread, const Step& step) {
  write(thread, step, read<uint64_t>(thread, step, 1) - window_of(step.instruction->space));
  return step.next();
}

/// Returns the handler visit.operator()<T, space, count>() for a load or store of `count` elements.
template <class Visitor>
Handler for_access(const Instruction& instruction, const Operand& elements, Visitor visit) {
  const size_t count = elements.kind == Operand::Kind::kVector ? elements.parts.size() : 1;
  return for_number(instruction.type, [&]<class T>() -> Handler {
    const auto for_space = [&]<size_t counted>() -> Handler {
      switch (instruction.space) {
        case Space::kGeneric:
          return visit.template operator()<T, Space::kGeneric, counted>();
        case Space::kShared:
          return visit.template operator()<T, Space::kShared, counted>();
        case Space::kLocal:
          return visit.template operator()<T, Space::kLocal, counted>();
        case Space::kParameter:
          return visit.template operator()<T, Space::kParameter, counted>();
        case Space::kGlobal:
        case Space::kConstant:
          break;
      }
      return visit.template operator()<T, Space::kGlobal, counted>();
    };
    if (count == 1) return for_space.template operator()<1>();
    if (count == 2) return for_space.template operator()<2>();
    if (count == 4) return for_space.template operator()<4>();
    return reject_instruction(instruction);
  });
}

/// ld: signed types narrower than the register are sign-extended.
Handler load(const Instruction& instruction) {
  return for_access(instruction, instruction.operands[0],
                    []<class T, Space space, size_t count>() -> Handler {
                      return [](Thread& thread, const Step& step) {
                        const std::byte* from = thread.block->place<space, sizeof(T) * count>(
                            thread, step, address_of(thread, step), Touch::kRead);
                        T values[count];
                        std::memcpy(values, from, sizeof values);
                        for (size_t i = 0; i < count; ++i) {
                          if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
                            thread.slot(step.slots[i]) = to_bits(static_cast<int64_t>(values[i]));
                          } else {
                            thread.slot(step.slots[i]) = to_bits(values[i]);
                          }
                        }
                        return step.next();
                      };
                    });
}

Handler store(const Instruction& instruction) {
  return for_access(instruction, instruction.operands[1],
                    []<class T, Space space, size_t count>() -> Handler {
                      return [](Thread& thread, const Step& step) {
                        std::byte* to = thread.block->place<space, sizeof(T) * count>(
                            thread, step, address_of(thread, step), Touch::kWrite);
                        T values[count];
                        for (size_t i = 0; i < count; ++i) values[i] = read<T>(thread, step, i);
                        std::memcpy(to, values, sizeof values);
                        return step.next();
                      };
                    });
}

/// atom and red: store Update{}(old, operand, second operand). atom also writes the old value to a
/// register; red does not.
template <class Update>
Handler atomic(const Instruction& instruction) {
  return for_number(instruction.type, []<class T>() -> Handler {
    if constexpr (!requires(T value) { Update{}(value, value, value); }) {
      return &reject_type;
    } else {
      return [](Thread& thread, const Step& step) {
        const std::vector<Operand>& operands = step.instruction->operands;
        const size_t returns = operands[0].kind != Operand::Kind::kAddress ? 1 : 0;
        const size_t values = operands.size() - 1 - returns;
        std::byte* at = thread.block->memory(thread, *step.instruction, address_of(thread, step),
                                             sizeof(T), Touch::kUpdate);
        const T first = read<T>(thread, step, returns);
        const T second = values > 1 ? read<T>(thread, step, returns + 1) : T{};
        T before;
        std::memcpy(&before, at, sizeof before);
        const auto after = static_cast<T>(Update{}(before, first, second));
        std::memcpy(at, &after, sizeof after);
        if (returns != 0) write(thread, step, before);
        return step.next();
      };
    }
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

/// cp.async: its operands are [target], [source], bytes and, optionally, the number of bytes read.
const Step* copy_async(Thread& thread, const Step& step) {
  const Instruction& instruction = *step.instruction;
  const std::vector<Operand>& operands = instruction.operands;
  const auto bytes = read<uint32_t>(thread, operands[2]);
  const auto present = operands.size() > 3 ? read<uint32_t>(thread, operands[3]) : bytes;
  if (present > bytes) reject(thread, step, "source larger than the target");
  std::byte* target = thread.block->memory(thread, instruction, instruction.space,
                                           address_of(thread, operands[0]), bytes, Touch::kWrite);
  const uint64_t from = address_of(thread, operands[1]);
  if (from % bytes != 0) reject(thread, step, "misaligned access");
  const std::byte* source =
      present == 0 ? nullptr
                   : thread.block->memory(thread, instruction, instruction.source_space, from,
                                          bytes, Touch::kRead);
  thread.copies.start(target, source, present, bytes);
  return step.next();
}

const Step* commit_copies(Thread& thread, const Step& step) {
  thread.copies.commit();
  return step.next();
}

const Step* wait_for_copies(Thread& thread, const Step& step) {
  thread.copies.wait(read<uint64_t>(thread, step, 0));
  return step.next();
}

constexpr Opcode kOpcodes[] = {
    {"ld", &load},
    {"ldu", &load},
    {"st", &store},
    {"cvta", &always<&to_generic>},
    {"cvta.to", &always<&from_generic>},
    {"atom.add", &atomic<Add>},
    {"atom.exch", &atomic<Exchange>},
    {"atom.cas", &atomic<CompareExchange>},
    {"atom.min", &atomic<Minimum>},
    {"atom.max", &atomic<Maximum>},
    {"atom.inc", &atomic<Increment>},
    {"atom.and", &atomic<And>},
    {"atom.or", &atomic<Or>},
    {"atom.xor", &atomic<Xor>},
    {"cp.async", &always<&copy_async>},
    {"cp.async.commit_group", &always<&commit_copies>},
    {"cp.async.wait_group", &always<&wait_for_copies>},
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
    address = static_cast<uint32_t>(address);  // shared addresses wrap at 32 bits
  }
  const auto within = [&](std::byte* storage, size_t size) {
    if (address > size || bytes > size - address) {
      fail(thread, instruction, "access out of bounds");
    }
    return storage + address;
  };
  switch (space) {
    case Space::kLocal:
      return within(thread.local.data(), thread.local.size());
    case Space::kParameter:
      return within(thread.frame.parameters, thread.frame.function->parameter_space);
    case Space::kShared:
      if (!in_shared_variable(address, bytes)) {
        fail(thread, instruction, "access out of bounds of the shared variables");
      }
      return within(shared_.data(), shared_.size());
    default:
      break;
  }
  return global_place(thread, instruction, address, bytes, touch);
}

std::byte* Block::global_place(Thread& thread, const Instruction& instruction, uint64_t address,
                               size_t bytes, Touch touch) {
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

bool Block::in_shared_variable(uint64_t address, size_t bytes) {
  return std::any_of(
      function_.shared.begin(), function_.shared.end(), [&](const Variable& variable) {
        const size_t size = variable.size != 0 ? variable.size : launch_.shared_bytes;
        const Extent extent{variable.address, variable.address + size};
        if (!extent.holds(address, bytes)) return false;
        shared_last_ = extent;
        return true;
      });
}

}  // namespace elbo::cuda::emulation::ptx

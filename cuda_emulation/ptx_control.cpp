// The control flow of one thread, and how it sees its place in the grid.
#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

void branch(Thread& thread, const Instruction& instruction) {
  thread.frame().next = instruction.targets.at(0);
}

void indexed_branch(Thread& thread, const Instruction& instruction) {
  const auto index = read<uint32_t>(thread, instruction.operands[0]);
  if (index >= instruction.targets.size()) reject(thread, instruction, "index out of range");
  thread.frame().next = instruction.targets[index];
}

/// Operands: (results), function, (arguments).
void call(Thread& thread, const Instruction& instruction) {
  if (instruction.callee == nullptr) reject(thread, instruction, "indirect call not supported");
  Frame frame = make_frame(*instruction.callee);
  const std::vector<Operand>& arguments = instruction.operands.back().parts;
  const std::vector<Variable>& parameters = instruction.callee->parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::memcpy(frame.parameters.data() + parameters[i].address,
                thread.frame().parameters.data() + arguments.at(i).value, parameters[i].size);
  }
  thread.frames.push_back(std::move(frame));
}

void leave(Thread& thread, const Instruction& instruction) {
  if (thread.copies.count() != 0) {
    reject(thread, instruction,
           std::to_string(thread.copies.count()) +
               " asynchronous copies never waited for by the thread that started them");
  }
  thread.state = Thread::State::kExited;
}

void come_back(Thread& thread, const Instruction& instruction) {
  if (thread.frames.size() == 1) return leave(thread, instruction);
  const Frame from = std::move(thread.frame());
  thread.frames.pop_back();
  Frame& to = thread.frame();
  const std::vector<Operand>& targets = to.function->code[to.next - 1].operands[0].parts;
  const std::vector<Variable>& results = from.function->results;
  for (size_t i = 0; i < results.size(); ++i) {
    std::memcpy(to.parameters.data() + targets.at(i).value,
                from.parameters.data() + results[i].address, results[i].size);
  }
}

// Fences order what already runs in order, one thread at a time.
void nothing(Thread&, const Instruction&) {}

void wait_for_grids(Thread& thread, const Instruction&) { thread.block->wait_for_grids(thread); }

void launch_dependents(Thread& thread, const Instruction&) { thread.block->trigger(thread); }

void trap(Thread& thread, const Instruction& instruction) {
  reject(thread, instruction, "the kernel trapped");
}

constexpr Opcode kOpcodes[] = {
    {"bra", &branch},
    {"brx.idx", &indexed_branch},
    {"call", &call},
    {"ret", &come_back},
    {"exit", &leave},
    {"trap", &trap},
    {"membar", &nothing},
    {"fence", &nothing},
    {"griddepcontrol.wait", &wait_for_grids},
    {"griddepcontrol.launch_dependents", &launch_dependents},
};

}  // namespace

std::span<const Opcode> control_opcodes() { return kOpcodes; }

Frame make_frame(const Function& function) {
  return {.function = &function,
          .next = 0,
          .registers = std::vector<uint64_t>(function.register_count, ~uint64_t{0}),
          .parameters = std::vector<std::byte>(function.parameter_space)};
}

uint64_t read_bits(const Thread& thread, const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::kRegister: {
      const uint64_t bits = thread.reg(operand.reg);
      return operand.negated ? static_cast<uint64_t>((bits & 1) == 0) : bits;
    }
    case Operand::Kind::kSpecial:
      return thread.block->special(thread, operand.special, static_cast<unsigned>(operand.value));
    default:
      return operand.value;
  }
}

void reject(const Thread& thread, const Instruction& instruction, const std::string& why) {
  thread.block->fail(thread, instruction, why);
}

unsigned Block::special(const Thread& thread, Special special, unsigned axis) const {
  const auto pick = [axis](const auto& triple) {
    return axis == 0 ? triple.x : axis == 1 ? triple.y : triple.z;
  };
  switch (special) {
    case Special::kThread:
      return pick(thread.index);
    case Special::kThreads:
      return pick(launch_.block);
    case Special::kBlock:
      return pick(index_);
    case Special::kBlocks:
      return pick(launch_.grid);
    case Special::kLane:
      return thread.lane();
    case Special::kWarp:
      return thread.warp();
  }
  return 0;
}

void Block::fail(const Thread& thread, const Instruction& at, const std::string& why) const {
  throw KernelError("PTX " + function_.name + " block " + index_text(index_) + " thread " +
                    index_text(thread.index) + ": " + why + ": " + at.text);
}

}  // namespace elbo::cuda::emulation::ptx

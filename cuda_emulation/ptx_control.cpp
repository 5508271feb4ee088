// The control flow of one thread, and its special registers (its indices in the block and grid).
#include <algorithm>

#include "cuda_emulation/ptx_machine.hpp"
#include "cuda_emulation/ptx_opcodes.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

const Step* branch(Thread&, const Step& step) { return &step + step.jump; }

Handler select_branch(const Instruction& instruction) {
  return instruction.targets.empty() ? reject_instruction(instruction) : &branch;
}

const Step* indexed_branch(Thread& thread, const Step& step) {
  const auto index = read<uint32_t>(thread, step, 0);
  const std::vector<size_t>& targets = step.instruction->targets;
  if (index >= targets.size()) reject(thread, step, "index out of range");
  return &thread.frame.function->steps[targets[index]];
}

/// Executes call, whose operands are (results), function, (arguments).
const Step* call(Thread& thread, const Step& step) {
  const Function* callee = step.instruction->callee;
  if (callee == nullptr) reject(thread, step, "indirect call not supported");
  thread.frame.next = step.next();
  thread.callers.push_back(std::move(thread.frame));
  thread.frame = {};
  thread.block->enter(thread, *callee);
  const std::vector<Operand>& arguments = step.instruction->operands.back().parts;
  const std::vector<Variable>& parameters = callee->parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::memcpy(thread.frame.parameters + parameters[i].address,
                thread.callers.back().parameters + arguments.at(i).value, parameters[i].size);
  }
  return thread.frame.next;
}

const Step* leave(Thread& thread, const Step& step) {
  if (thread.copies.count() != 0) {
    reject(thread, step,
           std::to_string(thread.copies.count()) +
               " asynchronous copies never waited for by the thread that started them");
  }
  thread.block->exit(thread);
  return nullptr;
}

const Step* come_back(Thread& thread, const Step& step) {
  if (thread.callers.empty()) return leave(thread, step);
  const Frame from = std::move(thread.frame);
  thread.frame = std::move(thread.callers.back());
  thread.callers.pop_back();
  const Frame& to = thread.frame;
  const std::vector<Operand>& targets = to.next[-1].instruction->operands[0].parts;
  const std::vector<Variable>& results = from.function->results;
  for (size_t i = 0; i < results.size(); ++i) {
    std::memcpy(to.parameters + targets.at(i).value, from.parameters + results[i].address,
                results[i].size);
  }
  return to.next;
}

// Fences have no effect: threads run one at a time, and their accesses are in program order.
const Step* nothing(Thread&, const Step& step) { return step.next(); }

const Step* wait_for_grids(Thread& thread, const Step& step) {
  thread.frame.next = step.next();
  thread.block->wait_for_grids(thread);
  return thread.state == Thread::State::kReady ? step.next() : nullptr;
}

const Step* launch_dependents(Thread& thread, const Step& step) {
  thread.block->trigger(thread);
  return step.next();
}

const Step* trap(Thread& thread, const Step& step) { reject(thread, step, "the kernel trapped"); }

constexpr Opcode kOpcodes[] = {
    {"bra", &select_branch},
    {"brx.idx", &always<&indexed_branch>},
    {"call", &always<&call>},
    {"ret", &always<&come_back>},
    {"exit", &always<&leave>},
    {"trap", &always<&trap>},
    {"membar", &always<&nothing>},
    {"fence", &always<&nothing>},
    {"griddepcontrol.wait", &always<&wait_for_grids>},
    {"griddepcontrol.launch_dependents", &always<&launch_dependents>},
};

}  // namespace

std::span<const Opcode> control_opcodes() { return kOpcodes; }

void Block::enter(Thread& thread, const Function& function) {
  Frame& frame = thread.frame;
  const size_t parameter_words = (function.parameter_space + 7) / 8;
  if (frame.storage == nullptr) {
    frame.storage =
        std::make_unique_for_overwrite<uint64_t[]>(function.slot_count() + parameter_words);
  }
  frame.function = &function;
  frame.next = function.steps.data();
  frame.slots = frame.storage.get();
  std::fill_n(frame.slots, function.unshared_count, ~uint64_t{0});
  uint64_t* next = frame.slots + function.register_count;
  for (const auto& [which, axis] : function.special_slots) *next++ = special(thread, which, axis);
  next = std::copy(function.constants.begin(), function.constants.end(), next);
  *next++ = 0;
  std::fill_n(next, parameter_words, 0);
  frame.parameters = reinterpret_cast<std::byte*>(next);
}

void reject(const Thread& thread, const Instruction& instruction, const std::string& why) {
  thread.block->fail(thread, instruction, why);
}

const Step* reject_type(Thread& thread, const Step& step) {
  reject(thread, step, "type not supported");
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

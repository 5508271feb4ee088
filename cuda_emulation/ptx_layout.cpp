// Lowers decoded instructions to executable steps: assigns a slot to every operand and selects each
// instruction's handler for its types.
#include <map>
#include <utility>

#include "cuda_emulation/ptx_machine.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

const Step* run_if_guard_holds(Thread& thread, const Step& step) {
  const bool holds = (thread.slot(step.guard) & 1) != 0;
  return holds == step.instruction->guard_negated ? step.next() : step.guarded(thread, step);
}

class Layout {
 public:
  explicit Layout(Function& function) : function_(function) {}

  void make() {
    for (Instruction& instruction : function_.code) {
      for_each_operand(instruction, [&](Operand& operand) { find_special(operand); });
    }
    for (Instruction& instruction : function_.code) {
      for_each_operand(instruction, [&](Operand& operand) { find_constant(operand); });
    }
    sink_ = static_cast<int>(function_.slot_count()) - 1;
    for (Instruction& instruction : function_.code) {
      for_each_operand(instruction, [&](Operand& operand) {
        if (operand.kind == Operand::Kind::kSink) operand.slot = sink_;
      });
      function_.steps.push_back(make_step(instruction));
    }
  }

 private:
  template <class Visit>
  static void for_each_operand(Instruction& instruction, Visit visit) {
    for (Operand& operand : instruction.operands) {
      visit(operand);
      for (Operand& part : operand.parts) visit(part);
    }
  }

  void find_special(Operand& operand) {
    if (operand.kind != Operand::Kind::kSpecial) return;
    const auto axis = static_cast<unsigned>(operand.value);
    const size_t next = function_.register_count + function_.special_slots.size();
    const auto [found, is_new] = specials_.try_emplace({operand.special, axis}, next);
    if (is_new) function_.special_slots.push_back({operand.special, axis});
    operand.slot = static_cast<int>(found->second);
  }

  void find_constant(Operand& operand) {
    const bool is_address = operand.kind == Operand::Kind::kAddress;
    if (operand.kind != Operand::Kind::kImmediate && !is_address) return;
    if (operand.slot >= 0) return;  // an address with a base register
    const size_t next =
        function_.register_count + function_.special_slots.size() + function_.constants.size();
    const uint64_t value = is_address ? 0 : operand.value;
    const auto [found, is_new] = constants_.try_emplace(value, next);
    if (is_new) function_.constants.push_back(value);
    operand.slot = static_cast<int>(found->second);
  }

  Step make_step(const Instruction& instruction) const {
    Step step;
    step.instruction = &instruction;
    step.handler = instruction.select(instruction);
    size_t filled = 0;
    const auto fill = [&](const Operand& operand) {
      if (operand.slot >= 0 && filled < Step::kSlots) {
        step.slots[filled++] = static_cast<uint32_t>(operand.slot);
      }
    };
    step.other = static_cast<uint32_t>(sink_);
    bool addressed = false;
    for (const Operand& operand : instruction.operands) {
      if (operand.kind == Operand::Kind::kAddress) {
        // The handler of cp.async reads its second address from the operand itself.
        if (std::exchange(addressed, true)) continue;
        step.other = static_cast<uint32_t>(operand.slot);
        step.offset = operand.value;
        continue;
      }
      if (operand.predicate >= 0) step.other = static_cast<uint32_t>(operand.predicate);
      fill(operand);
      for (const Operand& part : operand.parts) fill(part);
    }
    if (!instruction.targets.empty()) {
      const auto here = static_cast<int64_t>(function_.steps.size());
      step.jump = static_cast<int32_t>(static_cast<int64_t>(instruction.targets[0]) - here);
    }
    if (instruction.guard >= 0) {
      step.guard = static_cast<uint32_t>(instruction.guard);
      step.guarded = std::exchange(step.handler, &run_if_guard_holds);
    }
    return step;
  }

  Function& function_;
  std::map<std::pair<Special, unsigned>, size_t> specials_;
  std::map<uint64_t, size_t> constants_;
  int sink_ = 0;
};

}  // namespace

void lay_out(Function& function) {
  share_registers(function);
  Layout(function).make();
}

}  // namespace elbo::cuda::emulation::ptx

// Assigns registers to slots. The compiler creates a register for every value, so a function has
// thousands of registers, but only a few are live at a time.
#include <set>
#include <vector>

#include "cuda_emulation/ptx_machine.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

/// Calls visit(number, is_written) for every register of an instruction; `number` is a reference.
template <class Visit>
void for_each_register(Instruction& instruction, Visit visit) {
  if (instruction.guard >= 0) visit(instruction.guard, false);
  // An indexed branch and a barrier with a number read their first operand.
  const bool writes = instruction.targets.empty() && instruction.operands.size() > 1;
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    Operand& operand = instruction.operands[i];
    const bool is_address = operand.kind == Operand::Kind::kAddress;
    if (operand.slot >= 0) visit(operand.slot, writes && i == 0 && !is_address);
    if (operand.predicate >= 0) visit(operand.predicate, writes && i == 0);
    for (Operand& part : operand.parts) {
      if (part.slot >= 0) visit(part.slot, writes && i == 0);
    }
  }
}

/// A register is local if all its uses are between two branch targets and the first use writes it.
/// Local registers share slots; every other register has its own slot.
class Sharing {
 public:
  explicit Sharing(Function& function) : function_(function), uses_(function.register_count) {}

  void make() {
    find_uses();
    size_t own = 0;
    for (Use& use : uses_) {
      if (!use.is_local()) use.slot = static_cast<int>(own++);
    }
    function_.unshared_count = own;
    function_.register_count = own + share(own);
    for (Instruction& instruction : function_.code) {
      for_each_register(instruction, [&](int& number, bool) {
        number = uses_[static_cast<size_t>(number)].slot;
      });
    }
  }

 private:
  struct Use {
    bool is_local() const { return written_first && !crosses; }
    size_t region = 0;
    size_t last = 0;
    bool seen = false, written_first = false, crosses = false;
    int slot = -1;
  };

  void find_uses() {
    std::set<size_t> targets;
    for (const Instruction& instruction : function_.code) {
      targets.insert(instruction.targets.begin(), instruction.targets.end());
    }
    size_t region = 0;
    for (size_t i = 0; i < function_.code.size(); ++i) {
      region += targets.count(i);
      Instruction& instruction = function_.code[i];
      const auto note = [&](int number, bool starts) {
        Use& use = uses_[static_cast<size_t>(number)];
        if (!use.seen) use = {.region = region, .seen = true, .written_first = starts};
        use.crosses = use.crosses || use.region != region;
        use.last = i;
      };
      for_each_register(instruction, [&](int number, bool writes) {
        if (!writes) note(number, false);
      });
      for_each_register(instruction, [&](int number, bool writes) {
        if (writes) note(number, instruction.guard < 0);
      });
    }
  }

  /// Assigns slots after the first `own` ones to the local registers; returns the number of slots,
  /// which is the maximum number of local registers in use at a time.
  size_t share(size_t own) {
    std::vector<int> free;
    size_t count = 0;
    for (size_t i = 0; i < function_.code.size(); ++i) {
      // A register whose last use is here is freed after this instruction's result has been
      // assigned a slot, so the two never share one.
      for_each_register(function_.code[i], [&](int number, bool) {
        Use& use = uses_[static_cast<size_t>(number)];
        if (use.slot >= 0) return;
        if (free.empty()) free.push_back(static_cast<int>(own + count++));
        use.slot = free.back();
        free.pop_back();
      });
      for_each_register(function_.code[i], [&](int number, bool) {
        Use& use = uses_[static_cast<size_t>(number)];
        if (!use.is_local() || use.last != i) return;
        free.push_back(use.slot);
        use.last = function_.code.size();  // freed once, even if the instruction names it twice
      });
    }
    return count;
  }

  Function& function_;
  std::vector<Use> uses_;
};

}  // namespace

void share_registers(Function& function) { Sharing(function).make(); }

}  // namespace elbo::cuda::emulation::ptx

// Which registers share a slot. A compiler names every value anew, so a function has thousands of
// registers, of which few hold something at a time.
#include <set>
#include <vector>

#include "cuda_emulation/ptx_machine.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

/// Calls visit(number, is_written) with every register that an instruction names, by reference.
template <class Visit>
void for_each_register(Instruction& instruction, Visit visit) {
  if (instruction.guard >= 0) visit(instruction.guard, false);
  // A branch by table and a barrier of a numbered kind read the operand that comes first.
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

/// Registers that are used between two targets of branches only, and written there first, share
/// slots; the others have one each.
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

  /// Slots behind the first `own` ones, as many as are in use at a time; returns how many.
  size_t share(size_t own) {
    std::vector<int> free;
    size_t count = 0;
    for (size_t i = 0; i < function_.code.size(); ++i) {
      // A register that is read last here keeps its slot from the one written here.
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
        use.last = function_.code.size();  // an instruction may name it twice
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

// The decoded form of PTX: a module of functions, each a list of instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace elbo::cuda::emulation::ptx {

enum class Type : uint8_t {
  kNone,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kB8,
  kB16,
  kB32,
  kB64,
  kF32,
  kF64,
  kPredicate,
};

/// Returns the number of bytes of a value of this type in memory.
size_t size_of(Type type);

enum class Space : uint8_t { kGeneric, kGlobal, kConstant, kShared, kLocal, kParameter };

enum class Rounding : uint8_t { kNearest, kZero, kDown, kUp };

enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

/// The result of setp for NaN operands, and the operation that combines it with another predicate.
enum class NanRule : uint8_t { kFalse, kTrue, kTestNumber, kTestNan };
enum class Combination : uint8_t { kNone, kAnd, kOr, kXor };

enum class Special : uint8_t { kThread, kThreads, kBlock, kBlocks, kLane, kWarp };

struct Operand {
  enum class Kind : uint8_t { kRegister, kImmediate, kSpecial, kAddress, kVector, kSymbol, kSink };

  Kind kind = Kind::kImmediate;
  bool negated = false;        // !%p
  int slot = -1;               // of the value; kAddress: of the base; symbols and vectors: -1
  int predicate = -1;          // the p of d|p
  uint64_t value = 0;          // immediate bits; kAddress: offset from the base
  Special special{};           // kSpecial; `value` is its axis (0, 1, 2)
  std::string symbol;          // kSymbol and kAddress; cleared when it is resolved
  std::vector<Operand> parts;  // kVector
};

struct Function;
struct Thread;
struct Instruction;
struct Step;

/// Executes a step and returns the thread's next one, or null when the thread stops or waits.
using Handler = const Step* (*)(Thread& thread, const Step& step);
/// Returns the handler for the types and modes of an instruction.
using Selector = Handler (*)(const Instruction& instruction);

/// A decoded instruction.
struct Instruction {
  Selector select = nullptr;
  Type type = Type::kNone;         // of the result
  Type source_type = Type::kNone;  // cvt, set: type of the operand
  Space space = Space::kGeneric;
  Space source_space = Space::kGeneric;  // cp.async: space of the source
  Rounding rounding = Rounding::kNearest;
  bool to_integral = false;  // .rni, .rzi, ...: rounds to an integral value
  bool flush = false;        // .ftz
  bool saturate = false;     // .sat
  Comparison comparison{};
  NanRule nan_rule{};
  Combination combination{};
  int guard = -1;  // the predicate of @%p, or -1
  bool guard_negated = false;
  std::vector<Operand> operands;
  std::vector<size_t> targets;       // bra, brx.idx
  const Function* callee = nullptr;  // call
  std::string text;
};

/// The executable form of an instruction, one cache line. Every value that it reads is in a slot of
/// the frame: the registers, followed by special registers and constants.
struct alignas(64) Step {
  static constexpr size_t kSlots = 5;

  const Step* next() const { return this + 1; }

  Handler handler = nullptr;
  Handler guarded = nullptr;  // if the instruction has a guard: the handler to run if it holds
  const Instruction* instruction = nullptr;
  uint64_t offset = 0;       // of the address operand
  uint32_t slots[kSlots]{};  // of the operands in order; one per vector part, none for addresses
  uint32_t other = 0;        // slot of the address operand's base, or of the p of d|p
  uint32_t guard = 0;
  int32_t jump = 0;  // bra: distance to the target, in steps
};
static_assert(sizeof(Step) == 64);

struct Variable {
  std::string name;
  Space space = Space::kGeneric;
  size_t size = 0;
  size_t alignment = 1;
  uint64_t address = 0;  // in its space; global and constant: a host address
  std::vector<std::byte> initial;
};

/// A slot that holds a special register of one axis.
struct SpecialSlot {
  Special special{};
  unsigned axis = 0;
};

struct Function {
  std::string name;
  bool is_entry = false;
  std::vector<Variable> parameters;
  std::vector<Variable> results;
  std::vector<Variable> locals;
  std::vector<Variable> shared;    // all that it uses; a variable of size 0 is the dynamic memory
  size_t parameter_bytes = 0;      // of results and parameters
  size_t parameter_space = 0;      // of results, parameters and arguments of calls
  size_t local_bytes = 0;          // local memory of a thread that starts here
  size_t static_shared_bytes = 0;  // offset at which dynamic shared memory begins
  size_t register_count = 0;
  size_t unshared_count = 0;  // registers with their own slot; shared slots may hold old values
  size_t max_threads = 0;     // .maxntid, or 0
  std::vector<Instruction> code;

  // Set by lay_out:
  std::vector<Step> steps;                 // one for each instruction in `code`
  std::vector<SpecialSlot> special_slots;  // follow the registers
  std::vector<uint64_t> constants;         // follow special_slots; then one slot for unused results
  size_t slot_count() const { return register_count + special_slots.size() + constants.size() + 1; }
};

struct Module {
  std::map<std::string, Function> functions;
  std::vector<Variable> variables;
  std::vector<std::unique_ptr<std::byte[]>> storage;  // of global and constant variables
};

/// Parses the output of nvcc -ptx. Throws KernelError for malformed text. An unknown instruction is
/// an error only when it is executed.
Module parse_module(const std::filesystem::path& path);
Module parse_module(const std::string& text);

/// Renumbers the function's registers so that registers with disjoint lifetimes share a slot.
void share_registers(Function& function);

/// Shares registers, assigns a slot to every operand of the function's code, and creates the steps.
/// The function must not be moved afterwards, because steps point to its instructions.
void lay_out(Function& function);

/// Returns the selector of an opcode such as "mul.wide" (types, spaces, roundings and hints
/// removed), or null if it is unknown.
Selector find_selector(const std::string& opcode);

/// The selector of every unknown opcode: its handler throws KernelError with the instruction's
/// text.
Handler reject_instruction(const Instruction& instruction);

}  // namespace elbo::cuda::emulation::ptx

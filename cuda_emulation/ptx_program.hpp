// PTX text as data: a module of functions, each a list of decoded instructions.
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

/// Bytes of a value of this type in memory.
size_t size_of(Type type);

enum class Space : uint8_t { kGeneric, kGlobal, kConstant, kShared, kLocal, kParameter };

enum class Rounding : uint8_t { kNearest, kZero, kDown, kUp };

enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

/// How setp treats NaN, and what it makes of a further predicate.
enum class NanRule : uint8_t { kFalse, kTrue, kTestNumber, kTestNan };
enum class Combination : uint8_t { kNone, kAnd, kOr, kXor };

enum class Special : uint8_t { kThread, kThreads, kBlock, kBlocks, kLane, kWarp };

struct Operand {
  enum class Kind : uint8_t { kRegister, kImmediate, kSpecial, kAddress, kVector, kSymbol, kSink };

  Kind kind = Kind::kImmediate;
  bool negated = false;        // !%p
  int reg = -1;                // kRegister; kAddress: the base, or -1
  int predicate = -1;          // the p of d|p
  uint64_t value = 0;          // immediate bits; kAddress: what is added to the base
  Special special{};           // kSpecial, with axis 0, 1, 2 in value
  std::string symbol;          // kSymbol and kAddress, until it is resolved
  std::vector<Operand> parts;  // kVector
};

struct Function;
struct Thread;
struct Instruction;
using Handler = void (*)(Thread& thread, const Instruction& instruction);

struct Instruction {
  Handler handler = nullptr;
  Type type = Type::kNone;         // of the result
  Type source_type = Type::kNone;  // cvt, set: of the operand
  Space space = Space::kGeneric;
  Space source_space = Space::kGeneric;  // cp.async: of what it reads
  Rounding rounding = Rounding::kNearest;
  bool to_integral = false;  // .rni, .rzi, ...: the rounding makes an integral value
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

struct Variable {
  std::string name;
  Space space = Space::kGeneric;
  size_t size = 0;
  size_t alignment = 1;
  uint64_t address = 0;  // in its space; global and constant: on the host
  std::vector<std::byte> initial;
};

struct Function {
  std::string name;
  bool is_entry = false;
  std::vector<Variable> parameters;
  std::vector<Variable> results;
  std::vector<Variable> locals;
  std::vector<Variable> shared;    // all it can see; an empty one is the dynamic memory
  size_t parameter_bytes = 0;      // of the entry's arguments
  size_t parameter_space = 0;      // and of results and of the arguments of calls
  size_t local_bytes = 0;          // local memory of a thread that starts here
  size_t static_shared_bytes = 0;  // where dynamic shared memory begins
  size_t register_count = 0;
  size_t max_threads = 0;  // .maxntid, or 0
  std::vector<Instruction> code;
};

struct Module {
  std::map<std::string, Function> functions;
  std::vector<Variable> variables;
  std::vector<std::unique_ptr<std::byte[]>> storage;  // of global and constant variables
};

/// Reads what nvcc -ptx wrote. Throws KernelError for text it does not understand; an instruction
/// it does not know is an error only when it is executed.
Module parse_module(const std::filesystem::path& path);
Module parse_module(const std::string& text);

/// The handler of an opcode such as "mul.wide" (types, spaces, roundings and hints removed), or
/// null.
Handler find_handler(const std::string& opcode);

/// The handler of every unknown opcode: throws KernelError with the instruction's text.
void reject_instruction(Thread& thread, const Instruction& instruction);

}  // namespace elbo::cuda::emulation::ptx

#include "cuda_emulation/ptx_decode.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "cuda_emulation/launch.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

using Words = std::vector<std::string_view>;

[[noreturn]] void fail(std::string_view what, std::string_view text) {
  throw KernelError("PTX: " + std::string(what) + ": " + std::string(text));
}

const std::unordered_map<std::string_view, Type> kTypes = {
    {"u8", Type::kU8},   {"u16", Type::kU16}, {"u32", Type::kU32},       {"u64", Type::kU64},
    {"s8", Type::kS8},   {"s16", Type::kS16}, {"s32", Type::kS32},       {"s64", Type::kS64},
    {"b8", Type::kB8},   {"b16", Type::kB16}, {"b32", Type::kB32},       {"b64", Type::kB64},
    {"f32", Type::kF32}, {"f64", Type::kF64}, {"pred", Type::kPredicate}};

const std::unordered_map<std::string_view, Space> kSpaces = {
    {"global", Space::kGlobal},         {"const", Space::kConstant},
    {"shared", Space::kShared},         {"local", Space::kLocal},
    {"param", Space::kParameter},       {"shared::cta", Space::kShared},
    {"param::entry", Space::kParameter}};

struct RoundingName {
  Rounding rounding;
  bool to_integral;
};
const std::unordered_map<std::string_view, RoundingName> kRoundings = {
    {"rn", {Rounding::kNearest, false}}, {"rz", {Rounding::kZero, false}},
    {"rm", {Rounding::kDown, false}},    {"rp", {Rounding::kUp, false}},
    {"rni", {Rounding::kNearest, true}}, {"rzi", {Rounding::kZero, true}},
    {"rmi", {Rounding::kDown, true}},    {"rpi", {Rounding::kUp, true}}};

// Hints, scopes and memory orders, which have no effect when one thread runs at a time.
const std::unordered_set<std::string_view> kIgnored = {
    "uni",     "approx",  "full",    "nc",  "ca",       "cg",  "cs",  "cv",     "lu",
    "wb",      "wt",      "weak",    "cta", "cluster",  "gpu", "sys", "gl",     "relaxed",
    "acquire", "release", "acq_rel", "sc",  "volatile", "v2",  "v4",  "aligned"};

struct ComparisonName {
  Comparison comparison;
  NanRule nan_rule;
};
const std::unordered_map<std::string_view, ComparisonName> kComparisons = {
    {"eq", {Comparison::kEqual, NanRule::kFalse}},
    {"ne", {Comparison::kNotEqual, NanRule::kFalse}},
    {"lt", {Comparison::kLess, NanRule::kFalse}},
    {"le", {Comparison::kLessEqual, NanRule::kFalse}},
    {"gt", {Comparison::kGreater, NanRule::kFalse}},
    {"ge", {Comparison::kGreaterEqual, NanRule::kFalse}},
    {"lo", {Comparison::kLess, NanRule::kFalse}},
    {"ls", {Comparison::kLessEqual, NanRule::kFalse}},
    {"hi", {Comparison::kGreater, NanRule::kFalse}},
    {"hs", {Comparison::kGreaterEqual, NanRule::kFalse}},
    {"equ", {Comparison::kEqual, NanRule::kTrue}},
    {"neu", {Comparison::kNotEqual, NanRule::kTrue}},
    {"ltu", {Comparison::kLess, NanRule::kTrue}},
    {"leu", {Comparison::kLessEqual, NanRule::kTrue}},
    {"gtu", {Comparison::kGreater, NanRule::kTrue}},
    {"geu", {Comparison::kGreaterEqual, NanRule::kTrue}},
    {"num", {Comparison::kEqual, NanRule::kTestNumber}},
    {"nan", {Comparison::kEqual, NanRule::kTestNan}}};

const std::unordered_map<std::string_view, Combination> kCombinations = {
    {"and", Combination::kAnd}, {"or", Combination::kOr}, {"xor", Combination::kXor}};

const std::array<std::pair<std::string_view, Special>, 6> kSpecials = {{
    {"%tid.", Special::kThread},
    {"%ntid.", Special::kThreads},
    {"%ctaid.", Special::kBlock},
    {"%nctaid.", Special::kBlocks},
    {"%laneid", Special::kLane},
    {"%warpid", Special::kWarp},
}};

template <class Table, class Assign>
bool apply(const Table& table, std::string_view word, Assign assign) {
  const auto found = table.find(word);
  if (found == table.end()) return false;
  assign(found->second);
  return true;
}

bool is_ignored(std::string_view word) {
  return kIgnored.contains(word) || word.starts_with("L1::") || word.starts_with("L2::");
}

/// Decodes an opcode such as "setp.lt.and.f32". Modifiers that are in no table stay in its name.
Instruction decode_opcode(std::string_view opcode) {
  Instruction instruction;
  std::string name;
  while (!opcode.empty()) {
    const size_t dot = opcode.find('.');
    const std::string_view word = opcode.substr(0, dot);
    opcode = dot == std::string_view::npos ? std::string_view{} : opcode.substr(dot + 1);
    const bool compares = name == "setp";
    const bool explained =
        !name.empty() &&
        ((compares && apply(kComparisons, word,
                            [&](ComparisonName found) {
                              instruction.comparison = found.comparison;
                              instruction.nan_rule = found.nan_rule;
                            })) ||
         (compares && apply(kCombinations, word,
                            [&](Combination found) { instruction.combination = found; })) ||
         apply(kTypes, word,
               [&](Type found) {
                 (instruction.type == Type::kNone ? instruction.type : instruction.source_type) =
                     found;
               }) ||
         apply(kSpaces, word,
               [&](Space found) {
                 (instruction.space == Space::kGeneric ? instruction.space
                                                       : instruction.source_space) = found;
               }) ||
         apply(kRoundings, word,
               [&](RoundingName found) {
                 instruction.rounding = found.rounding;
                 instruction.to_integral = found.to_integral;
               }) ||
         is_ignored(word));
    if (explained) continue;
    if (word == "ftz") {
      instruction.flush = true;
    } else if (word == "sat") {
      instruction.saturate = true;
    } else {
      if (!name.empty()) name += '.';
      name += word;
    }
  }
  const Selector select = find_selector(name);
  instruction.select = select != nullptr ? select : &reject_instruction;
  return instruction;
}

/// Returns the cached decode_opcode(opcode): a program has few distinct opcodes.
const Instruction& known_opcode(std::string_view opcode) {
  thread_local std::unordered_map<std::string, Instruction> known;
  const auto [place, is_new] = known.try_emplace(std::string(opcode));
  if (is_new) place->second = decode_opcode(opcode);
  return place->second;
}

uint64_t parse_integer(std::string_view text) {
  const std::string_view whole = text;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.ends_with('U')) text.remove_suffix(1);
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) fail("not a number", whole);
  return negative ? ~value + 1 : value;
}

Operand decode_operand(std::string_view text, RegisterFile& registers);

Operand decode_address(std::string_view inside, RegisterFile& registers) {
  Operand operand;
  operand.kind = Operand::Kind::kAddress;
  const size_t plus = inside.find('+');
  const std::string_view base = trim(inside.substr(0, plus));
  if (plus != std::string_view::npos) operand.value = parse_integer(trim(inside.substr(plus + 1)));
  if (base.empty()) fail("empty address", inside);
  if (base[0] == '%' || registers.contains(base)) {
    operand.slot = registers.number(base);
  } else if (std::isdigit(static_cast<unsigned char>(base[0]))) {
    operand.value += parse_integer(base);
  } else {
    operand.symbol = base;
  }
  return operand;
}

Operand decode_register(std::string_view text, RegisterFile& registers) {
  Operand operand;
  for (const auto& [prefix, special] : kSpecials) {
    if (!text.starts_with(prefix)) continue;
    operand.kind = Operand::Kind::kSpecial;
    operand.special = special;
    operand.value = prefix.ends_with('.') ? static_cast<uint64_t>(text.back() - 'x') : 0;
    return operand;
  }
  operand.kind = Operand::Kind::kRegister;
  const size_t bar = text.find('|');
  operand.slot = registers.number(trim(text.substr(0, bar)));
  if (bar != std::string_view::npos) {
    operand.predicate = registers.number(trim(text.substr(bar + 1)));
  }
  return operand;
}

Operand decode_operand(std::string_view text, RegisterFile& registers) {
  text = trim(text);
  if (text.empty()) fail("empty operand", text);
  Operand operand;
  switch (text[0]) {
    case '{':
    case '(':
      operand.kind = Operand::Kind::kVector;
      for (const std::string_view part : split_list(text.substr(1, text.size() - 2))) {
        operand.parts.push_back(decode_operand(part, registers));
      }
      return operand;
    case '[':
      return decode_address(text.substr(1, text.size() - 2), registers);
    case '!':
      operand = decode_register(text.substr(1), registers);
      operand.negated = true;
      return operand;
    case '%':
      return decode_register(text, registers);
    default:
      break;
  }
  if (registers.contains(text)) {  // a register declared without the usual %
    operand = decode_register(text, registers);
  } else if (text == "_") {
    operand.kind = Operand::Kind::kSink;
  } else if (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-') {
    operand.value = parse_immediate(text);
  } else {
    operand.kind = Operand::Kind::kSymbol;
    operand.symbol = text;
  }
  return operand;
}

}  // namespace

int RegisterFile::number(std::string_view name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto found = scope->find(name); found != scope->end()) return found->second;
  }
  return scopes_.front().emplace(std::string(name), count_++).first->second;
}

bool RegisterFile::contains(std::string_view name) const {
  return std::any_of(scopes_.begin(), scopes_.end(),
                     [name](const Scope& scope) { return scope.contains(name); });
}

void RegisterFile::declare(std::string_view name) {
  scopes_.back().insert_or_assign(std::string(name), count_++);
}

Instruction decode_instruction(std::string_view statement, RegisterFile& registers) {
  const std::string_view whole = statement;
  const auto next_word = [&statement] {
    const size_t end = statement.find_first_of(" \t\n\r");
    const std::string_view word = statement.substr(0, end);
    statement = end == std::string_view::npos ? std::string_view{} : trim(statement.substr(end));
    return word;
  };
  std::string_view guard = statement.starts_with('@') ? next_word().substr(1) : std::string_view{};
  Instruction instruction = known_opcode(next_word());
  instruction.text = whole;
  instruction.guard_negated = guard.starts_with('!');
  if (instruction.guard_negated) guard.remove_prefix(1);
  if (!guard.empty()) instruction.guard = registers.number(guard);
  // The operands of an unknown instruction may have an unknown syntax.
  if (instruction.select == &reject_instruction) return instruction;
  const std::vector<std::string_view> operands = split_list(statement);
  instruction.operands.reserve(operands.size());
  for (const std::string_view operand : operands) {
    instruction.operands.push_back(decode_operand(operand, registers));
  }
  return instruction;
}

uint64_t parse_immediate(std::string_view text) {
  const bool floating =
      text.size() > 2 && text[0] == '0' && std::string_view("fFdD").find(text[1]) != text.npos;
  return floating ? parse_integer("0x" + std::string(text.substr(2))) : parse_integer(text);
}

Type parse_type(std::string_view name) {
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? Type::kNone : found->second;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '[' || text[i] == '(') ++depth;
    if (text[i] == '}' || text[i] == ']' || text[i] == ')') --depth;
    if (text[i] != ',' || depth != 0) continue;
    parts.push_back(trim(text.substr(start, i - start)));
    start = i + 1;
  }
  if (const std::string_view last = trim(text.substr(start)); !last.empty()) parts.push_back(last);
  return parts;
}

}  // namespace elbo::cuda::emulation::ptx

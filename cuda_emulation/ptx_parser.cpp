// Parses the structure of a PTX file (variables, functions, labels) and assigns addresses to all
// symbols.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/ptx_decode.hpp"
#include "cuda_emulation/ptx_program.hpp"

namespace elbo::cuda::emulation::ptx {
namespace {

// Unused bytes between two shared variables, so that an overrun does not reach the next variable.
constexpr size_t kSharedGap = 64;

std::string without_comments(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    if (text.starts_with("//")) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (text.starts_with("/*")) {
      text.remove_prefix(std::min(text.find("*/"), text.size() - 2) + 2);
    } else {
      const size_t plain = std::min(text.find('/', 1), text.size());
      result += text.substr(0, plain);
      text.remove_prefix(plain);
    }
  }
  return result;
}

size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%';
}

/// Parses ".shared .align 4 .b8 name[8]"; "= {...}" follows if the variable is initialised.
Variable parse_variable(std::string_view declaration) {
  Variable variable;
  const size_t equals = declaration.find('=');
  std::istringstream words{std::string(declaration.substr(0, equals))};
  std::string word, name;
  Type type = Type::kB8;
  while (words >> word) {
    if (word == ".align") {
      words >> variable.alignment;
    } else if (word == ".shared") {
      variable.space = Space::kShared;
    } else if (word == ".local") {
      variable.space = Space::kLocal;
    } else if (word == ".param") {
      variable.space = Space::kParameter;
    } else if (word == ".const") {
      variable.space = Space::kConstant;
    } else if (word == ".global") {
      variable.space = Space::kGlobal;
    } else if (word[0] == '.') {
      if (const Type found = parse_type(word.substr(1)); found != Type::kNone) type = found;
    } else {
      name = word;
    }
  }
  const size_t bracket = name.find('[');
  variable.name = name.substr(0, bracket);
  size_t count = 1;
  if (bracket != std::string::npos) {
    count = std::strtoull(name.c_str() + bracket + 1, nullptr, 10);  // "[]" yields 0: dynamic
  }
  variable.size = count * size_of(type);
  variable.alignment = std::max(variable.alignment, size_of(type));
  if (equals != std::string_view::npos) {
    std::string_view values = trim(declaration.substr(equals + 1));
    if (values.starts_with('{')) values = values.substr(1, values.size() - 2);
    for (const std::string_view text : split_list(values)) {
      const uint64_t value = parse_immediate(text);
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      variable.initial.insert(variable.initial.end(), bytes, bytes + size_of(type));
    }
  }
  return variable;
}

class Parser {
 public:
  explicit Parser(std::string text) : text_(std::move(text)), rest_(text_) {}

  Module parse() {
    while (skip_blank(), !rest_.empty()) parse_top_level();
    place_locals();
    for (auto& [name, function] : module_.functions) place_shared(function);
    for (auto& [name, function] : module_.functions) resolve_symbols(function);
    for (auto& [name, function] : module_.functions) lay_out(function);
    return std::move(module_);
  }

 private:
  void skip_blank() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  std::string_view take_until(std::string_view stops) {
    const std::string_view taken = rest_.substr(0, rest_.find_first_of(stops));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void skip(size_t characters) { rest_.remove_prefix(std::min(characters, rest_.size())); }

  void parse_top_level() {
    for (const std::string_view line : {".version", ".target", ".address_size", ".file"}) {
      if (rest_.starts_with(line)) return void(take_until("\n"));
    }
    const std::string_view head = rest_.substr(0, rest_.find_first_of(";{(="));
    for (const std::string_view kind : {".entry", ".func"}) {
      const size_t found = head.find(kind);
      if (found == std::string_view::npos) continue;
      skip(found + kind.size());
      return parse_function(kind == ".entry");
    }
    if (head.starts_with(".section")) return void(take_until("}")), skip(1);
    if (head.starts_with(".pragma")) return void(take_until(";")), skip(1);
    add_variable(parse_variable(take_until(";")));
    skip(1);
  }

  void add_variable(Variable variable) {
    if (variable.space != Space::kShared) {
      auto storage = std::make_unique<std::byte[]>(variable.size + variable.alignment);
      const auto start = reinterpret_cast<size_t>(storage.get());
      variable.address = round_up(start, variable.alignment);
      std::copy(variable.initial.begin(), variable.initial.end(),
                reinterpret_cast<std::byte*>(variable.address));
      module_.storage.push_back(std::move(storage));
    }
    module_.variables.push_back(std::move(variable));
  }

  static void place_parameter(Variable& variable, Function& function) {
    variable.address = round_up(function.parameter_space, variable.alignment);
    function.parameter_space = variable.address + variable.size;
  }

  /// Parses a list such as "(.param .b64 a, .param .b32 b)"; returns {} if no list follows.
  std::vector<Variable> parse_parameters(Function& function) {
    std::vector<Variable> parameters;
    if (skip_blank(); !rest_.starts_with('(')) return parameters;
    skip(1);
    for (const std::string_view parameter : split_list(take_until(")"))) {
      parameters.push_back(parse_variable(parameter));
      place_parameter(parameters.back(), function);
    }
    skip(1);
    return parameters;
  }

  void parse_function(bool is_entry) {
    Function function;
    function.is_entry = is_entry;
    function.results = parse_parameters(function);
    function.name = trim(take_until("(;{"));
    function.parameters = parse_parameters(function);
    function.parameter_bytes = function.parameter_space;
    parse_limits(take_until(";{"), function);
    const bool defined = rest_.starts_with('{');
    skip(1);
    if (!defined) return;
    parse_body(function);
    module_.functions.insert_or_assign(function.name, std::move(function));
  }

  static void parse_limits(std::string_view directives, Function& function) {
    constexpr std::string_view kMaxThreads = ".maxntid";
    const size_t found = directives.find(kMaxThreads);
    if (found == std::string_view::npos) return;
    directives.remove_prefix(found + kMaxThreads.size());
    function.max_threads = 1;
    for (const std::string_view extent : split_list(directives.substr(0, directives.find('.')))) {
      function.max_threads *= std::strtoull(std::string(extent).c_str(), nullptr, 10);
    }
  }

  void parse_body(Function& function) {
    RegisterFile registers;
    labels_.clear();
    std::map<std::string, std::string, std::less<>> branch_tables;
    // Addresses of arguments and results of calls. Names recur: the latest declaration holds.
    std::map<std::string, uint64_t> call_slots;
    std::string last_label;
    int depth = 1;
    while (skip_blank(), depth > 0) {
      if (rest_.empty()) throw KernelError("PTX: end of file in function " + function.name);
      if (rest_.starts_with('{') || rest_.starts_with('}')) {
        const bool opens = rest_.starts_with('{');
        depth += opens ? 1 : -1;
        opens ? registers.open_scope() : registers.close_scope();
        skip(1);
        continue;
      }
      const auto name_end = static_cast<size_t>(
          std::find_if_not(rest_.begin(), rest_.end(), is_name_character) - rest_.begin());
      if (name_end > 0 && name_end < rest_.size() && rest_[name_end] == ':') {
        last_label = rest_.substr(0, name_end);
        labels_[last_label] = function.code.size();
        skip(name_end + 1);
        continue;
      }
      const std::string_view statement = trim(take_until(";"));
      skip(1);
      if (statement.starts_with(".branchtargets")) {
        branch_tables[last_label] = statement.substr(std::strlen(".branchtargets"));
      } else if (statement.starts_with(".local")) {
        function.locals.push_back(parse_variable(statement));
      } else if (statement.starts_with(".reg")) {
        // Registers of the whole function, such as "%r<9>", are numbered at their first use.
        for (const std::string_view name : split_list(statement)) {
          if (depth > 1) registers.declare(name.substr(name.find_last_of(" \t") + 1));
        }
      } else if (statement.starts_with(".param")) {
        Variable variable = parse_variable(statement);
        place_parameter(variable, function);
        call_slots[variable.name] = variable.address;
      } else if (statement.starts_with(".shared")) {
        function.shared.push_back(parse_variable(statement));
      } else if (!statement.empty() && statement[0] != '.') {  // .loc and .pragma have no effect
        function.code.push_back(decode_instruction(statement, registers));
        for_each_symbol(function.code.back(), [&](Operand& operand) {
          const auto slot = call_slots.find(operand.symbol);
          if (slot != call_slots.end()) bind(operand, slot->second);
        });
      }
    }
    function.register_count = registers.size();
    for (Instruction& instruction : function.code) resolve_branch(instruction, branch_tables);
  }

  template <class Tables>
  void resolve_branch(Instruction& instruction, const Tables& branch_tables) {
    for (Operand& operand : instruction.operands) {
      if (operand.kind != Operand::Kind::kSymbol) continue;
      if (const auto table = branch_tables.find(operand.symbol); table != branch_tables.end()) {
        for (const std::string_view label : split_list(table->second)) {
          instruction.targets.push_back(labels_.at(std::string(label)));
        }
        operand.symbol.clear();
      } else if (const auto label = labels_.find(operand.symbol); label != labels_.end()) {
        instruction.targets.push_back(label->second);
        operand.symbol.clear();
      }
    }
  }

  /// Assigns local memory. Functions do not recurse, so each has its own variables at fixed
  /// addresses; the variables of an entry follow those of all functions.
  void place_locals() {
    size_t end = 0;
    const auto place = [&end](Function& function) {
      for (Variable& variable : function.locals) {
        variable.address = round_up(end, variable.alignment);
        end = variable.address + variable.size;
      }
      function.local_bytes = end;
    };
    for (auto& [name, function] : module_.functions) {
      if (!function.is_entry) place(function);
    }
    const size_t functions_end = end;
    for (auto& [name, function] : module_.functions) {
      if (!function.is_entry) continue;
      end = functions_end;
      place(function);
    }
  }

  /// Assigns addresses to the function's shared variables and to the module's shared variables that
  /// it names.
  void place_shared(Function& function) {
    std::set<std::string_view> named;
    for (const Instruction& instruction : function.code) {
      for (const Operand& operand : instruction.operands) named.insert(operand.symbol);
    }
    for (const Variable& variable : module_.variables) {
      if (variable.space == Space::kShared && named.contains(variable.name)) {
        function.shared.push_back(variable);
      }
    }
    size_t end = 0;
    for (Variable& variable : function.shared) {
      if (variable.size == 0) continue;
      variable.address = round_up(end, std::max<size_t>(variable.alignment, 16));
      end = variable.address + variable.size + kSharedGap;
    }
    function.static_shared_bytes = round_up(end, 128);
    for (Variable& variable : function.shared) {
      if (variable.size == 0) variable.address = function.static_shared_bytes;
    }
  }

  void resolve_symbols(Function& function) {
    std::map<std::string_view, uint64_t> addresses;
    for (const auto* variables : {&module_.variables, &function.parameters, &function.results,
                                  &function.locals, &function.shared}) {
      for (const Variable& variable : *variables) addresses[variable.name] = variable.address;
    }
    for (Instruction& instruction : function.code) {
      for_each_symbol(instruction, [&](Operand& operand) {
        if (const auto found = addresses.find(operand.symbol); found != addresses.end()) {
          bind(operand, found->second);
        } else if (const auto callee = module_.functions.find(operand.symbol);
                   callee != module_.functions.end()) {
          instruction.callee = &callee->second;
        } else {
          instruction.select = &reject_instruction;  // for example, a call of printf
        }
      });
    }
  }

  static void bind(Operand& operand, uint64_t address) {
    operand.value += address;
    if (operand.kind == Operand::Kind::kSymbol) operand.kind = Operand::Kind::kImmediate;
    operand.symbol.clear();
  }

  template <class Visit>
  static void for_each_symbol(Instruction& instruction, Visit visit) {
    for (Operand& operand : instruction.operands) {
      if (!operand.symbol.empty()) visit(operand);
      for (Operand& part : operand.parts) {
        if (!part.symbol.empty()) visit(part);
      }
    }
  }

  std::string text_;
  std::string_view rest_;
  Module module_;
  std::map<std::string, size_t> labels_;  // of the function being read
};

}  // namespace

size_t size_of(Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kS8:
    case Type::kB8:
    case Type::kPredicate:
      return 1;
    case Type::kU16:
    case Type::kS16:
    case Type::kB16:
      return 2;
    case Type::kU32:
    case Type::kS32:
    case Type::kB32:
    case Type::kF32:
      return 4;
    case Type::kU64:
    case Type::kS64:
    case Type::kB64:
    case Type::kF64:
      return 8;
    case Type::kNone:
      break;
  }
  return 0;
}

Module parse_module(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw KernelError("cannot open PTX file " + path.string());
  return parse_module(std::string(std::istreambuf_iterator<char>(file), {}));
}

Module parse_module(const std::string& text) { return Parser(without_comments(text)).parse(); }

}  // namespace elbo::cuda::emulation::ptx

// Decodes a PTX statement to an Instruction.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cuda_emulation/ptx_program.hpp"

namespace elbo::cuda::emulation::ptx {

/// Maps names to register numbers, which are assigned in order of first appearance. A block in
/// braces may declare local registers, which hide outer registers of the same name.
class RegisterFile {
 public:
  int number(std::string_view name);
  void declare(std::string_view name);
  bool contains(std::string_view name) const;
  void open_scope() { scopes_.emplace_back(); }
  void close_scope() { scopes_.pop_back(); }
  size_t size() const { return static_cast<size_t>(count_); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Scope = std::unordered_map<std::string, int, Hash, std::equal_to<>>;
  std::vector<Scope> scopes_ = std::vector<Scope>(1);
  int count_ = 0;
};

/// Decodes `statement`, which excludes the semicolon: "@%p1 ld.global.v2.f32 {%f1, %f2}, [%rd1+8]".
/// Throws KernelError for malformed operands.
Instruction decode_instruction(std::string_view statement, RegisterFile& registers);

/// Returns the type called `name` (without its dot), or kNone if there is none.
Type parse_type(std::string_view name);

/// Returns the bits of a number: 12, -0x1F, 0f3F800000 (a float), 0d3FF0000000000000 (a double).
uint64_t parse_immediate(std::string_view text);

std::string_view trim(std::string_view text);

/// Splits at commas outside of brackets, braces and parentheses.
std::vector<std::string_view> split_list(std::string_view text);

}  // namespace elbo::cuda::emulation::ptx

// What the simulation finds, and its random choices.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace elbo::cuda::simulated {

// A defect is refused by CUDA, undefined, unordered, or left behind at the end; a doubt is allowed
// and worth a look. Each text is printed once and counted.
void report_defect(const std::string& text);
void report_doubt(const std::string& text);

/// What was reported since the last call, "defect: ..." or "doubt: ..."; then it counts no more.
std::vector<std::string> take_findings();

/// Has the counts of findings printed at the process's end, after everything that is registered
/// with atexit later.
void report_at_exit();

/// Counts a call of a library's function, and says whether the option `fail` wants it to fail.
enum class Injected { kNothing, kError, kLastingError };
Injected count_call(const char* function);
void count_instructions(uint64_t instructions);

/// "scale_kernel" for a kernel's mangled name: without its namespace and arguments.
std::string readable(const std::string& mangled);

std::mt19937_64& dice();
bool chance(double probability);
size_t pick(size_t count);

}  // namespace elbo::cuda::simulated

// Reports the simulation's findings, and makes its random choices.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace elbo::cuda::simulated {

// A defect is rejected by CUDA, has undefined behaviour, is unordered, or is a leak at the end. A
// doubt is allowed but worth checking. Each text is printed once, and its occurrences are counted.
void report_defect(const std::string& text);
void report_doubt(const std::string& text);

/// Returns the findings since the last call ("defect: ..." or "doubt: ...") and clears them: they
/// no longer affect the exit code.
std::vector<std::string> take_findings();

/// Registers an exit handler that prints the counts of findings. It runs after all handlers that
/// are registered later.
void report_at_exit();

/// Counts a call of a function of the runtime or a library. Returns the error that the option
/// `fail` injects, if any.
enum class Injected { kNothing, kError, kLastingError };
Injected count_call(const char* function);
void count_instructions(uint64_t instructions);

/// Returns the readable form of a kernel's mangled name, such as "scale_kernel": without the
/// project's namespaces, and without parameters.
std::string readable(const std::string& mangled);

std::mt19937_64& dice();
bool chance(double probability);
size_t pick(size_t count);

}  // namespace elbo::cuda::simulated

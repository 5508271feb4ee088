// Which ops of a program wait for which: from the memory they touch.
#pragma once

#include <vector>

#include "kernels/program.hpp"

namespace elbo {

/// Whether one of the two writes what the other touches.
bool conflict(const AccessList& one, const AccessList& other);

/// For each op the earlier ones that it has to run after, because one of the two writes what the
/// other touches; those implied by others are left out. Ops are named by their place.
using Dependencies = std::vector<std::vector<int>>;
Dependencies dependencies(const Program& program);

/// A longest chain of ops that wait for one another, where op i costs `cost[i]`: in order.
std::vector<int> critical_path(const Dependencies& dependencies, const std::vector<double>& cost);

/// The memory whose content a run takes over from before it and writes: weights, moments, state.
/// No two ranges overlap.
std::vector<Access> carried_memory(const Program& program);

}  // namespace elbo

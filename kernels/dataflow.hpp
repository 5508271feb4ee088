// Dependencies between the ops of a program, derived from the memory they access.
#pragma once

#include <vector>

#include "kernels/program.hpp"

namespace elbo {

/// True if one op writes memory that the other accesses.
bool conflict(const AccessList& one, const AccessList& other);

/// For each op, the earlier ops that it must run after, because one of the two writes memory that
/// the other accesses. Dependencies implied by others are omitted. Ops are indices.
using Dependencies = std::vector<std::vector<int>>;
Dependencies dependencies(const Program& program);

/// A longest chain of dependent ops in order, if op i costs `cost[i]`.
std::vector<int> critical_path(const Dependencies& dependencies, const std::vector<double>& cost);

/// The memory that a run both reads from before and writes: weights, moments, state. The ranges do
/// not overlap.
std::vector<Access> carried_memory(const Program& program);

}  // namespace elbo

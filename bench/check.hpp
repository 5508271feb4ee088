// Compares a device with the reference before anything is timed.
#pragma once

#include <optional>
#include <string>

#include "kernels/device.hpp"

namespace elbo::bench {

/// Runs the program on `device` (one that shares the host's memory), op by op, each beside the
/// reference on equal input, then once as a whole, which must give the same bits. Says what
/// differs first, in one line; nothing where all agree. Leaves the memory as one run leaves it.
std::optional<std::string> difference(Device& device, const Program& program);

}  // namespace elbo::bench

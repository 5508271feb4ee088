// Compares a device with the reference before anything is timed.
#pragma once

#include <optional>
#include <string>

#include "kernels/device.hpp"

namespace elbo::bench {

/// Runs `program` on `device`, op by op, each beside the reference on equal input, then as a whole,
/// which must give the same bits: on the CPU those of the ops one by one, on a GPU, where a product
/// may be computed otherwise beside its neighbours, those of another run. Says what differs first,
/// in one line; nothing where all agree. Leaves the device's memory as one run leaves it.
///
/// `image` is the same program on memory of the host, where the reference works: its ops have the
/// sizes of `program`'s, and arrays of their own. What ops read outside of their accesses, such as
/// the data set's other rows, must hold the same numbers on both sides; the rest is copied.
std::optional<std::string> difference(Device& device, const Program& program, const Program& image);

}  // namespace elbo::bench

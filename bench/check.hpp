// Compares a device with the reference before anything is timed.
#pragma once

#include <optional>
#include <string>

#include "kernels/device.hpp"

namespace elbo::bench {

/// Returns one line about the first difference between `device` and the reference, or nullopt if
/// they agree.
///
/// Runs each op of `program` on `device` and in the reference, on equal inputs. Then runs the whole
/// program, which must reproduce the same bits: on the CPU, the bits of the op-by-op run; on a GPU,
/// the bits of a second whole run, because a matrix product may be computed differently when it is
/// not run alone. Leaves the device's memory as one run of the program leaves it.
///
/// `image` is the same program in host memory, on which the reference runs: its ops have the same
/// sizes and their own arrays. Every access of an op is copied from the device. Data that an op
/// reads outside its accesses, such as the other rows of the data set, must be equal on both sides.
std::optional<std::string> difference(Device& device, const Program& program, const Program& image);

}  // namespace elbo::bench

// A device on which programs can be recorded but not run.
#pragma once

#include <memory>

#include "kernels/device.hpp"

namespace elbo::bench {

/// Returns a device that reports `kind`, so that a model records the program of such a device. Its
/// arrays are in host memory, whose pages are allocated when they are first written: the model may
/// be larger than the machine's memory. Running a program on this device throws DeviceError.
std::shared_ptr<Device> make_planning_device(DeviceKind kind);

}  // namespace elbo::bench

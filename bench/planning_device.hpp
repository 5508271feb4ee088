// A device that records and does not run.
#pragma once

#include <memory>

#include "kernels/device.hpp"

namespace elbo::bench {

/// Says it is of `kind`, so that models record for it what they record for such a device, and keeps
/// their arrays in memory of the host, which takes room only where it is written: the model may be
/// larger than the machine. To run a program on it throws DeviceError.
std::shared_ptr<Device> make_planning_device(DeviceKind kind);

}  // namespace elbo::bench

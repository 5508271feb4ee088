// A Download of memory that the host shares: an immediate copy.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/device.hpp"

namespace elbo {

class HostCopy : public Download {
 public:
  HostCopy(const void* from, size_t bytes) : bytes_(bytes) {
    std::memcpy(bytes_.data(), from, bytes);
  }
  const std::byte* wait() override { return bytes_.data(); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace elbo

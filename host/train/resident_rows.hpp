// All rows of a split at once: used in place on the CPU, copied to the memory of a GPU.
#pragma once

#include "host/train/device_rows.hpp"
#include "kernels/buffer.hpp"

namespace elbo {

class ResidentRows : public DeviceRows {
 public:
  ResidentRows(const std::shared_ptr<Device>& device, const Split& split, int64_t dim,
               const RowOrder& order);

  uint64_t make_ready(uint64_t batch) override;

 private:
  std::shared_ptr<const void> owner_;
  std::vector<uint32_t> host_index_;
  Buffer<std::byte> rows_;
  Buffer<uint32_t> index_;
};

}  // namespace elbo

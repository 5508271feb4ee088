// A split's rows where a device can read them: in place on the CPU, copied to a GPU's memory.
#pragma once

#include "host/data/dataset.hpp"
#include "kernels/batch.hpp"
#include "kernels/buffer.hpp"

namespace elbo {

class ResidentRows {
 public:
  ResidentRows(const std::shared_ptr<Device>& device, const Split& split, int64_t dim);

  /// A gather over these rows; the caller fills in the batch and the outputs.
  GatherBatch gather() const { return gather_; }
  uint32_t count() const { return gather_.count; }

 private:
  std::shared_ptr<const void> owner_;
  std::vector<uint32_t> host_index_;
  Buffer<std::byte> rows_;
  Buffer<uint32_t> index_;
  GatherBatch gather_;
};

}  // namespace elbo

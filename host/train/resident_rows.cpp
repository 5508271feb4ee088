#include "host/train/resident_rows.hpp"

#include <limits>

namespace elbo {

ResidentRows::ResidentRows(const std::shared_ptr<Device>& device, const Split& split, int64_t dim,
                           const RowOrder& order)
    : DeviceRows(split, dim, order), owner_(split.owner), host_index_(split.index) {
  if (device->shares_host_memory()) {
    gather_.rows = split.rows;
    gather_.index = host_index_.empty() ? nullptr : host_index_.data();
    return;
  }
  const size_t bytes = static_cast<size_t>(split.row_count * dim) * size_of(split.dtype);
  rows_ = {device, bytes, "the data set's " + split.name + " split"};
  rows_.upload({static_cast<const std::byte*>(split.rows), bytes});
  gather_.rows = rows_.data();
  if (!host_index_.empty()) {
    index_ = {device, host_index_.size(), "the index of split " + split.name};
    index_.upload(host_index_);
    gather_.index = index_.data();
  }
}

uint64_t ResidentRows::make_ready(uint64_t) { return std::numeric_limits<uint64_t>::max(); }

}  // namespace elbo

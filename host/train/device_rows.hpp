// A split's rows where a device can read them: all of them there, or a window at a time.
#pragma once

#include <memory>

#include "host/data/dataset.hpp"
#include "kernels/buffer.hpp"
#include "kernels/device.hpp"

namespace elbo {

/// In which order batches take a split's rows; says it all, together with the batch's number.
struct RowOrder {
  int32_t batch_rows = 1;
  /// Rows that are on the device together and shuffled among themselves, a multiple of batch_rows;
  /// 0: all rows.
  uint32_t window = 0;
  uint64_t seed = 0;
  bool shuffle = false;
};

class DeviceRows {
 public:
  virtual ~DeviceRows() = default;
  DeviceRows(const DeviceRows&) = delete;
  DeviceRows& operator=(const DeviceRows&) = delete;

  /// A gather over these rows in their order; the caller fills in the batch, the view and the
  /// outputs.
  const GatherBatch& gather() const { return gather_; }
  uint32_t count() const { return gather_.count; }

  /// Has programs run from now on find the rows of batch `batch`, counted from the start of
  /// training, and gives for how many batches from there on they do. Rethrows what went wrong when
  /// rows were fetched.
  virtual uint64_t make_ready(uint64_t batch) = 0;

 protected:
  /// Throws DataError if there are more rows than 32 bits can number.
  DeviceRows(const Split& split, int64_t dim, const RowOrder& order);

  GatherBatch gather_;
};

/// Keeps `split`'s memory, not `split`.
std::unique_ptr<DeviceRows> make_device_rows(const std::shared_ptr<Device>& device,
                                             const Split& split, int64_t dim,
                                             const RowOrder& order);

/// The split's labels on the device, one for each of the table's rows; empty if it has none.
/// Throws DataError if one is not a class below `classes`.
Buffer<int32_t> upload_labels(const std::shared_ptr<Device>& device, const Split& split,
                              int32_t classes);

/// The window for a split of rows of `dim` elements: 0 if the device can hold all rows, because
/// it works in the host's memory or because half of what it has free is enough, and otherwise as
/// many rows as two windows of them fit there. Throws DeviceError if that is not even a batch.
uint32_t fitting_window(const Device& device, const Split& split, int64_t dim, int32_t batch_rows);

}  // namespace elbo

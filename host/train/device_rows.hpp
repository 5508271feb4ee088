// Makes the rows of a split readable by a device: all rows at once, or one window at a time.
#pragma once

#include <memory>

#include "host/data/dataset.hpp"
#include "kernels/buffer.hpp"
#include "kernels/device.hpp"

namespace elbo {

/// The order in which batches read the rows of a split. Together with a batch's number it
/// determines the rows of the batch.
struct RowOrder {
  int32_t batch_rows = 1;
  /// Number of rows that are on the device together and shuffled among themselves, a multiple of
  /// batch_rows; 0: all rows.
  uint32_t window = 0;
  uint64_t seed = 0;
  bool shuffle = false;
};

class DeviceRows {
 public:
  virtual ~DeviceRows() = default;
  DeviceRows(const DeviceRows&) = delete;
  DeviceRows& operator=(const DeviceRows&) = delete;

  /// Returns a gather over these rows in their order. The caller sets the batch, the view and the
  /// outputs.
  const GatherBatch& gather() const { return gather_; }
  uint32_t count() const { return gather_.count; }

  /// Makes the rows of batch `batch` (counted from the start of training) available to programs
  /// that run after this call. Returns the number of batches, starting with this one, that are
  /// available. Rethrows errors that occurred while rows were fetched.
  virtual uint64_t make_ready(uint64_t batch) = 0;

 protected:
  /// Throws DataError if the number of rows exceeds 32 bits.
  DeviceRows(const Split& split, int64_t dim, const RowOrder& order);

  GatherBatch gather_;
};

/// Keeps the memory of `split` alive, but no reference to `split`.
std::unique_ptr<DeviceRows> make_device_rows(const std::shared_ptr<Device>& device,
                                             const Split& split, int64_t dim,
                                             const RowOrder& order);

/// Uploads the labels of a split, one per stored row; empty if the split has none. Throws DataError
/// if a label is not a class below `classes`.
Buffer<int32_t> upload_labels(const std::shared_ptr<Device>& device, const Split& split,
                              int32_t classes);

/// Returns the window for a split of rows with `dim` elements. Returns 0 if the device can hold all
/// rows, because it uses the host's memory or because they fit into half of its free memory.
/// Otherwise returns the largest number of rows such that two windows fit into half of the free
/// memory. Throws DeviceError if not even two batches fit.
uint32_t fitting_window(const Device& device, const Split& split, int64_t dim, int32_t batch_rows);

}  // namespace elbo

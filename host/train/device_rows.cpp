#include "host/train/device_rows.hpp"

#include <algorithm>
#include <limits>

#include "host/io/formatted.hpp"
#include "host/train/resident_rows.hpp"
#include "host/train/streamed_rows.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

DeviceRows::DeviceRows(const Split& split, int64_t dim, const RowOrder& order) {
  if (split.row_count > std::numeric_limits<uint32_t>::max())
    throw DataError(split.source + ": more than 4294967295 rows");
  gather_.dtype = split.dtype;
  gather_.count = static_cast<uint32_t>(split.size());
  if (!split.index.empty()) gather_.stored = static_cast<uint32_t>(split.row_count);
  gather_.window = order.window;
  gather_.columns = static_cast<int32_t>(dim);
  gather_.shuffle = order.shuffle;
  gather_.seed = order.seed;
}

std::unique_ptr<DeviceRows> make_device_rows(const std::shared_ptr<Device>& device,
                                             const Split& split, int64_t dim,
                                             const RowOrder& order) {
  if (order.window == 0) return std::make_unique<ResidentRows>(device, split, dim, order);
  return std::make_unique<StreamedRows>(device, split, dim, order);
}

Buffer<int32_t> upload_labels(const std::shared_ptr<Device>& device, const Split& split,
                              int32_t classes) {
  if (split.labels.empty()) return {};
  const auto wrong = std::ranges::find_if(
      split.labels, [&](int32_t label) { return label < 0 || label >= classes; });
  if (wrong != split.labels.end())
    throw DataError(formatted("{}: row {} has label {}; the model knows classes 0 to {}",
                              split.source, wrong - split.labels.begin(), *wrong, classes - 1));
  Buffer<int32_t> labels(device, split.labels.size(), "the labels of split " + split.name);
  labels.upload(split.labels);
  return labels;
}

uint32_t fitting_window(const Device& device, const Split& split, int64_t dim, int32_t batch_rows) {
  if (device.shares_host_memory()) return 0;
  const size_t row_bytes = static_cast<size_t>(dim) * size_of(split.dtype);
  const size_t all = static_cast<size_t>(split.row_count) * row_bytes +
                     split.index.size() * sizeof(split.index.front());
  const size_t free = device.free_memory(), available = free / 2;
  if (all <= available) return 0;

  const auto batch = static_cast<size_t>(batch_rows);
  const size_t needed = 2 * batch * (row_bytes + sizeof(uint32_t));  // for two windows of a batch
  if (needed > available)
    throw DeviceError(
        formatted("two batches of {} rows take {} bytes of the device's memory, more than half of "
                  "the {} that are free; a smaller batch size needs less",
                  split.name, needed, free));
  const size_t all_batches = (static_cast<size_t>(split.size()) + batch - 1) / batch;
  const size_t most_batches = kLargestWindow / batch;
  return static_cast<uint32_t>(std::min({available / needed, all_batches, most_batches}) * batch);
}

}  // namespace elbo

// The rows of a split, one window at a time: while programs read one window on the device, a thread
// fetches the next from the mapped file.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "host/train/device_rows.hpp"
#include "host/train/window_order.hpp"
#include "kernels/buffer.hpp"
#include "kernels/transfer_queue.hpp"

namespace elbo {

/// Maximum number of rows in a window, so that 32 bits can index the rows of two windows.
inline constexpr size_t kLargestWindow = size_t{1} << 30;

/// Allocates two windows on the device and two staging buffers of at most 16 MiB each (or one row,
/// if larger) on the host.
class StreamedRows : public DeviceRows {
 public:
  StreamedRows(const std::shared_ptr<Device>& device, const Split& split, int64_t dim,
               const RowOrder& order);
  ~StreamedRows() override;

  uint64_t make_ready(uint64_t batch) override;

 private:
  void start_at(uint64_t number);
  void produce(const std::stop_token& stop, uint64_t number);
  void fill(const std::stop_token& stop, uint64_t number);
  uint32_t stage(const RowRun& run, std::byte* staging, size_t staged) const;
  uint32_t row_of(uint32_t place) const { return index_.empty() ? place : index_[place]; }

  std::shared_ptr<Device> device_;  // needed by the queue
  std::shared_ptr<const void> owner_;
  const std::byte* source_;
  std::vector<uint32_t> index_;
  size_t row_bytes_;
  uint32_t batch_rows_;
  WindowOrder order_;
  Buffer<std::byte> slots_;    // [2, window, row_bytes_]
  Buffer<uint32_t> slot_ids_;  // [2, window]: data-set row of each slot
  size_t staged_rows_;
  std::unique_ptr<TransferQueue> queue_;

  std::mutex mutex_;
  std::condition_variable_any changed_;  // signals changes of the next three
  uint64_t current_ = 0;                 // the window that programs read
  uint64_t filled_ = 0;                  // all earlier windows have been sent
  std::exception_ptr failure_;           // set if the producer ended with an error
  std::jthread producer_;
};

}  // namespace elbo

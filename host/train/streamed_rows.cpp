#include "host/train/streamed_rows.hpp"

#include <algorithm>
#include <cstring>

namespace elbo {
namespace {

constexpr size_t kStagingBytes = size_t{16} << 20;

int slot_of(uint64_t number) { return static_cast<int>(number % 2); }

}  // namespace

StreamedRows::StreamedRows(const std::shared_ptr<Device>& device, const Split& split, int64_t dim,
                           const RowOrder& order)
    : DeviceRows(split, dim, order),
      device_(device),
      owner_(split.owner),
      source_(static_cast<const std::byte*>(split.rows)),
      index_(split.index),
      row_bytes_(static_cast<size_t>(dim) * size_of(split.dtype)),
      batch_rows_(static_cast<uint32_t>(order.batch_rows)),
      order_({gather_.count, order.window}, order.seed, order.shuffle) {
  ELBO_ASSERT(order.window % batch_rows_ == 0 && order.window <= kLargestWindow);
  const size_t places = 2 * size_t{order.window};
  slots_ = {device, places * row_bytes_, "two windows of the data set's " + split.name + " split"};
  slot_ids_ = {device, places, "the row numbers of two windows of split " + split.name};
  gather_.rows = slots_.data();
  gather_.index = slot_ids_.data();
  const size_t staged_row = row_bytes_ + sizeof(uint32_t);
  staged_rows_ = std::clamp<size_t>(kStagingBytes / staged_row, 1, order.window);
  queue_ = device->make_transfer_queue(staged_rows_ * staged_row);
}

StreamedRows::~StreamedRows() = default;  // producer_, the last member, is stopped and joined first

uint64_t StreamedRows::make_ready(uint64_t batch) {
  const uint32_t window_batches = gather_.window / batch_rows_;
  const uint32_t epoch_batches = (gather_.count - 1) / batch_rows_ + 1;
  const auto place = static_cast<uint32_t>(batch % epoch_batches);
  const math::Window window = order_.windows().at(batch / epoch_batches, place * batch_rows_);

  if (!producer_.joinable() || (window.number != current_ && window.number != current_ + 1))
    start_at(window.number);
  if (window.number == current_ + 1) {
    queue_->release(slot_of(current_));
    const std::scoped_lock lock(mutex_);
    current_ = window.number;
    changed_.notify_all();
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return filled_ > window.number || failure_ != nullptr; });
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  queue_->wait(slot_of(window.number));
  return std::min(window_batches - place % window_batches, epoch_batches - place);
}

/// Restarts the producer at window `number`.
void StreamedRows::start_at(uint64_t number) {
  producer_ = {};
  for (const int slot : {0, 1}) queue_->release(slot);
  current_ = filled_ = number;
  failure_ = nullptr;
  producer_ = std::jthread([this, number](const std::stop_token& stop) { produce(stop, number); });
}

void StreamedRows::produce(const std::stop_token& stop, uint64_t number) {
  try {
    for (;; ++number) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return number < current_ + 2; })) return;
      }
      fill(stop, number);
      if (stop.stop_requested()) return;
      const std::scoped_lock lock(mutex_);
      filled_ = number + 1;
      changed_.notify_all();
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

/// Sends the rows of a window and their indices to its slot.
void StreamedRows::fill(const std::stop_token& stop, uint64_t number) {
  size_t place = static_cast<size_t>(slot_of(number)) * gather_.window;  // index into the slots
  queue_->acquire(slot_of(number));
  std::byte* staging = queue_->stage();
  size_t staged = 0;
  const auto send = [&] {
    const std::byte* rows = staging + staged_rows_ * sizeof(uint32_t);
    queue_->send(slot_ids_.data() + place, staging, staged * sizeof(uint32_t));
    queue_->send(slots_.data() + place * row_bytes_, rows, staged * row_bytes_);
    place += staged;
    staged = 0;
  };
  for (RowRun run : order_.runs(number))
    while (run.count > 0) {
      if (staged == staged_rows_) {
        send();
        if (stop.stop_requested()) return;
        staging = queue_->stage();
      }
      const uint32_t taken = stage(run, staging, staged);
      run = {run.first + taken, run.count - taken};
      staged += taken;
    }
  send();
  queue_->commit(slot_of(number));
}

/// Copies the leading rows of `run` that are also contiguous in the file, up to the free space, to
/// the staging buffer after the `staged` rows. Returns their number.
uint32_t StreamedRows::stage(const RowRun& run, std::byte* staging, size_t staged) const {
  const uint32_t first = row_of(run.first);
  const auto most = static_cast<uint32_t>(std::min<size_t>(run.count, staged_rows_ - staged));
  auto* ids = reinterpret_cast<uint32_t*>(staging) + staged;
  uint32_t taken = 0;
  do ids[taken] = first + taken;
  while (++taken < most && row_of(run.first + taken) == first + taken);
  std::memcpy(staging + staged_rows_ * sizeof(uint32_t) + staged * row_bytes_,
              source_ + first * row_bytes_, taken * row_bytes_);
  return taken;
}

}  // namespace elbo

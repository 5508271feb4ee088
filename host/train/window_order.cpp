#include "host/train/window_order.hpp"

#include <algorithm>

#include "kernels/math/permutation.hpp"
#include "kernels/math/philox.hpp"

namespace elbo {
namespace {

/// Returns the number of rows in a segment. A window has at least 16 segments, so that its rows
/// come from all parts of the split. A large window has segments of 256 rows, which are read at
/// once.
uint32_t segment_rows(uint32_t window) {
  constexpr uint32_t kMostRows = 256, kLeastSegments = 16;
  return std::clamp(window / kLeastSegments, 1u, kMostRows);
}

/// The segments of an epoch in random order, as a sequence of rows. The remaining rows of the
/// split, too few for a segment, are inserted at a random position between segments.
class SegmentOrder {
 public:
  SegmentOrder(const math::Windows& windows, uint64_t seed, uint64_t epoch)
      : rows_(segment_rows(windows.length)),
        whole_(windows.rows / rows_),
        rest_(windows.rows % rows_),
        order_(whole_, seed, key(2 * epoch)),
        rest_position_(math::Permutation(whole_ + 1, seed, key(2 * epoch + 1))(0) * rows_) {}

  /// Returns the rows from `position` on that are also contiguous in the split.
  RowRun at(uint32_t position) const {
    if (position >= rest_position_) {
      const uint32_t place = position - rest_position_;
      if (place < rest_) return {whole_ * rows_ + place, rest_ - place};
      position -= rest_;
    }
    const uint32_t place = position % rows_;
    return {order_(position / rows_) * rows_ + place, rows_ - place};
  }

 private:
  static uint64_t key(uint64_t draw) {
    return math::noise_subsequence(math::NoiseStream::shuffle, draw);
  }

  uint32_t rows_, whole_, rest_;
  math::Permutation order_;
  uint32_t rest_position_;
};

}  // namespace

std::vector<RowRun> WindowOrder::runs(uint64_t number) const {
  const uint64_t epoch = number / windows_.per_epoch();
  const auto place = static_cast<uint32_t>(number % windows_.per_epoch());
  const math::Window window = windows_.at(epoch, place * windows_.length);
  if (!shuffle_) return {{window.first, window.rows}};

  const SegmentOrder order(windows_, seed_, epoch);
  std::vector<RowRun> pieces;
  for (uint32_t done = 0; done < window.rows; done += pieces.back().count) {
    RowRun piece = order.at(window.first + done);
    piece.count = std::min(piece.count, window.rows - done);
    pieces.push_back(piece);
  }
  std::ranges::sort(pieces, {}, &RowRun::first);
  std::vector<RowRun> runs;
  for (const RowRun& piece : pieces)
    if (!runs.empty() && runs.back().first + runs.back().count == piece.first)
      runs.back().count += piece.count;
    else
      runs.push_back(piece);
  return runs;
}

}  // namespace elbo

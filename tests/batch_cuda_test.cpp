// The CUDA execution of GatherBatch is bitwise equal to the CPU's in every view, corruption and
// format.
#include "kernels/batch.hpp"

#include <cstdint>

#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

struct Gathered {
  std::vector<float> x;
  std::vector<uint32_t> row_ids;
};

template <class Stored>
Gathered gather(const std::shared_ptr<Device>& device, const BatchShape& shape, GatherBatch op,
                const std::vector<Stored>& rows, const std::vector<uint32_t>& index) {
  Workspace w(device, shape.shifted);
  op.rows = w.put(rows);
  op.columns = shape.columns;
  op.batch = {w.put(std::vector{shape.state()}), shape.capacity, 1};
  if (!index.empty()) op.index = w.put(index);
  op.x = w.output<float>(shape.inputs() * shape.width());
  op.row_ids = w.output<uint32_t>(shape.inputs());
  w.run({op});
  return {w.get(op.x, shape.inputs() * shape.width()), w.get(op.row_ids, shape.inputs())};
}

class CudaBatch : public CudaTest {
 protected:
  /// Compares every view and format, with the image layout and augmentation of `settings`.
  void expect_equal_batches(const BatchShape& shape, const GatherBatch& settings = {}) const {
    // The data set has twice as many rows as the split; every other row is in the split.
    const auto count = static_cast<uint32_t>(shape.capacity + 6);
    const size_t stored = 2 * count * shape.width();
    std::vector<uint32_t> index;
    for (uint32_t i = 0; i < count; ++i) index.push_back(2 * i + 1);
    const std::vector<float> f32 = uniform_floats(stored, 0.0f, 1.0f, 1);
    const std::vector<double> f64(f32.begin(), f32.end());
    std::vector<uint8_t> u8;
    for (const float value : f32) u8.push_back(static_cast<uint8_t>(value * 256.0f));

    for (const DataView view :
         {DataView::raw, DataView::dequantized, DataView::binarized, DataView::binarized_fixed})
      for (const DType dtype : {DType::u8, DType::f32, DType::f64}) {
        GatherBatch op = settings;
        op.dtype = dtype;
        op.view = view;
        op.count = count;
        op.seed = 77;
        op.shuffle = dtype != DType::f32;
        const std::vector<uint32_t> given = dtype == DType::f64 ? std::vector<uint32_t>() : index;
        const auto run = [&](const std::shared_ptr<Device>& device) {
          if (dtype == DType::u8) return gather(device, shape, op, u8, given);
          if (dtype == DType::f32) return gather(device, shape, op, f32, given);
          return gather(device, shape, op, f64, given);
        };
        const Gathered got = run(cuda_), want = run(cpu_);
        EXPECT_TRUE(same_bits(got.x, want.x)) << shape << ' ' << name_of(dtype);
        EXPECT_TRUE(same_bits(got.row_ids, want.row_ids)) << shape << ' ' << name_of(dtype);
        EXPECT_TRUE(zero_behind(got.x, shape.active_rows() * shape.width())) << shape;
      }
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaBatch);

TEST_P(CudaBatch, GatherBatch) {
  for (BatchShape shape : batch_shapes(kSizes)) {
    if (shape.samples != 1 && shape.shifted == 0) continue;
    shape.samples = 1;
    expect_equal_batches(shape);
  }
}

// Interleaved and planar images, of whole and partial quads, narrower and wider than the chunk that
// a thread or a loop processes at a time.
TEST_P(CudaBatch, GatherBatchOfAugmentedPictures) {
  const math::PictureLayout pictures[] = {
      {8, 6, 1, 6, 1, 48}, {5, 7, 3, 21, 3, 1}, {5, 7, 3, 7, 1, 35}, {3, 150, 1, 150, 1, 450}};
  for (const math::PictureLayout& picture : pictures)
    for (const math::Augmentation& augmentation :
         {math::Augmentation{true, 0}, math::Augmentation{false, 2}, math::Augmentation{true, 1}})
      for (const int shifted : {0, 1, 2}) {
        SCOPED_TRACE(testing::Message() << "flip " << augmentation.flip << ", shift "
                                        << augmentation.shift << ", step_c " << picture.step_c);
        GatherBatch op;
        op.picture = picture;
        op.augmentation = augmentation;
        expect_equal_batches({5, 4, picture.height * picture.width * picture.channels, 1, shifted},
                             op);
      }
}

// The last batch of the first and of the last window of an epoch, in both slots.
TEST_P(CudaBatch, GatherBatchFromWindows) {
  constexpr uint32_t kCount = 27, kWindow = 12, kColumns = 33;
  constexpr int32_t kBatch = 4;
  std::vector<uint8_t> rows;
  for (const float value : uniform_floats(2 * kWindow * kColumns, 0.0f, 256.0f, 1))
    rows.push_back(static_cast<uint8_t>(value));
  std::vector<uint32_t> ids;
  for (uint32_t index = 0; index < 2 * kWindow; ++index) ids.push_back(1000 - 7 * index);

  for (const uint64_t epoch : {6u, 7u})
    for (const uint32_t first_row : {8u, 24u})
      for (const bool shuffle : {true, false}) {
        const int32_t active = first_row == 24 ? 3 : kBatch;
        const auto run = [&](const std::shared_ptr<Device>& device) {
          Workspace w(device);
          GatherBatch op;
          op.rows = w.put(rows);
          op.index = w.put(ids);
          op.count = kCount;
          op.window = kWindow;
          op.columns = kColumns;
          op.shuffle = shuffle;
          op.view = DataView::dequantized;
          op.seed = 77;
          const StepState state = {
              .step = 7, .epoch = epoch, .first_row = first_row, .rows = active};
          op.batch = {w.put(std::vector{state}), kBatch, 1};
          op.x = w.output<float>(kBatch * kColumns);
          op.row_ids = w.output<uint32_t>(kBatch);
          w.run({op});
          return Gathered{w.get(op.x, kBatch * kColumns), w.get(op.row_ids, kBatch)};
        };
        const Gathered got = run(cuda_), want = run(cpu_);
        EXPECT_TRUE(same_bits(got.x, want.x)) << epoch << ' ' << first_row;
        EXPECT_TRUE(same_bits(got.row_ids, want.row_ids)) << epoch << ' ' << first_row;
        // An epoch has three windows. Windows 18 and 20 (epoch 6) are in slot 0, windows 21 and 23
        // (epoch 7) in slot 1.
        const uint32_t slot = epoch == 6 ? 0 : kWindow, window = first_row == 24 ? 3 : kWindow;
        for (int32_t i = 0; i < active; ++i) {
          const uint32_t index = (1000 - got.row_ids[static_cast<size_t>(i)]) / 7;
          EXPECT_GE(index, slot);
          EXPECT_LT(index, slot + window);
          if (shuffle) continue;
          EXPECT_EQ(index, slot + first_row % kWindow + static_cast<uint32_t>(i));
        }
      }
}

// The network input that is stored besides x: corrupted, in bfloat16, or both. The CPU supports
// only float inputs; bfloat16 must be their rounding.
TEST_P(CudaBatch, GatherBatchWithAnInput) {
  struct Result {
    std::vector<float> x, input;
  };
  math::Corruptions::for_each([&](auto corruption) {
    using C = decltype(corruption);
    for (BatchShape shape : batch_shapes(kSizes)) {
      if (shape.samples != 1 && shape.shifted == 0) continue;
      shape.samples = 1;
      const auto count = static_cast<uint32_t>(shape.capacity + 6);
      std::vector<uint8_t> rows;
      for (const float value : uniform_floats(count * shape.width(), 0.0f, 256.0f, 1))
        rows.push_back(static_cast<uint8_t>(value));
      const auto run = [&](const std::shared_ptr<Device>& device, Format format) {
        Workspace w(device, shape.shifted);
        GatherBatch op;
        op.rows = w.put(rows);
        op.count = count;
        op.columns = shape.columns;
        op.shuffle = true;
        op.view = DataView::dequantized;
        op.seed = 77;
        op.corruption = math::Corruption::of<C>();
        op.corruption_level = 0.3f;
        op.batch = shape.put_rows(w);
        op.x = w.output<float>(shape.elements());
        op.row_ids = w.output<uint32_t>(shape.inputs());
        if (format == Format::f32)
          op.input = w.output<float>(shape.elements());
        else
          op.input = w.output<math::Bfloat16>(shape.elements());
        w.run({op});
        Result result = {w.get(op.x, shape.elements()), {}};
        if (format == Format::f32)
          result.input = w.get(op.input.f32(), shape.elements());
        else
          result.input = widened(w.get(op.input.as<math::Bfloat16>(), shape.elements()));
        return result;
      };
      SCOPED_TRACE(testing::Message() << C::name << ", " << shape);
      const Result want = run(cpu_, Format::f32), got = run(cuda_, Format::f32);
      EXPECT_TRUE(same_bits(got.x, want.x));
      EXPECT_TRUE(same_bits(got.input, want.input));
      EXPECT_TRUE(zero_behind(got.input, shape.active_elements()));
      if (!kReadsBfloat16) continue;
      EXPECT_TRUE(same_bits(run(cuda_, Format::bf16).input, widened(rounded(want.input))));
    }
  });
}

}  // namespace
}  // namespace elbo

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/noise.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const GatherBatch& op) { return element_rows(op.batch.capacity(), op.columns); }

/// The factor that maps stored values to [0, 1].
template <class Stored>
constexpr float kUnit = std::is_same_v<Stored, uint8_t> ? 1.0f / 255.0f : 1.0f;

/// Stored values of a flipped and shifted picture.
template <class Stored>
void displace(const math::PictureLayout& p, const math::Displacement& displacement,
              const Stored* in, float* out) {
  constexpr int32_t kSlice = 64;  // pixels of a line
  int32_t source[kSlice];
  for (int32_t first = 0; first < p.width; first += kSlice) {
    const int32_t count = std::min(kSlice, p.width - first);
    for (int32_t x = 0; x < count; ++x)
      source[x] = displacement.source_x(first + x, p.width) * p.step_x;
    for (int32_t y = 0; y < p.height; ++y)
      for (int32_t c = 0; c < p.channels; ++c) {
        const Stored* from = in + displacement.source_y(y, p.height) * p.step_y + c * p.step_c;
        float* to = out + y * p.step_y + first * p.step_x + c * p.step_c;
        for (int32_t x = 0; x < count; ++x) to[x * p.step_x] = static_cast<float>(from[source[x]]);
      }
  }
}

// `in` and `x` do not overlap, or are the same: no element depends on another.
template <class Stored>
void view_raw(const Stored* in, float unit, int columns, float* x) {
#pragma omp simd
  for (int c = 0; c < columns; ++c) x[c] = static_cast<float>(in[c]) * unit;
}

template <class Stored>
void view_noisy(const GatherBatch& op, const Stored* in, float unit, uint32_t row, uint64_t step,
                float* x) {
  const bool dequantize = op.view == DataView::dequantized;
  if (op.view == DataView::binarized_fixed) step = 0;
  const uint64_t subsequence = math::noise_subsequence(
      dequantize ? math::NoiseStream::dequantize : math::NoiseStream::binarize, step);
  for (int first = 0; first < op.columns; first += kNoiseColumns) {
    const int columns = std::min(kNoiseColumns, op.columns - first);
    alignas(64) uint32_t noise[kNoiseColumns];
    bits(op.seed, subsequence, math::noise_group(row, static_cast<uint32_t>(first) / 4),
         groups_for(columns), noise);
    const Stored* v = in + first;
    float* out = x + first;
    if (dequantize) {
#pragma omp simd
      for (int c = 0; c < columns; ++c)
        out[c] = (static_cast<float>(v[c]) + math::uniform(noise[c])) * (1.0f / 256.0f);
    } else {
#pragma omp simd
      for (int c = 0; c < columns; ++c)
        out[c] = math::uniform(noise[c]) < static_cast<float>(v[c]) * unit ? 1.0f : 0.0f;
    }
  }
}

template <class Stored>
void view(const GatherBatch& op, const Stored* in, float unit, uint32_t row, uint64_t step,
          float* x) {
  if (op.view == DataView::raw)
    view_raw(in, unit, op.columns, x);
  else
    view_noisy(op, in, unit, row, step, x);
}

/// Writes the input of the network for one row x.
void corrupt(const GatherBatch& op, uint32_t row, uint64_t step, const float* x, float* input) {
  op.corruption.visit([&](auto corruption) {
    using Corruption = decltype(corruption);
    const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::corrupt, step);
    for (int first = 0; first < op.columns; first += kNoiseColumns) {
      const int columns = std::min(kNoiseColumns, op.columns - first);
      const uint64_t group = math::noise_group(row, static_cast<uint32_t>(first) / 4);
      alignas(64) float noise[kNoiseColumns] = {};
      if constexpr (Corruption::noise == math::CorruptionNoise::normal)
        normals(op.seed, subsequence, group, groups_for(columns), noise);
      if constexpr (Corruption::noise == math::CorruptionNoise::uniform) {
        alignas(64) uint32_t drawn[kNoiseColumns];
        bits(op.seed, subsequence, group, groups_for(columns), drawn);
        for (int c = 0; c < columns; ++c) noise[c] = math::uniform(drawn[c]);
      }
#pragma omp simd
      for (int c = 0; c < columns; ++c)
        input[first + c] = Corruption::corrupt(x[first + c], noise[c], op.corruption_level);
    }
  });
}

template <class Stored>
void gather_rows(const GatherBatch& op, Range range) {
  const StepState& state = *op.batch.state;
  const BatchOrder order(op, state);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const BatchRow row = order(static_cast<uint32_t>(i));
    const Stored* in =
        static_cast<const Stored*>(op.rows) + static_cast<int64_t>(row.place) * op.columns;
    float* x = op.x + i * op.columns;
    op.row_ids[i] = row.id;
    if (op.augmentation.any()) {
      displace(op.picture, math::draw_displacement(op.augmentation, op.seed, state.step, row.id),
               in, x);
      view(op, x, kUnit<Stored>, row.id, state.step, x);
    } else {
      view(op, in, kUnit<Stored>, row.id, state.step, x);
    }
    if (op.input) corrupt(op, row.id, state.step, x, op.input.f32() + i * op.columns);
  }
}

}  // namespace

int tasks(const GatherBatch& op) { return partition(op).tasks(); }

void run(const GatherBatch& op, int task) {
  const Range active = partition(op).range(task, op.batch.active());
  const Range all = partition(op).range(task);
  switch (op.dtype) {
    case DType::u8:
      gather_rows<uint8_t>(op, active);
      break;
    case DType::f32:
      gather_rows<float>(op, active);
      break;
    case DType::f64:
      gather_rows<double>(op, active);
      break;
  }
  std::fill(op.x + active.end * op.columns, op.x + all.end * op.columns, 0.0f);
  if (op.input)
    std::fill(op.input.f32() + active.end * op.columns, op.input.f32() + all.end * op.columns,
              0.0f);
  std::fill(op.row_ids + active.end, op.row_ids + all.end, 0u);
}

}  // namespace elbo::cpu::ELBO_CPU_ISA

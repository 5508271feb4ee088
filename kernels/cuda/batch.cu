#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// Applies the op's data view to a quad of stored values, which `unit` scales to [0, 1].
ELBO_DEVICE math::Float4 view_of(const GatherBatch& op, math::Float4 stored, float unit,
                                 uint32_t row, uint32_t quad, uint64_t step) {
  math::Float4 x;
  if (op.view == DataView::raw) {
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) x.value[i] = stored.value[i] * unit;
    return x;
  }
  const bool dequantize = op.view == DataView::dequantized;
  const uint64_t subsequence = math::noise_subsequence(
      dequantize ? math::NoiseStream::dequantize : math::NoiseStream::binarize,
      op.view == DataView::binarized_fixed ? 0 : step);
  const math::Bits4 noise = math::philox4x32(op.seed, subsequence, math::noise_group(row, quad));
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i) {
    const float u = math::uniform(noise.value[i]);
    x.value[i] = dequantize ? (stored.value[i] + u) * (1.0f / 256.0f)
                            : (u < stored.value[i] * unit ? 1.0f : 0.0f);
  }
  return x;
}

/// The network's input for a quad of a row.
ELBO_DEVICE math::Float4 input_of(const GatherBatch& op, const math::Float4& x, uint32_t row,
                                  uint32_t quad, uint64_t step) {
  math::Float4 input = x;
  op.corruption.visit([&](auto corruption) {
    using Corruption = decltype(corruption);
    const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::corrupt, step);
    const uint64_t group = math::noise_group(row, quad);
    math::Float4 noise = {};
    if constexpr (Corruption::noise == math::CorruptionNoise::normal)
      noise = math::normal4(op.seed, subsequence, group);
    if constexpr (Corruption::noise == math::CorruptionNoise::uniform) {
      const math::Bits4 bits = math::philox4x32(op.seed, subsequence, group);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) noise.value[i] = math::uniform(bits.value[i]);
    }
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      input.value[i] = Corruption::corrupt(x.value[i], noise.value[i], op.corruption_level);
  });
  return input;
}

/// The stored values of a quad of a row that starts at `in`.
template <bool kVector, class Stored>
ELBO_DEVICE math::Float4 stored_quad(const GatherBatch& op, const Stored* in,
                                     const math::Displacement& displacement, int32_t c) {
  const int32_t left = op.columns - c;
  if (!op.augmentation.any()) return load_quad<kVector>(in + c, left);
  math::Float4 quad;
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i)
    quad.value[i] = i < left ? stored_to_float(in[displacement.source(c + i, op.picture)]) : 0.0f;
  return quad;
}

/// A row per block.
template <class Stored, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) gather_batch_kernel(GatherBatch op) {
  wait_for_previous_kernel();
  constexpr float kUnit = std::is_same_v<Stored, uint8_t> ? 1.0f / 255.0f : 1.0f;
  const StepState& state = *op.batch.state;
  const int32_t i = static_cast<int32_t>(blockIdx.x);
  const bool active = i < op.batch.active();
  const BatchRow row = active ? BatchOrder(op, state)(blockIdx.x) : BatchRow();
  if (threadIdx.x == 0) op.row_ids[i] = row.id;
  const Stored* in = static_cast<const Stored*>(op.rows) + int64_t{row.place} * op.columns;
  math::Displacement displacement;
  if (op.augmentation.any())
    displacement = math::draw_displacement(op.augmentation, op.seed, state.step, row.id);
  float* x = op.x + int64_t{i} * op.columns;
  for (int32_t c = kQuad * threadIdx.x; c < op.columns; c += kQuad * blockDim.x) {
    const int32_t left = op.columns - c;
    const auto quad = static_cast<uint32_t>(c) / kQuad;
    math::Float4 seen = {}, input = {};
    if (active)
      seen = view_of(op, stored_quad<kVector>(op, in, displacement, c), kUnit, row.id, quad,
                     state.step);
    store_quad<kVector>(x + c, left, seen);
    if (!op.input) continue;
    if (active) input = input_of(op, seen, row.id, quad, state.step);
    store_quad<kVector>(op.input, int64_t{i} * op.columns + c, left, input);
  }
}

template <class Stored>
void launch_gather_batch(const GatherBatch& op, const Queue& queue) {
  with_vector_access({op.rows, op.x, op.input.data}, {op.columns}, [&](auto vector) {
    launch_rows(gather_batch_kernel<Stored, decltype(vector)::value>, op.batch.capacity(),
                op.columns, queue.stream, op);
  });
}

void launch_op(const GatherBatch& op, const Queue& queue) {
  switch (op.dtype) {
    case DType::u8:
      return launch_gather_batch<uint8_t>(op, queue);
    case DType::f32:
      return launch_gather_batch<float>(op, queue);
    case DType::f64:
      return launch_gather_batch<double>(op, queue);
  }
}

}  // namespace elbo::cuda

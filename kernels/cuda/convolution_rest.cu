// The remainder of a convolution op after its product.
#include "kernels/cuda/channel_threads.cuh"
#include "kernels/cuda/convolution.cuh"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/library.hpp"

namespace elbo::cuda {

/// Sums of channels over each slice of rows: out[slice * stride + channel].
struct ChannelSumArgs {
  ConstReals x;  // [rows, channels]
  int64_t rows;
  int32_t channels;
  int64_t slice_rows;
  float* out;
  int64_t stride;
  bool accumulate;  // add to the previous content
};

inline constexpr int32_t kSummedChannels = 128;  // by one block: a warp of quads

/// One slice and some of the channels per block.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) channel_sum_kernel(ChannelSumArgs args) {
  ELBO_SHARED(math::Float4, partial, kItemThreads);
  wait_for_previous_kernel();
  const int32_t first = static_cast<int32_t>(blockIdx.y) * kSummedChannels;
  const int32_t here =
      args.channels - first < kSummedChannels ? args.channels - first : kSummedChannels;
  const ChannelThreads threads((here + kQuad - 1) / kQuad);
  const int32_t channel = first + kQuad * threads.quad, left = args.channels - channel;
  const int64_t begin = int64_t{blockIdx.x} * args.slice_rows;
  const int64_t end = begin + args.slice_rows < args.rows ? begin + args.slice_rows : args.rows;
  math::Float4 sum = {};
  for (int64_t r = begin + threads.place; threads.works() && r < end; r += threads.deep) {
    const math::Float4 x = load_quad<kVector>(args.x, r * args.channels + channel, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) sum.value[i] += x.value[i];
  }
  sum = threads.total(sum, partial);
  if (threads.place != 0) return;
  float* out = args.out + int64_t{blockIdx.x} * args.stride + channel;
  for (int i = 0; i < kQuad && i < left; ++i)
    out[i] = args.accumulate ? out[i] + sum.value[i] : sum.value[i];
}

struct SliceSumArgs {
  SlicedSum one, other;
  bool accumulate;  // add to the previous content
};

ELBO_DEVICE void add_slices(const SlicedSum& list, int64_t i, bool accumulate) {
  if (i >= list.count) return;
  float sum = list.partial[i];
  for (int32_t s = 1; s < list.slices; ++s) sum += list.partial[s * list.stride + i];
  list.out[i] = accumulate ? list.out[i] + sum : sum;
}

/// One element per thread. The elements of the second sum follow the elements of the first.
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) slice_sum_kernel(SliceSumArgs args) {
  wait_for_previous_kernel();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < args.one.count)
    add_slices(args.one, i, args.accumulate);
  else
    add_slices(args.other, i - args.one.count, args.accumulate);
}

void add_slices(const SlicedSum& one, const SlicedSum& other, bool accumulate, Stream stream) {
  constexpr int64_t kPerBlock = kItemThreads;
  launch_items(slice_sum_kernel, one.count + other.count, kPerBlock, stream,
               {one, other, accumulate});
}

namespace {

/// Returns a number of slices up to `most`, such that none is too short to be worth its partial
/// sums.
int64_t worthwhile(int64_t length, int64_t least_length, int64_t most) {
  return std::clamp<int64_t>(length / least_length, 1, most);
}

/// Returns the length of a slice, a positive multiple of `unit`, for at most `count` slices.
int64_t slice_length(int64_t length, int64_t count, int64_t unit) {
  const int64_t units = (length + count * unit - 1) / (count * unit);
  return std::max<int64_t>(1, units) * unit;
}
int32_t slices_of_length(int64_t length, int64_t slice) {
  return static_cast<int32_t>(std::max<int64_t>(1, (length + slice - 1) / slice));
}

int64_t pixels_of(const ConvolutionBackwardWeights& op, const FeatureMap& map) {
  return int64_t{op.rows.capacity()} * map.pixels();
}

}  // namespace

GradientSlices::GradientSlices(const ConvolutionBackwardWeights& op) {
  constexpr int64_t kLeastPixels = 512, kTile = 64, kBlocks = 264, kBiasBlocks = 256;
  const ConvolutionShape& s = op.shape;
  const int64_t rows = s.narrow.channels / s.groups;
  const int64_t columns = int64_t{s.kernel} * s.kernel * (s.wide.channels / s.groups);
  const int64_t tiles = (rows + kTile - 1) / kTile * ((columns + kTile - 1) / kTile) * s.groups;
  const int64_t pixels = pixels_of(op, s.narrow);
  depth = static_cast<int32_t>(slice_length(
      pixels, worthwhile(pixels, kLeastPixels, std::max<int64_t>(1, kBlocks / tiles)), kAlignment));
  count = slices_of_length(pixels, depth);
  const auto whole_quads = [](int64_t floats) { return kQuad * quads_in(floats); };
  stride = whole_quads(s.weights() + s.narrow.channels);
  const int64_t bias_pixels = pixels_of(op, op.out());
  bias_rows = slice_length(bias_pixels, worthwhile(bias_pixels, kLeastPixels, kBiasBlocks), 1);
  bias_count = slices_of_length(bias_pixels, bias_rows);
  bias_stride = whole_quads(op.out().channels);
}

size_t scratch_bytes(const ConvolutionBackwardWeights& op) {
  return static_cast<size_t>(GradientSlices(op).floats()) * sizeof(float);
}

SlicedSum sum_bias_gradient(const ConvolutionBackwardWeights& op, const Queue& queue) {
  const GradientSlices slices(op);
  const int32_t channels = op.out().channels;
  const bool whole = slices.bias_count == 1;
  float* partial = static_cast<float*>(queue.scratch) + slices.product_floats();
  const dim3 grid(static_cast<unsigned>(slices.bias_count),
                  static_cast<unsigned>((channels + kSummedChannels - 1) / kSummedChannels));
  const ChannelSumArgs args = {op.grad_y,
                               pixels_of(op, op.out()),
                               channels,
                               slices.bias_rows,
                               whole ? op.grad_bias : partial,
                               slices.bias_stride,
                               whole && op.accumulate};
  with_vector_access({op.grad_y.data}, {channels}, [&](auto vector) {
    launch(channel_sum_kernel<decltype(vector)::value>, grid, kItemThreads, 0, queue.stream, args);
  });
  if (whole) return {};
  return {partial, slices.bias_count, slices.bias_stride, channels, op.grad_bias};
}

/// A product stored in op.y or op.grad_x, as quads of pixels' channels.
template <class Op>
struct FinishArgs {
  Op op;
  Division quads;    // of a pixel
  int32_t channels;  // of the result
  int32_t count;     // quads
};

ELBO_HD const Reals& result_of(const ConvolutionForward& op) { return op.y; }
ELBO_HD const Reals& result_of(const ConvolutionBackwardInput& op) { return op.grad_x; }

template <class Op, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) finish_convolution_kernel(FinishArgs<Op> args) {
  wait_for_previous_kernel();
  const auto item = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  if (item >= args.count) return;
  const Divided quad(item, args.quads);
  const int32_t channel = kQuad * quad.remainder, left = args.channels - channel;
  const int64_t place = int64_t{quad.quotient} * args.channels + channel;
  finish_quad<kVector>(args.op, place, channel, left,
                       load_quad<kVector>(result_of(args.op), place, left));
}

namespace {

template <class Op>
void finish_convolution(const Op& op, const FeatureMap& map, Stream stream) {
  const int64_t quads = quads_in(map.channels);
  const int64_t count = int64_t{op.rows.capacity()} * map.pixels() * quads;
  ELBO_ASSERT(count < INT32_MAX);
  const auto args = FinishArgs<Op>{op, Division(static_cast<int32_t>(quads)), map.channels,
                                   static_cast<int32_t>(count)};
  if (has_vector_result(op, map.channels))
    launch_items(finish_convolution_kernel<Op, true>, count, kItemThreads, stream, args);
  else
    launch_items(finish_convolution_kernel<Op, false>, count, kItemThreads, stream, args);
}

}  // namespace

void finish_library_product(const ConvolutionForward& op, const Queue& queue) {
  finish_convolution(op, op.out(), queue.stream);
}
void finish_library_product(const ConvolutionBackwardInput& op, const Queue& queue) {
  if (op.saved) finish_convolution(op, op.in(), queue.stream);
}
void finish_library_product(const ConvolutionBackwardWeights& op, const Queue& queue) {
  add_slices(sum_bias_gradient(op, queue), {}, op.accumulate, queue.stream);
}

}  // namespace elbo::cuda

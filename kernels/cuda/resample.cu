// Resampling, one quad of an output pixel's channels per thread. A thread gathers its inputs. A
// fine output pixel has the weights of its coarse inputs; a coarse output pixel looks up its weight
// in each fine pixel in range.
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

struct ResampleArgs {
  FeatureMap coarse, fine;
  int32_t factor;
  ConstReals from;
  Reals to;
  math::Activation activation;
  ConstReals saved;               // like `to`, or null
  int32_t count;                  // quads of `to`
  Division quads, pixels, width;  // of a pixel; of `to`
};

/// The quad's channels of one pixel of `from`.
struct ResampleSource {
  const ConstReals& numbers;
  const FeatureMap& map;
  int64_t first;
  int32_t left;

  /// sum += weight * pixel (y, x)
  template <bool kVector>
  ELBO_DEVICE void add_to(math::Float4& sum, int32_t y, int32_t x, float weight) const {
    if (weight == 0.0f) return;
    const math::Float4 value =
        load_quad<kVector>(numbers, first + int64_t{y * map.width + x} * map.channels, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) sum.value[i] = math::fma(weight, value.value[i], sum.value[i]);
  }
};

/// The value of pixel (y, x) of the fine grid.
template <class R, bool kVector>
ELBO_DEVICE math::Float4 spread(const ResampleArgs& args, const ResampleSource& from, int32_t y,
                                int32_t x) {
  const auto v = R::template taps<float>(y, args.factor, args.coarse.height);
  const auto h = R::template taps<float>(x, args.factor, args.coarse.width);
  math::Float4 sum = {};
  from.add_to<kVector>(sum, v.first, h.first, v.first_weight * h.first_weight);
  from.add_to<kVector>(sum, v.first, h.second, v.first_weight * h.second_weight);
  from.add_to<kVector>(sum, v.second, h.first, v.second_weight * h.first_weight);
  from.add_to<kVector>(sum, v.second, h.second, v.second_weight * h.second_weight);
  return sum;
}

/// Range of fine indices that may contribute to a coarse index, in one direction.
struct Givers {
  int32_t begin, end;

  template <class R>
  ELBO_DEVICE static Givers of(int32_t place, int32_t factor, int32_t size) {
    const int32_t begin = factor * place - R::reach(factor);
    const int32_t end = factor * (place + 1) + R::reach(factor);
    return {begin > 0 ? begin : 0, end < size ? end : size};
  }
};

/// Returns the weight between a fine index and a coarse one.
template <class R>
ELBO_DEVICE float share(int32_t fine, int32_t place, int32_t factor, int32_t size) {
  const auto taps = R::template taps<float>(fine, factor, size);
  return (taps.first == place ? taps.first_weight : 0.0f) +
         (taps.second == place ? taps.second_weight : 0.0f);
}

/// The value of pixel (y, x) of the coarse grid, summed in the order of the fine grid's pixels.
template <class R, bool kVector>
ELBO_DEVICE math::Float4 collect(const ResampleArgs& args, const ResampleSource& from, int32_t y,
                                 int32_t x) {
  const Givers rows = Givers::of<R>(y, args.factor, args.fine.height);
  const Givers columns = Givers::of<R>(x, args.factor, args.fine.width);
  math::Float4 sum = {};
  for (int32_t fy = rows.begin; fy < rows.end; ++fy) {
    const float vertical = share<R>(fy, y, args.factor, args.coarse.height);
    if (vertical == 0.0f) continue;
    for (int32_t fx = columns.begin; fx < columns.end; ++fx)
      from.add_to<kVector>(sum, fy, fx, vertical * share<R>(fx, x, args.factor, args.coarse.width));
  }
  return sum;
}

template <class R, bool kToFine, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) resample_kernel(ResampleArgs args) {
  wait_for_previous_kernel();
  const auto item = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  if (item >= args.count) return;
  const Divided quad(item, args.quads);
  const Divided pixel(quad.quotient, args.pixels);
  const Divided place(pixel.remainder, args.width);
  const int32_t channels = args.coarse.channels, channel = kQuad * quad.remainder;
  const FeatureMap& map = kToFine ? args.coarse : args.fine;
  const ResampleSource from = {args.from, map, int64_t{pixel.quotient} * map.size() + channel,
                               channels - channel};
  math::Float4 sum = kToFine ? spread<R, kVector>(args, from, place.quotient, place.remainder)
                             : collect<R, kVector>(args, from, place.quotient, place.remainder);
  const int64_t out = int64_t{quad.quotient} * channels + channel;
  if (args.saved) {
    const math::Float4 saved = load_quad<kVector>(args.saved, out, from.left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      sum.value[i] *= math::activation_derivative(args.activation, saved.value[i]);
  }
  store_quad<kVector>(args.to, out, from.left, sum);
}

namespace {

/// R x, or R^T x if `transposed`.
template <class Op>
void launch_resample(const Op& op, const ResampleArgs& data, bool transposed, Stream stream) {
  const ResampleShape& s = op.shape;
  ELBO_ASSERT(s.coarse.channels == s.fine.channels);
  const bool to_fine = s.enlarges() != transposed;
  const FeatureMap& to = to_fine ? s.fine : s.coarse;
  const int64_t quads = quads_in(to.channels);
  const int64_t count = int64_t{op.rows.capacity()} * to.pixels() * quads;
  ELBO_ASSERT(count < INT32_MAX);
  ResampleArgs args = data;
  args.coarse = s.coarse;
  args.fine = s.fine;
  args.factor = s.factor;
  args.count = static_cast<int32_t>(count);
  args.quads = Division(static_cast<int32_t>(quads));
  args.pixels = Division(to.pixels());
  args.width = Division(to.width);
  s.resampling.visit([&](auto resampling) {
    using R = decltype(resampling);
    with_vector_access(
        {args.from.data, args.to.data, args.saved.data}, {to.channels}, [&](auto vector) {
          constexpr bool kVector = decltype(vector)::value;
          launch_items(
              to_fine ? resample_kernel<R, true, kVector> : resample_kernel<R, false, kVector>,
              count, kItemThreads, stream, args);
        });
  });
}

}  // namespace

void launch_op(const ResampleForward& op, const Queue& queue) {
  ResampleArgs data = {};
  data.from = op.x;
  data.to = op.y;
  launch_resample(op, data, false, queue.stream);
}

void launch_op(const ResampleBackward& op, const Queue& queue) {
  ResampleArgs data = {};
  data.from = op.grad_y;
  data.to = op.grad_x;
  data.activation = op.activation;
  data.saved = op.saved;
  launch_resample(op, data, true, queue.stream);
}

}  // namespace elbo::cuda

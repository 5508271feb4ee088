// Convolutions as implicit GEMM (kernels/cuda/product.cuh): the im2col matrix is never stored; its
// elements are gathered on load. Sums on the narrow side compute a convolution, or the input
// gradient of a transposed one; sums on the wide side compute the other two.
#include "kernels/cuda/convolution.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/window.cuh"

namespace elbo::cuda {

ELBO_HD ConstReals source_of(const ConvolutionForward& op) { return op.x; }
ELBO_HD ConstReals source_of(const ConvolutionBackwardInput& op) { return op.grad_y; }

/// A group's channels of an array.
template <class T>
ELBO_DEVICE const T* group_part(const ConstReals& numbers, int64_t elements, int32_t group) {
  return numbers.template as<T>() + elements * group;
}

/// Each pixel of the narrow side gathers from the wide one.
template <class Op>
struct ToNarrow {
  Op op;
  Window window;
  Taps taps;
};

/// Each part is a group of channels.
template <class Op>
struct Product<ToNarrow<Op>> {
  using Sums = ToNarrow<Op>;
  using Args = ProductArgs<Sums>;
  static constexpr bool left_along_depth = true, right_along_depth = true, sums_left = false,
                        right_is_weight = true, few_columns = true;

  struct Part {
    int32_t group;
    ELBO_DEVICE Part(const Sums&, int number) : group(number) {}
  };
  ELBO_HD static int rows(const Sums& s) {
    return s.op.rows.capacity() * s.op.shape.narrow.pixels();
  }
  ELBO_HD static int columns(const Sums& s) { return s.op.shape.narrow.channels / parts(s); }
  ELBO_HD static int parts(const Sums& s) { return s.op.shape.groups; }
  ELBO_DEVICE static DepthRange depth(const Sums& s, const Part&) {
    return {0, s.taps.count * s.window.channels.divisor};
  }

  template <class T>
  ELBO_DEVICE static WindowFactor<T> left(const Args& args, const Part& part) {
    const Sums& s = args.op;
    return {group_part<T>(source_of(s.op), s.window.channels.divisor, part.group), s.window, s.taps,
            rows(s), args.vector_left};
  }
  template <class T>
  ELBO_DEVICE static Factor<T> right(const Args& args, const Part& part) {
    const int32_t line = depth(args.op, part).end, lines = columns(args.op);
    return {group_part<T>(args.op.op.weight, int64_t{lines} * line, part.group), lines, line, line,
            args.vector_right};
  }
  template <bool kVector>
  ELBO_DEVICE static void finish(const Sums& s, const Part& part, int row, int column, int left,
                                 math::Float4 sum) {
    const int32_t channel = part.group * columns(s) + column;
    finish_quad<kVector>(s.op, int64_t{row} * s.op.shape.narrow.channels + channel, channel, left,
                         sum);
  }
};

/// Each pixel of the wide side gathers from the narrow one. Tap k connects it to the narrow pixel
/// (y + padding - k) / stride if that is an integer. Pixels with the same remainder of y + padding,
/// a class, use the same taps, every stride-th from the remainder on, and form a grid of their own.
template <class Op>
struct ToWide {
  Op op;
  Window window;       // its grid has the pixels of the largest class
  Division across[2];  // taps in a row, for classes with fewer and with more
};

/// Each part is a group of channels and a class of pixels.
template <class Op>
struct Product<ToWide<Op>> {
  using Sums = ToWide<Op>;
  using Args = ProductArgs<Sums>;
  static constexpr bool left_along_depth = true, right_along_depth = false, sums_left = false,
                        right_is_weight = true, few_columns = true;

  /// One direction: the pixels of a class, and its taps.
  struct Class {
    int32_t first_pixel, first_tap, taps;

    ELBO_DEVICE Class(const ConvolutionShape& s, int32_t remainder)
        : first_pixel((remainder + s.stride - s.padding % s.stride) % s.stride),
          first_tap(remainder),
          taps(remainder < s.kernel ? (s.kernel - remainder + s.stride - 1) / s.stride : 0) {}
    /// The narrow pixel that the first tap connects to the first pixel.
    ELBO_DEVICE int32_t meets(const ConvolutionShape& s) const {
      return (first_pixel + s.padding - first_tap) / s.stride;
    }
  };
  struct Part {
    int32_t group;
    Class y, x;
    Taps taps;

    ELBO_DEVICE Part(const Sums& s, int number)
        : group(number % s.op.shape.groups),
          y(s.op.shape, number / s.op.shape.groups / s.op.shape.stride),
          x(s.op.shape, number / s.op.shape.groups % s.op.shape.stride),
          taps{y.meets(s.op.shape), x.meets(s.op.shape), y.taps * x.taps,
               s.across[x.taps > s.op.shape.kernel / s.op.shape.stride ? 1 : 0]} {}
  };
  ELBO_HD static int rows(const Sums& s) { return s.op.rows.capacity() * s.window.pixels.divisor; }
  ELBO_HD static int columns(const Sums& s) { return s.op.shape.wide.channels / s.op.shape.groups; }
  ELBO_HD static int parts(const Sums& s) {
    return s.op.shape.groups * s.op.shape.stride * s.op.shape.stride;
  }
  ELBO_DEVICE static DepthRange depth(const Sums& s, const Part& part) {
    return {0, part.taps.count * s.window.channels.divisor};
  }

  template <class T>
  ELBO_DEVICE static WindowFactor<T> left(const Args& args, const Part& part) {
    const Sums& s = args.op;
    return {group_part<T>(source_of(s.op), s.window.channels.divisor, part.group), s.window,
            part.taps, rows(s), args.vector_left};
  }
  template <class T>
  ELBO_DEVICE static TapFactor<T> right(const Args& args, const Part& part) {
    const Sums& s = args.op;
    const int32_t kernel = s.op.shape.kernel, length = columns(s);
    const int64_t group = int64_t{s.window.channels.divisor} * kernel * kernel * length;
    const int64_t first = int64_t{part.y.first_tap * kernel + part.x.first_tap} * length;
    return {group_part<T>(s.op.weight, group, part.group) + first,
            s.window.channels,
            part.taps.across,
            kernel,
            s.op.shape.stride,
            depth(s, part).end,
            length,
            args.vector_right};
  }
  template <bool kVector>
  ELBO_DEVICE static void finish(const Sums& s, const Part& part, int row, int column, int left,
                                 math::Float4 sum) {
    const FeatureMap& map = s.op.shape.wide;
    const Divided pixel(row, s.window.pixels);
    const Divided place(pixel.remainder, s.window.width);
    const int32_t y = part.y.first_pixel + s.op.shape.stride * place.quotient;
    const int32_t x = part.x.first_pixel + s.op.shape.stride * place.remainder;
    if (y >= map.height || x >= map.width) return;  // of a class with fewer pixels
    const int32_t channel = part.group * columns(s) + column;
    const int64_t first =
        int64_t{pixel.quotient} * map.size() + int64_t{y * map.width + x} * map.channels;
    finish_quad<kVector>(s.op, first + channel, channel, left, sum);
  }
};

/// Gradients of the weights: columns of the narrow side times columns of the windows, summed over
/// the narrow side's pixels. If the narrow side is grad_y, its sums are the bias gradient.
struct WeightSums {
  ConvolutionBackwardWeights op;
  ConstReals narrow, wide;
  Window window;
  Taps taps;
  int32_t pixels;       // of the narrow side, in all rows
  int32_t slice_depth;  // pixels in each slice
  int32_t slices;
  float* weight;  // destination of the first slice's sums
  float* bias;    // the same for the bias; null if not requested
  int64_t stride;
  bool accumulate;
};

/// Each part is a group of channels and a slice of the pixels.
template <>
struct Product<WeightSums> {
  using Sums = WeightSums;
  using Args = ProductArgs<Sums>;
  static constexpr bool left_along_depth = false, right_along_depth = false, sums_left = true,
                        right_is_weight = false, few_columns = true;

  struct Part {
    int32_t group, slice;
    ELBO_DEVICE Part(const Sums& s, int number)
        : group(number % s.op.shape.groups), slice(number / s.op.shape.groups) {}
  };
  ELBO_HD static int rows(const Sums& s) { return s.op.shape.narrow.channels / s.op.shape.groups; }
  ELBO_HD static int columns(const Sums& s) { return s.taps.count * s.window.channels.divisor; }
  ELBO_HD static int parts(const Sums& s) { return s.op.shape.groups * s.slices; }
  ELBO_DEVICE static DepthRange depth(const Sums& s, const Part& part) {
    const int32_t begin = part.slice * s.slice_depth, end = begin + s.slice_depth;
    return {begin, end < s.pixels ? end : s.pixels};
  }

  template <class T>
  ELBO_DEVICE static Factor<T> left(const Args& args, const Part& part) {
    const Sums& s = args.op;
    return {group_part<T>(s.narrow, rows(s), part.group), s.pixels, rows(s),
            s.op.shape.narrow.channels, args.vector_left};
  }
  template <class T>
  ELBO_DEVICE static WindowFactor<T> right(const Args& args, const Part& part) {
    const Sums& s = args.op;
    return {group_part<T>(s.wide, s.window.channels.divisor, part.group), s.window, s.taps,
            s.pixels, args.vector_right};
  }
  template <bool kVector>
  ELBO_DEVICE static void finish(const Sums& s, const Part& part, int row, int column, int left,
                                 math::Float4 sum) {
    const int64_t line = int64_t{part.group} * rows(s) + row;
    float* place = s.weight + part.slice * s.stride + line * columns(s) + column;
    if (s.accumulate) {
      const math::Float4 before = load_quad<kVector>(place, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) sum.value[i] += before.value[i];
    }
    store_quad<kVector>(place, left, sum);
  }
  ELBO_DEVICE static void finish_sum(const Sums& s, const Part& part, int row, float sum) {
    if (s.bias == nullptr) return;
    float* place = s.bias + part.slice * s.stride + part.group * rows(s) + row;
    *place = s.accumulate ? *place + sum : sum;
  }
};

namespace {

/// True if a group's channels can be copied 16 bytes at a time.
bool has_vector_factor(const ConstReals& numbers, int32_t channels) {
  return has_vector_access({numbers.data}, {}) &&
         channels % static_cast<int32_t>(16 / numbers.element_bytes()) == 0;
}

/// The windows of the narrow side's pixels on the wide side.
Window wide_window(const ConvolutionShape& s) {
  return {s.wide,
          Division(s.narrow.pixels()),
          Division(s.narrow.width),
          Division(s.wide.channels / s.groups),
          s.stride,
          1};
}
Taps all_taps(const ConvolutionShape& s) {
  return {-s.padding, -s.padding, s.kernel * s.kernel, Division(s.kernel)};
}

template <class Op>
void launch_to_narrow(const Op& op, const Queue& queue) {
  const ConvolutionShape& s = op.shape;
  const int32_t narrow = s.narrow.channels / s.groups, wide = s.wide.channels / s.groups;
  const ProductArgs<ToNarrow<Op>> args = {{op, wide_window(s), all_taps(s)},
                                          has_vector_factor(source_of(op), wide),
                                          has_vector_factor(op.weight, s.kernel * s.kernel * wide),
                                          has_vector_result(op, narrow)};
  launch_product(args, op.weight.format, op.precision, queue);
}

template <class Op>
void launch_to_wide(const Op& op, const Queue& queue) {
  const ConvolutionShape& s = op.shape;
  const int32_t narrow = s.narrow.channels / s.groups, wide = s.wide.channels / s.groups;
  const auto of_class = [&](int32_t size) { return (size + s.stride - 1) / s.stride; };
  const int32_t width = of_class(s.wide.width);
  const Window window = {
      s.narrow, Division(of_class(s.wide.height) * width), Division(width), Division(narrow), 1,
      -1};
  const int32_t fewest = s.kernel / s.stride;
  const ProductArgs<ToWide<Op>> args = {
      {op, window, {Division(std::max(fewest, 1)), Division(fewest + 1)}},
      has_vector_factor(source_of(op), narrow),
      has_vector_factor(op.weight, wide),
      has_vector_result(op, wide)};
  launch_product(args, op.weight.format, op.precision, queue);
}

template <class Op>
void launch_convolution(const Op& op, bool to_wide, const Queue& queue) {
  if (op.rows.capacity() == 0) return;
  ELBO_ASSERT(source_of(op).format == op.weight.format);
  ELBO_ASSERT(int64_t{op.rows.capacity()} * op.shape.wide.pixels() < INT32_MAX);
  if (to_wide)
    launch_to_wide(op, queue);
  else
    launch_to_narrow(op, queue);
}

}  // namespace

AccessList early_reads(const ConvolutionForward& op) {
  return AccessList().reads(op.weight, op.shape.weights());
}
AccessList early_reads(const ConvolutionBackwardInput& op) {
  return AccessList().reads(op.weight, op.shape.weights());
}

void launch_op(const ConvolutionForward& op, const Queue& queue) {
  launch_convolution(op, op.transposed, queue);
}
void launch_op(const ConvolutionBackwardInput& op, const Queue& queue) {
  launch_convolution(op, !op.transposed, queue);
}

void launch_op(const ConvolutionBackwardWeights& op, const Queue& queue) {
  ELBO_ASSERT(op.grad_y.format == op.x.format);
  const ConvolutionShape& s = op.shape;
  const GradientSlices slices(op);
  const bool whole = slices.count == 1, bias_too = !op.transposed;
  auto* partial = static_cast<float*>(queue.scratch);
  WeightSums sums = {.op = op,
                     .narrow = op.transposed ? op.x : op.grad_y,
                     .wide = op.transposed ? op.grad_y : op.x,
                     .window = wide_window(s),
                     .taps = all_taps(s),
                     .pixels = op.rows.capacity() * s.narrow.pixels(),
                     .slice_depth = slices.depth,
                     .slices = slices.count,
                     .weight = whole ? op.grad_weight : partial,
                     .bias = whole ? op.grad_bias : partial + s.weights(),
                     .stride = slices.stride,
                     .accumulate = whole && op.accumulate};
  if (!bias_too) sums.bias = nullptr;
  const ProductArgs<WeightSums> args = {
      sums, has_vector_factor(sums.narrow, s.narrow.channels / s.groups),
      has_vector_factor(sums.wide, s.wide.channels / s.groups),
      has_vector_access({sums.weight}, {Product<WeightSums>::columns(sums)})};
  launch_product(args, op.x.format, op.precision, queue);

  SlicedSum weight, bias;
  if (!whole) weight = {partial, slices.count, slices.stride, s.weights(), op.grad_weight};
  if (!bias_too)
    bias = sum_bias_gradient(op, queue);
  else if (!whole)
    bias = {sums.bias, slices.count, slices.stride, s.narrow.channels, op.grad_bias};
  add_slices(weight, bias, op.accumulate, queue.stream);
}

}  // namespace elbo::cuda

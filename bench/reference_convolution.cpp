#include <algorithm>
#include <functional>

#include "bench/reference_ops.hpp"

namespace elbo::reference {
namespace {

/// A pair of pixels that a convolution connects: a pixel of the narrow side, a pixel of the wide
/// side, and the kernel tap between them.
struct Meeting {
  int64_t narrow, wide, tap;
};

/// Returns all pairs of a row.
std::vector<Meeting> meetings(const ConvolutionShape& s) {
  std::vector<Meeting> list;
  for (int64_t y = 0; y < s.narrow.height; ++y)
    for (int64_t x = 0; x < s.narrow.width; ++x)
      for (int64_t ky = 0; ky < s.kernel; ++ky)
        for (int64_t kx = 0; kx < s.kernel; ++kx) {
          const int64_t wy = y * s.stride - s.padding + ky, wx = x * s.stride - s.padding + kx;
          if (wy >= 0 && wy < s.wide.height && wx >= 0 && wx < s.wide.width)
            list.push_back({y * s.narrow.width + x, wy * s.wide.width + wx, ky * s.kernel + kx});
        }
  return list;
}

/// Index of the weights of narrow channel `n` at a tap, and of the wide channels in its group.
struct Channels {
  const ConvolutionShape& s;
  int64_t in_group = s.wide.channels / s.groups;

  int64_t weight(int64_t n, int64_t tap) const {
    return (n * s.kernel * s.kernel + tap) * in_group;
  }
  int64_t wide(int64_t pixel, int64_t n) const {
    return pixel * s.wide.channels + n / (s.narrow.channels / s.groups) * in_group;
  }
};

/// Calls `use(row, sums)` for each row. The sums belong to the wide side if `to_wide`, else to the
/// narrow side; `source` is the other side.
void sums_of_rows(const ConvolutionShape& s, bool to_wide, int64_t rows, const ConstReals& source,
                  const ConstReals& weight,
                  const std::function<void(int64_t, const std::vector<double>&)>& use) {
  const std::vector<Meeting> all = meetings(s);
  const std::vector<double> w = doubles(weight, 0, s.weights());
  const FeatureMap& from = to_wide ? s.narrow : s.wide;
  const Channels at = {s};
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<double> x = doubles(source, r * from.size(), from.size());
    std::vector<double> sums(static_cast<size_t>((to_wide ? s.wide : s.narrow).size()));
    for (const Meeting& m : all)
      for (int64_t n = 0; n < s.narrow.channels; ++n) {
        const double* weights = w.data() + at.weight(n, m.tap);
        const auto narrow = static_cast<size_t>(m.narrow * s.narrow.channels + n);
        const auto wide = static_cast<size_t>(at.wide(m.wide, n));
        double sum = 0.0;
        if (to_wide) {
          for (int64_t c = 0; c < at.in_group; ++c)
            sums[wide + static_cast<size_t>(c)] += x[narrow] * weights[c];
        } else {
#pragma omp simd reduction(+ : sum)
          for (int64_t c = 0; c < at.in_group; ++c)
            sum += x[wide + static_cast<size_t>(c)] * weights[c];
          sums[narrow] += sum;
        }
      }
    use(r, sums);
  }
}

/// Returns the maximum number of terms of a sum on the wide or narrow side.
int64_t depth_of(const ConvolutionShape& s, bool to_wide) {
  return int64_t{s.kernel} * s.kernel * (to_wide ? s.narrow : s.wide).channels / s.groups;
}

}  // namespace

void run_op(const ConvolutionForward& op) {
  const int64_t size = op.out().size();
  sums_of_rows(op.shape, op.transposed, op.rows.active(), op.x, op.weight,
               [&](int64_t r, const std::vector<double>& sums) {
                 op.activation.visit([&](auto activation) {
                   for (int64_t i = 0; i < size; ++i) {
                     const double sum =
                         sums[static_cast<size_t>(i)] + op.bias[i % op.out().channels];
                     if (op.preactivation) put(op.preactivation, r * size + i, sum);
                     put(op.y, r * size + i, decltype(activation)::value(sum));
                   }
                 });
               });
}
std::vector<Output> outputs_of(const ConvolutionForward& op) {
  const int64_t rows = op.rows.active(), count = rows * op.out().size();
  const Factors factors = {op.x,
                           op.weight,
                           rows * op.in().size(),
                           op.shape.weights(),
                           depth_of(op.shape, op.transposed),
                           op.precision};
  std::vector<Output> outputs = {product("y", op.y, count, factors)};
  if (op.preactivation)
    outputs.push_back(product("preactivation", op.preactivation, count, factors));
  return outputs;
}

void run_op(const ConvolutionBackwardInput& op) {
  const int64_t size = op.in().size();
  sums_of_rows(op.shape, !op.transposed, op.rows.active(), op.grad_y, op.weight,
               [&](int64_t r, const std::vector<double>& sums) {
                 op.activation.visit([&](auto activation) {
                   for (int64_t i = 0; i < size; ++i) {
                     const int64_t place = r * size + i;
                     const double slope =
                         op.saved ? decltype(activation)::derivative(at(op.saved, place)) : 1.0;
                     put(op.grad_x, place, sums[static_cast<size_t>(i)] * slope);
                   }
                 });
               });
}
std::vector<Output> outputs_of(const ConvolutionBackwardInput& op) {
  const int64_t rows = op.rows.active();
  return {product("grad_x", op.grad_x, rows * op.in().size(),
                  {op.grad_y, op.weight, rows * op.out().size(), op.shape.weights(),
                   depth_of(op.shape, !op.transposed), op.precision})};
}

void run_op(const ConvolutionBackwardWeights& op) {
  const ConvolutionShape& s = op.shape;
  const int64_t rows = op.rows.active(), line = int64_t{s.kernel} * s.kernel;
  const std::vector<Meeting> all = meetings(s);
  const Channels channels = {s};
  const auto wide = doubles(op.transposed ? op.grad_y : op.x, 0, rows * s.wide.size());
  const auto narrow = doubles(op.transposed ? op.x : op.grad_y, 0, rows * s.narrow.size());
#pragma omp parallel for
  for (int64_t n = 0; n < s.narrow.channels; ++n) {
    const int64_t first = channels.weight(n, 0), count = line * channels.in_group;
    std::vector<double> sums(static_cast<size_t>(count));
    if (op.accumulate) sums = doubles(op.grad_weight, first, count);
    for (int64_t r = 0; r < rows; ++r)
      for (const Meeting& m : all) {
        const double factor =
            narrow[static_cast<size_t>(r * s.narrow.size() + m.narrow * s.narrow.channels + n)];
        const double* x = wide.data() + r * s.wide.size() + channels.wide(m.wide, n);
        double* sum = sums.data() + m.tap * channels.in_group;
        for (int64_t c = 0; c < channels.in_group; ++c) sum[c] += factor * x[c];
      }
    std::transform(sums.begin(), sums.end(), op.grad_weight + first, as_float);
  }
  const int32_t out = op.out().channels;
  std::vector<double> bias(static_cast<size_t>(out));
  if (op.accumulate) bias = doubles(op.grad_bias, 0, out);
  for (int64_t i = 0; i < rows * op.out().size(); ++i)
    bias[static_cast<size_t>(i % out)] += at(op.grad_y, i);
  std::transform(bias.begin(), bias.end(), op.grad_bias, as_float);
}
std::vector<Output> outputs_of(const ConvolutionBackwardWeights& op) {
  const int64_t rows = op.rows.active();
  const int64_t grads = rows * op.out().size();
  return {product("grad_weight", op.grad_weight, op.shape.weights(),
                  {op.grad_y, op.x, grads, rows * op.in().size(), rows * op.shape.narrow.pixels(),
                   op.precision}),
          product("grad_bias", op.grad_bias, op.out().channels,
                  {op.grad_y, nullptr, grads, 0, rows * op.out().pixels(), op.precision})};
}

// Resampling

namespace {

/// Calls `give(fine element, coarse element, weight)` for all pairs of elements in a row that a
/// resampling connects.
template <class R>
void for_weights(const ResampleShape& s,
                 const std::function<void(int64_t, int64_t, double)>& give) {
  for (int32_t y = 0; y < s.fine.height; ++y)
    for (int32_t x = 0; x < s.fine.width; ++x) {
      const auto v = R::template taps<double>(y, s.factor, s.coarse.height);
      const auto h = R::template taps<double>(x, s.factor, s.coarse.width);
      for (const auto& [cy, wy] : {std::pair{v.first, v.first_weight}, {v.second, v.second_weight}})
        for (const auto& [cx, wx] :
             {std::pair{h.first, h.first_weight}, {h.second, h.second_weight}})
          for (int32_t c = 0; c < s.fine.channels; ++c)
            give((int64_t{y} * s.fine.width + x) * s.fine.channels + c,
                 (int64_t{cy} * s.coarse.width + cx) * s.coarse.channels + c, wy * wx);
    }
}

/// Returns R x (to the fine grid) or R^T x (to the coarse grid) for a row x.
std::vector<double> resampled(const ResampleShape& s, bool to_fine, const std::vector<double>& x) {
  std::vector<double> sums(static_cast<size_t>((to_fine ? s.fine : s.coarse).size()));
  s.resampling.visit([&](auto member) {
    for_weights<decltype(member)>(s, [&](int64_t fine, int64_t coarse, double weight) {
      const int64_t to = to_fine ? fine : coarse, from = to_fine ? coarse : fine;
      sums[static_cast<size_t>(to)] += weight * x[static_cast<size_t>(from)];
    });
  });
  return sums;
}

}  // namespace

void run_op(const ResampleForward& op) {
  const int64_t in = op.shape.in().size(), out = op.shape.out().size();
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r) {
    const auto y = resampled(op.shape, op.shape.enlarges(), doubles(op.x, r * in, in));
    for (int64_t i = 0; i < out; ++i) put(op.y, r * out + i, y[static_cast<size_t>(i)]);
  }
}
std::vector<Output> outputs_of(const ResampleForward& op) {
  return {output("y", op.y, int64_t{op.rows.active()} * op.shape.out().size(), kElementwise)};
}

void run_op(const ResampleBackward& op) {
  const int64_t in = op.shape.in().size(), out = op.shape.out().size();
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r) {
    const auto grad = resampled(op.shape, !op.shape.enlarges(), doubles(op.grad_y, r * out, out));
    op.activation.visit([&](auto activation) {
      for (int64_t i = 0; i < in; ++i) {
        const int64_t place = r * in + i;
        const double slope = op.saved ? decltype(activation)::derivative(at(op.saved, place)) : 1.0;
        put(op.grad_x, place, grad[static_cast<size_t>(i)] * slope);
      }
    });
  }
}
std::vector<Output> outputs_of(const ResampleBackward& op) {
  return {
      output("grad_x", op.grad_x, int64_t{op.rows.active()} * op.shape.in().size(), kElementwise)};
}

// Group normalisation

namespace {

/// Returns the indices of the elements in a group of a row, counted over all rows.
template <class Op>
std::vector<int64_t> group_elements(const Op& op, int64_t row, int64_t group) {
  const int64_t channels = op.map.channels / op.groups;
  std::vector<int64_t> list;
  for (int64_t p = 0; p < op.map.pixels(); ++p)
    for (int64_t c = 0; c < channels; ++c)
      list.push_back((row * op.map.pixels() + p) * op.map.channels + group * channels + c);
  return list;
}

template <class Op>
double elements_in_group(const Op& op) {
  return static_cast<double>(op.map.size()) / op.groups;
}

}  // namespace

void run_op(const GroupNormForward& op) {
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r)
    for (int64_t g = 0; g < op.groups; ++g) {
      const std::vector<int64_t> elements = group_elements(op, r, g);
      double mean = 0.0, variance = 0.0;
      for (const int64_t i : elements) mean += at(op.x, i) / elements_in_group(op);
      for (const int64_t i : elements)
        variance += std::pow(at(op.x, i) - mean, 2.0) / elements_in_group(op);
      const double rstd = 1.0 / std::sqrt(variance + op.epsilon);
      op.mean[r * op.groups + g] = as_float(mean);
      op.rstd[r * op.groups + g] = as_float(rstd);
      op.activation.visit([&](auto activation) {
        for (const int64_t i : elements) {
          const int64_t c = i % op.map.channels;
          const double y = op.scale[c] * ((at(op.x, i) - mean) * rstd) + op.offset[c];
          if (op.preactivation) put(op.preactivation, i, y);
          put(op.y, i, decltype(activation)::value(y));
        }
      });
    }
}
std::vector<Output> outputs_of(const GroupNormForward& op) {
  const int64_t rows = op.rows.active(), count = rows * op.map.size();
  const double roundings = sum_of(elements_in_group(op));
  std::vector<Output> outputs = {output("y", op.y, count, roundings),
                                 {"mean", op.mean, rows * op.groups, roundings},
                                 {"rstd", op.rstd, rows * op.groups, roundings}};
  if (op.preactivation)
    outputs.push_back(output("preactivation", op.preactivation, count, roundings));
  return outputs;
}

void run_op(const GroupNormBackward& op) {
  const int64_t channels = op.map.channels;
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r) {
    std::vector<double> grad_scale(static_cast<size_t>(channels)), grad_offset = grad_scale;
    for (int64_t g = 0; g < op.groups; ++g) {
      const double mean = op.mean[r * op.groups + g], rstd = op.rstd[r * op.groups + g];
      const auto normal = [&](int64_t i) { return (at(op.x, i) - mean) * rstd; };
      const auto h = [&](int64_t i) { return at(op.grad_y, i) * op.scale[i % channels]; };
      const std::vector<int64_t> elements = group_elements(op, r, g);
      double mean_h = 0.0, mean_h_x = 0.0;
      for (const int64_t i : elements) {
        grad_scale[static_cast<size_t>(i % channels)] += at(op.grad_y, i) * normal(i);
        grad_offset[static_cast<size_t>(i % channels)] += at(op.grad_y, i);
        mean_h += h(i) / elements_in_group(op);
        mean_h_x += h(i) * normal(i) / elements_in_group(op);
      }
      if (!op.grad_x) continue;
      op.activation.visit([&](auto activation) {
        for (const int64_t i : elements) {
          const double slope = op.saved ? decltype(activation)::derivative(at(op.saved, i)) : 1.0;
          put(op.grad_x, i, rstd * (h(i) - mean_h - normal(i) * mean_h_x) * slope);
        }
      });
    }
    for (size_t c = 0; c < grad_scale.size(); ++c) {
      const size_t place = static_cast<size_t>(r * channels) + c;
      if (op.grad_scale != nullptr) op.grad_scale[place] = as_float(grad_scale[c]);
      if (op.grad_offset != nullptr) op.grad_offset[place] = as_float(grad_offset[c]);
    }
  }
}
std::vector<Output> outputs_of(const GroupNormBackward& op) {
  const int64_t rows = op.rows.active(), sums = rows * op.map.channels;
  std::vector<Output> outputs;
  if (op.grad_x)
    outputs.push_back(
        output("grad_x", op.grad_x, rows * op.map.size(), sum_of(elements_in_group(op))));
  if (op.grad_scale != nullptr)
    outputs.push_back({"grad_scale", op.grad_scale, sums, sum_of(op.map.pixels())});
  if (op.grad_offset != nullptr)
    outputs.push_back({"grad_offset", op.grad_offset, sums, sum_of(op.map.pixels())});
  return outputs;
}

// Swapped axes

void run_op(const SwapAxes& op) {
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r)
    for (int64_t i = 0; i < op.first; ++i)
      for (int64_t j = 0; j < op.second; ++j)
        for (int64_t k = 0; k < op.inner; ++k)
          put(op.y, r * op.columns() + (j * op.first + i) * op.inner + k,
              at(op.x, r * op.columns() + (i * op.second + j) * op.inner + k));
}
std::vector<Output> outputs_of(const SwapAxes& op) {
  return {{"y", op.y.data, int64_t{op.rows.active()} * op.columns(), 0.0, op.y.format}};
}

}  // namespace elbo::reference

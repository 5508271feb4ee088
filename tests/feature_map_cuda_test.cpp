// The CUDA execution of resampling, group normalization and axis swaps equals the CPU's. Results
// are bitwise equal if they are elementwise, sums in the same order or exact sums; other sums agree
// within rounding.
#include <limits>

#include "kernels/program.hpp"
#include "tests/batch_shapes.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

class CudaFeatureMap : public CudaTest {
 protected:
  static std::vector<Format> formats() {
    if (kReadsBfloat16) return {Format::f32, Format::bf16};
    return {Format::f32};
  }
};
ELBO_INSTANTIATE_CUDA_TEST(CudaFeatureMap);

constexpr int32_t kCapacity = 3, kActive = 2;

Rows rows_of(Workspace& w) {
  StepState state;
  state.rows = kActive;
  return {w.put(std::vector{state}), kCapacity, 1};
}
size_t all(const FeatureMap& map) { return static_cast<size_t>(kCapacity * map.size()); }
size_t active(const FeatureMap& map) { return static_cast<size_t>(kActive * map.size()); }

/// Stores `values` in `format`. Odd eighths are exact in bfloat16.
ConstReals put(Workspace& w, const std::vector<float>& values, Format format) {
  if (format == Format::f32) return w.put(values);
  return w.put(rounded(values));
}
/// Returns gradients that are zero in the inactive row.
std::vector<float> gradients(const FeatureMap& map, unsigned seed) {
  std::vector<float> values = odd_eighths(all(map), seed);
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(active(map)), values.end(), 0.0f);
  return values;
}
Reals output(Workspace& w, size_t count, Format format) {
  if (format == Format::f32) return w.output<float>(count);
  return w.output<math::Bfloat16>(count);
}
std::vector<float> get(const Workspace& w, const Reals& array, size_t count) {
  if (array.format == Format::f32) return w.get(array.f32(), count);
  return widened(w.get(array.as<math::Bfloat16>(), count));
}
/// Returns the CPU's results rounded to `format`.
std::vector<float> held(const std::vector<float>& values, Format format) {
  return format == Format::f32 ? values : widened(rounded(values));
}
/// Succeeds if all values are zero, of either sign.
testing::AssertionResult all_zero(const std::vector<float>& values) {
  for (const float value : values)
    if (value != 0.0f) return testing::AssertionFailure() << "got " << value << ", expected 0";
  return testing::AssertionSuccess();
}

// Both executions add in the same order with the same weights.
TEST_P(CudaFeatureMap, Resample) {
  struct Size {
    int32_t height, width, channels, factor, shifted;
  };
  // Whole and partial quads, one pixel, odd and even factors.
  constexpr Size kCases[] = {{4, 3, 8, 2, 0}, {3, 5, 3, 3, 0}, {1, 2, 33, 4, 0},
                             {5, 1, 1, 1, 0}, {2, 2, 4, 2, 1}, {2, 2, 4, 2, 2}};
  math::Resamplings::for_each([&](auto member) {
    using R = decltype(member);
    for (const Size& size : kCases)
      for (const Format format : formats()) {
        ResampleShape shape;
        shape.resampling = math::Resampling::of<R>();
        shape.coarse = {size.height, size.width, size.channels};
        shape.factor = size.factor;
        const int32_t more = R::enlarges ? 0 : size.factor - 1;  // pixels that downsampling drops
        shape.fine = {size.height * size.factor + more, size.width * size.factor + more / 2,
                      size.channels};
        SCOPED_TRACE(testing::Message() << R::name << ' ' << size.height << 'x' << size.width << 'x'
                                        << size.channels << ", factor " << size.factor << ", "
                                        << size_of(format) << " bytes, shifted " << size.shifted);
        const auto forward = [&](const std::shared_ptr<Device>& device, Format stored) {
          Workspace w(device, size.shifted);
          const ConstReals x = put(w, odd_eighths(all(shape.in()), 1), stored);
          const Reals y = output(w, all(shape.out()), stored);
          w.run({ResampleForward{.rows = rows_of(w), .shape = shape, .x = x, .y = y}});
          return get(w, y, active(shape.out()));
        };
        EXPECT_TRUE(same_bits(forward(cuda_, format), held(forward(cpu_, Format::f32), format)));
        for (const bool activated : {true, false}) {
          const auto backward = [&](const std::shared_ptr<Device>& device, Format stored) {
            Workspace w(device, size.shifted);
            ResampleBackward op;
            op.rows = rows_of(w);
            op.shape = shape;
            op.activation = math::Activation::of<math::Tanh>();
            op.grad_y = put(w, gradients(shape.out(), 2), stored);
            if (activated) op.saved = put(w, odd_eighths(all(shape.in()), 3), stored);
            op.grad_x = output(w, all(shape.in()), stored);
            w.run({op});
            return get(w, op.grad_x, all(shape.in()));
          };
          const std::vector<float> got = backward(cuda_, format);
          const std::vector<float> want = held(backward(cpu_, Format::f32), format);
          const size_t count = active(shape.in());
          EXPECT_TRUE(same_bits(first(got, count), first(want, count))) << activated;
          EXPECT_TRUE(zero_behind(got, count)) << activated;
        }
      }
  });
}

TEST_P(CudaFeatureMap, SwapAxes) {
  struct Size {
    int32_t first, second, inner, shifted;
  };
  constexpr Size kCases[] = {
      {3, 35, 1, 0}, {16, 2, 1, 0}, {4, 6, 5, 0}, {1, 7, 3, 0}, {4, 4, 1, 2}};
  for (const Size& s : kCases)
    for (const Format from : formats())
      for (const Format to : formats()) {
        const FeatureMap map = {s.first, s.second, s.inner};
        const auto run = [&](const std::shared_ptr<Device>& device, Format in, Format out) {
          Workspace w(device, s.shifted);
          const ConstReals x = put(w, uniform_floats(all(map), -1.0f, 1.0f, 1), in);
          const Reals y = output(w, all(map), out);
          w.run({SwapAxes{rows_of(w), s.first, s.second, s.inner, x, y}});
          return get(w, y, active(map));
        };
        const bool in_bf16 = from == Format::bf16 || to == Format::bf16;
        EXPECT_TRUE(same_bits(run(cuda_, from, to), held(run(cpu_, Format::f32, Format::f32),
                                                         in_bf16 ? Format::bf16 : Format::f32)))
            << s.first << 'x' << s.second << 'x' << s.inner;
      }
}

struct Normalised {
  FeatureMap map;
  int32_t groups;
  int shifted = 0;

  size_t groups_of_all() const { return static_cast<size_t>(kCapacity * groups); }
  size_t channels_of_all() const { return static_cast<size_t>(kCapacity * map.channels); }
  /// Number of elements in a group.
  int32_t elements() const { return map.size() / groups; }
  int32_t group_channels() const { return map.channels / groups; }
};

std::ostream& operator<<(std::ostream& out, const Normalised& n) {
  return out << n.map.height << 'x' << n.map.width << 'x' << n.map.channels << " in " << n.groups
             << " groups, shifted " << n.shifted;
}

struct Forward {
  std::vector<float> y, preactivation, mean, rstd;
};

Forward normalise(const std::shared_ptr<Device>& device, const Normalised& n,
                  math::Activation activation, Format format, const std::vector<float>& x) {
  Workspace w(device, n.shifted);
  const auto channels = static_cast<size_t>(n.map.channels);
  GroupNormForward op;
  op.rows = rows_of(w);
  op.map = n.map;
  op.groups = n.groups;
  op.activation = activation;
  op.x = put(w, x, format);
  op.scale = w.put(odd_eighths(channels, 2));
  op.offset = w.put(odd_eighths(channels, 3));
  op.y = output(w, all(n.map), format);
  bool keeps_preactivation = false;
  activation.visit([&](auto a) { keeps_preactivation = decltype(a)::derivative_from_input; });
  if (keeps_preactivation) op.preactivation = output(w, all(n.map), format);
  op.mean = w.output<float>(n.groups_of_all());
  op.rstd = w.output<float>(n.groups_of_all());
  w.run({op});
  const auto groups = static_cast<size_t>(kActive * n.groups);
  Forward result = {
      get(w, op.y, active(n.map)), {}, w.get(op.mean, groups), w.get(op.rstd, groups)};
  if (keeps_preactivation) result.preactivation = get(w, op.preactivation, active(n.map));
  if (device->kind() == DeviceKind::cuda) {
    for (const float y : get(w, op.y, all(n.map))) EXPECT_TRUE(std::isfinite(y));
  }
  return result;
}

// The mean of up to sixteen odd eighths is exact. Their squared deviations have at most 16 bits, so
// the sum of squares is exact too.
TEST_P(CudaFeatureMap, GroupNormForwardOfExactMoments) {
  const Normalised cases[] = {{{2, 2, 8}, 2}, {{4, 4, 3}, 3},    {{2, 1, 6}, 3},   {{1, 1, 16}, 1},
                              {{2, 2, 4}, 1}, {{2, 2, 4}, 1, 1}, {{2, 2, 4}, 1, 2}};
  math::Activations::for_each([&](auto member) {
    using A = decltype(member);
    for (const Normalised& n : cases)
      for (const Format format : formats()) {
        const auto activation = math::Activation::of<A>();
        const std::vector<float> x = odd_eighths(all(n.map), 1);
        const Forward got = normalise(cuda_, n, activation, format, x);
        const Forward want = normalise(cpu_, n, activation, Format::f32, x);
        EXPECT_TRUE(same_bits(got.y, held(want.y, format))) << A::name << ", " << n;
        EXPECT_TRUE(same_bits(got.preactivation, held(want.preactivation, format))) << n;
        EXPECT_TRUE(same_bits(got.mean, want.mean)) << n;
        EXPECT_TRUE(same_bits(got.rstd, want.rstd)) << n;
      }
  });
}

/// Groups of odd sizes, of one element, and of more quads than a block has threads.
const Normalised kOddGroups[] = {
    {{5, 7, 33}, 11}, {{3, 3, 33}, 1}, {{9, 11, 12}, 3}, {{1, 2, 1100}, 1}, {{1, 1, 5}, 5}};

/// Bounds on the difference of two executions in the moments of a group.
struct MomentBounds {
  double mean, variance;  // of the group
  double mean_bound, rstd, rstd_bound;

  MomentBounds(const std::vector<double>& x, double epsilon) {
    const auto n = static_cast<double>(x.size());
    double sum = 0.0, magnitude = 0.0, squares = 0.0;
    for (const double value : x) sum += value, magnitude += std::abs(value);
    mean = sum / n;
    for (const double value : x) squares += (value - mean) * (value - mean);
    variance = squares / n;
    mean_bound = (sum_bound(n, magnitude) + kEpsilon * magnitude) / n;
    // The square of a difference has three roundings. A rounded mean adds its squared error.
    const double variance_bound = (sum_bound(n, squares) + 3.0 * kEpsilon * squares) / n +
                                  mean_bound * mean_bound + kEpsilon * variance;
    rstd = 1.0 / std::sqrt(variance + epsilon);
    // d(v^(-1/2)) = v^(-1/2) dv / (2 v), plus the roundings of a sum, a root and a quotient.
    rstd_bound = rstd * (0.5 * variance_bound / (variance + epsilon) + 3.0 * kEpsilon);
  }
};

TEST_P(CudaFeatureMap, GroupNormForward) {
  const auto relu = math::Activation::of<math::Relu>();
  for (const Normalised& n : kOddGroups) {
    SCOPED_TRACE(testing::Message() << n);
    const std::vector<float> x = uniform_floats(all(n.map), -1.0f, 3.0f, 4);
    const Forward got = normalise(cuda_, n, relu, Format::f32, x);
    const Forward want = normalise(cpu_, n, relu, Format::f32, x);
    const std::vector<float> scale = odd_eighths(static_cast<size_t>(n.map.channels), 2);
    std::vector<double> mean_bound, rstd_bound, y_bound(active(n.map));
    for (int32_t r = 0; r < kActive; ++r)
      for (int32_t g = 0; g < n.groups; ++g) {
        std::vector<size_t> indices, channels;
        for (int32_t p = 0; p < n.map.pixels(); ++p)
          for (int32_t c = g * n.group_channels(); c < (g + 1) * n.group_channels(); ++c) {
            channels.push_back(static_cast<size_t>(c));
            indices.push_back(static_cast<size_t>((r * n.map.pixels() + p) * n.map.channels + c));
          }
        std::vector<double> values;
        for (const size_t index : indices) values.push_back(x[index]);
        const MomentBounds m(values, 1e-5);
        mean_bound.push_back(m.mean_bound);
        rstd_bound.push_back(m.rstd_bound);
        for (size_t i = 0; i < indices.size(); ++i) {
          const double gain = std::abs(scale[channels[i]]), distance = std::abs(values[i] - m.mean);
          // Plus the roundings of the difference, the product with the gain and the sum.
          y_bound[indices[i]] = gain * (m.mean_bound * m.rstd + distance * m.rstd_bound +
                                        2.0 * kEpsilon * distance * m.rstd) +
                                kEpsilon * (1.0 + gain * distance * m.rstd);
        }
      }
    EXPECT_TRUE(within(got.mean, want.mean, mean_bound));
    EXPECT_TRUE(within(got.rstd, want.rstd, rstd_bound));
    EXPECT_TRUE(within(got.y, want.y, y_bound));
  }
}

struct Backward {
  std::vector<float> x, scale, offset;
};

// The given mean and reciprocal deviation have few bits, so every sum is exact.
TEST_P(CudaFeatureMap, GroupNormBackward) {
  std::vector<Normalised> cases(std::begin(kOddGroups), std::end(kOddGroups));
  for (const int shifted : {0, 1, 2, 3, 6, 7}) cases.push_back({{3, 2, 8}, 2, shifted});
  enum class Wanted { all, without_activation, input, parameters };
  for (const Normalised& n : cases)
    for (const Wanted wanted :
         {Wanted::all, Wanted::without_activation, Wanted::input, Wanted::parameters})
      for (const Format format : formats()) {
        const auto run = [&](const std::shared_ptr<Device>& device, Format stored) {
          Workspace w(device, n.shifted);
          GroupNormBackward op;
          op.rows = rows_of(w);
          op.map = n.map;
          op.groups = n.groups;
          op.activation = math::Activation::of<math::Softplus>();
          op.grad_y = put(w, gradients(n.map, 5), stored);
          op.x = put(w, odd_eighths(all(n.map), 6), stored);
          op.scale = w.put(odd_eighths(static_cast<size_t>(n.map.channels), 7));
          op.mean = w.put(odd_eighths(n.groups_of_all(), 8));
          op.rstd = w.put(std::vector<float>(n.groups_of_all(), 0.5f));
          if (wanted == Wanted::all) op.saved = put(w, odd_eighths(all(n.map), 9), stored);
          if (wanted != Wanted::parameters) op.grad_x = output(w, all(n.map), stored);
          if (wanted != Wanted::input) {
            op.grad_scale = w.output<float>(n.channels_of_all());
            op.grad_offset = w.output<float>(n.channels_of_all());
          }
          w.run({op});
          Backward result;
          if (op.grad_x) result.x = get(w, op.grad_x, all(n.map));
          if (op.grad_scale != nullptr) {
            result.scale = w.get(op.grad_scale, n.channels_of_all());
            result.offset = w.get(op.grad_offset, n.channels_of_all());
          }
          return result;
        };
        SCOPED_TRACE(testing::Message() << n << ", " << static_cast<int>(wanted) << ", "
                                        << size_of(format) << " bytes");
        const Backward got = run(cuda_, format), want = run(cpu_, Format::f32);
        const auto compare = [&](const std::vector<float>& g, const std::vector<float>& w,
                                 size_t per_row) {
          if (w.empty()) return;
          const size_t count = kActive * per_row;
          EXPECT_TRUE(same_bits(first(g, count), first(w, count)));
          if (kFillsInactiveRows) {
            EXPECT_TRUE(all_zero({g.begin() + static_cast<std::ptrdiff_t>(count), g.end()}));
          }
        };
        compare(got.x, held(want.x, format), static_cast<size_t>(n.map.size()));
        compare(got.scale, want.scale, static_cast<size_t>(n.map.channels));
        compare(got.offset, want.offset, static_cast<size_t>(n.map.channels));
      }
}

}  // namespace
}  // namespace elbo

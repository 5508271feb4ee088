#include "host/nn/resample.hpp"

#include "kernels/swap_axes.hpp"

namespace elbo {
namespace {

Value swapped(Recorder& recorder, const Value& x, Format format, int32_t first, int32_t second,
              int32_t inner) {
  const Value y = recorder.tensor(x.rows, x.columns, format);
  recorder.add(SwapAxes{
      .rows = x.rows, .first = first, .second = second, .inner = inner, .x = x.data, .y = y.data});
  return y;
}

}  // namespace

Resample::Resample(const FeatureMap& in, math::Resampling resampling, int32_t factor)
    : shape_{resampling, in, in, factor} {
  if (shape_.enlarges())
    shape_.fine = {in.height * factor, in.width * factor, in.channels};
  else
    shape_.coarse = {in.height / factor, in.width / factor, in.channels};
  ELBO_ASSERT(shape_.coarse.size() > 0);
}

Value Resample::forward(Recorder& recorder, const Value& x, Format format) const {
  ELBO_ASSERT(x.columns == shape_.in().size());
  Value y = recorder.tensor(x.rows, shape_.out().size(), format);
  y.gradient = recorder.factor_format();
  recorder.add(ResampleForward{.rows = x.rows, .shape = shape_, .x = x.data, .y = y.data});
  recorder.on_tape(y, {x}, {}, [this, &recorder, x](const Value& grad_y) {
    if (!recorder.wants_gradient(x)) return;
    const Value grad_x = recorder.tensor(x.rows, x.columns, x.gradient);
    recorder.add(ResampleBackward{.rows = x.rows,
                                  .shape = shape_,
                                  .activation = x.activation,
                                  .grad_y = grad_y.data,
                                  .saved = x.saved,
                                  .grad_x = grad_x.data});
    recorder.add_gradient(x, grad_x);
  });
  return y;
}

Value swap_axes(Recorder& recorder, const Value& x, int32_t first, int32_t second, int32_t inner) {
  ELBO_ASSERT(x.columns == first * second * inner);
  Value y = swapped(recorder, x, x.data.format, first, second, inner);
  y.activation = x.activation;
  y.gradient = x.gradient;
  if (x.saved.data == x.data.data) {
    y.saved = y.data;
  } else if (x.saved) {
    Value saved = x;
    // Only read: it comes from an op's memory.
    saved.data = {const_cast<void*>(x.saved.data), x.saved.format};
    y.saved = swapped(recorder, saved, x.saved.format, first, second, inner).data;
  }
  recorder.on_tape(y, {x}, {}, [&recorder, x, first, second, inner](const Value& grad_y) {
    if (recorder.wants_gradient(x))
      recorder.add_gradient(x, swapped(recorder, grad_y, x.gradient, second, first, inner));
  });
  return y;
}

}  // namespace elbo

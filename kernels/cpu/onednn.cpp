#include "kernels/cpu/onednn.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <type_traits>
#include <vector>

#include "kernels/core/error.hpp"
#include "kernels/cpu/one_thread.hpp"
#include "kernels/cpu/scratch.hpp"

namespace elbo::cpu {
namespace {

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// A stream must not be used by several threads at once.
dnnl_stream_t stream() {
  thread_local const dnnl::stream own(engine());
  return own.get();
}

/// Creates primitives. A refusal by the library is an internal error, not the user's.
template <class Make>
auto made(Make&& make) {
  const OneThread one_thread;
  try {
    return make();
  } catch (const dnnl::error& error) {
    throw DeviceError(std::string("oneDNN refuses a convolution: ") + error.what());
  }
}

int64_t floats(const memory::desc& layout) {
  return static_cast<int64_t>((layout.get_size() + sizeof(float) - 1) / sizeof(float));
}

/// An argument of a primitive: role and layout; the address is set at each run. `memory` objects
/// hold addresses, so every thread has its own.
struct Argument {
  int role;
  const memory::desc* layout;
  const float* data;
};

/// Runs a primitive with the caller's scratchpad.
void execute(const dnnl::primitive& primitive, const memory::desc& scratchpad,
             std::initializer_list<Argument> arguments) {
  constexpr size_t kMost = 5;
  std::array<dnnl_exec_arg_t, kMost> list;
  int count = 0;
  const auto add = [&](int role, const memory::desc& layout, void* data) {
    dnnl_memory_t place = nullptr;
#if DNNL_VERSION_MAJOR >= 3
    const auto status = dnnl_memory_create(&place, layout.get(), engine().get(), data);
#else
    const auto status = dnnl_memory_create(&place, &layout.data, engine().get(), data);
#endif
    ELBO_ASSERT(status == dnnl_success);
    list[static_cast<size_t>(count++)] = {role, place};
  };
  for (const Argument& argument : arguments)
    add(argument.role, *argument.layout, const_cast<float*>(argument.data));
  if (scratchpad.get_size() > 0)
    add(DNNL_ARG_SCRATCHPAD, scratchpad, thread_scratch(Scratch::library, floats(scratchpad)));
  const auto status = dnnl_primitive_execute(primitive.get(), stream(), count, list.data());
  for (int i = 0; i < count; ++i) dnnl_memory_destroy(list[static_cast<size_t>(i)].memory);
  ELBO_ASSERT(status == dnnl_success);
}

dnnl::primitive_attr own_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// The library's description of a convolution of `rows` rows.
struct Description {
  Description(const ConvolutionShape& s, int64_t rows) {
    wide = side(rows, s.wide);
    narrow = side(rows, s.narrow);
    const memory::dim k = s.kernel, in = s.wide.channels / s.groups;
    const memory::dim out = s.narrow.channels / s.groups;
    if (s.groups == 1) {
      weights_dims = {out, in, k, k};
      weights = {weights_dims, kFloat, memory::dims{k * k * in, 1, k * in, in}};
    } else {
      weights_dims = {s.groups, out, in, k, k};
      weights = {weights_dims, kFloat, memory::dims{out * k * k * in, k * k * in, 1, k * in, in}};
    }
    any_weights = {weights_dims, kFloat, memory::format_tag::any};
    bias = {{s.narrow.channels}, kFloat, memory::format_tag::a};
    strides = {s.stride, s.stride};
    before = {s.padding, s.padding};
    const auto behind = [&](int32_t narrow_size, int32_t wide_size) {
      return memory::dim{narrow_size - 1} * s.stride + s.kernel - wide_size - s.padding;
    };
    after = {behind(s.narrow.height, s.wide.height), behind(s.narrow.width, s.wide.width)};
  }

  static constexpr auto kFloat = memory::data_type::f32;
  static memory::desc side(int64_t rows, const FeatureMap& map) {
    return {{rows, map.channels, map.height, map.width}, kFloat, memory::format_tag::nhwc};
  }

  using Forward = dnnl::convolution_forward::primitive_desc;
  Forward forward(bool with_bias, const dnnl::primitive_attr& attributes,
                  const memory::desc& w) const {
    const auto kind = dnnl::prop_kind::forward_training;
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const memory::desc none, &b = with_bias ? bias : none;
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), kind, algorithm, wide, w, b, narrow, strides, before, after, attributes};
#else
    return {{kind, algorithm, wide, w, b, narrow, strides, before, after}, attributes, engine()};
#endif
  }
  dnnl::convolution_backward_data::primitive_desc backward_data(const memory::desc& w) const {
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const Forward hint = forward(false, {}, any_weights);
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), algorithm, wide, w, narrow, strides, before, after, hint, own_scratchpad()};
#else
    return {{algorithm, wide, w, narrow, strides, before, after}, own_scratchpad(), engine(), hint};
#endif
  }
  dnnl::convolution_backward_weights::primitive_desc backward_weights(
      const memory::desc& gradient) const {
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const Forward hint = forward(false, {}, any_weights);
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), algorithm, wide,  gradient, narrow,
            strides,  before,    after, hint,     own_scratchpad()};
#else
    return {{algorithm, wide, gradient, narrow, strides, before, after},
            own_scratchpad(),
            engine(),
            hint};
#endif
  }

  memory::dims weights_dims, strides, before, after;
  memory::desc wide, narrow, weights, any_weights, bias;
};

dnnl::reorder reorder(const memory::desc& from, const memory::desc& to, memory::desc& scratchpad,
                      bool accumulate) {
  dnnl::primitive_attr attributes = own_scratchpad();
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::reorder::primitive_desc made(engine(), from, engine(), to, attributes);
  scratchpad = made.scratchpad_desc();
  return dnnl::reorder(made);
}

}  // namespace

struct ConvolutionSums::Primitives {
  /// For a number of rows.
  struct Sums {
    memory::desc from, to, scratchpad;
    dnnl::primitive sums;
  };
  /// Packing, by blocks of output channels.
  struct Packing {
    dnnl::reorder reorder;
    memory::desc from, to, scratchpad;
  };
  Sums all, one;
  memory::desc weights, packed, bias;
  std::vector<Packing> packings;
  To to;
  Finish finish;

  Sums sums(const ConvolutionShape& shape, int64_t rows, const memory::desc& packed_or_any) {
    const Description d(shape, rows);
    if (to == To::wide) {
      const auto made = d.backward_data(packed_or_any);
      packed = made.weights_desc();
      return {d.narrow, d.wide, made.scratchpad_desc(), dnnl::convolution_backward_data(made)};
    }
    dnnl::primitive_attr attributes = own_scratchpad();
    if (finish == Finish::bias_and_relu) {
      dnnl::post_ops relu;
#if DNNL_VERSION_MAJOR >= 3
      relu.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#else
      relu.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#endif
      attributes.set_post_ops(relu);
    }
    const auto made = d.forward(finish != Finish::none, attributes, packed_or_any);
    packed = made.weights_desc();
    return {d.wide, d.narrow, made.scratchpad_desc(), dnnl::convolution_forward(made)};
  }
  void run(const Sums& s, const float* source, const float* weight, const float* b,
           float* target) const {
    const bool wide = to == To::wide;
    const Argument from = {wide ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, &s.from, source};
    const Argument into = {wide ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, &s.to, target};
    const Argument w = {DNNL_ARG_WEIGHTS, &packed, weight};
    if (finish == Finish::none)
      execute(s.sums, s.scratchpad, {from, w, into});
    else
      execute(s.sums, s.scratchpad, {from, w, {DNNL_ARG_BIAS, &bias, b}, into});
  }

  void make_packings(const ConvolutionShape& shape, const memory::dims& dims) {
    constexpr memory::dim kBlock = 64;  // a multiple of the blocks of every layout
    if (shape.groups == 1 && dims[0] % kBlock == 0 && dims[0] > kBlock) {
      try {
        for (memory::dim first = 0; first < dims[0]; first += kBlock)
          add_packing({kBlock, dims[1], dims[2], dims[3]}, {first, 0, 0, 0});
        return;
      } catch (const dnnl::error&) {
        packings.clear();  // a layout that cannot be divided is packed at once
      }
    }
    add_packing(dims, memory::dims(dims.size(), 0));
  }
  void add_packing(const memory::dims& dims, const memory::dims& offsets) {
    Packing p;
    p.from = weights.submemory_desc(dims, offsets);
    p.to = packed.submemory_desc(dims, offsets);
    p.reorder = reorder(p.from, p.to, p.scratchpad, false);
    packings.push_back(std::move(p));
  }
};

ConvolutionSums::ConvolutionSums(const ConvolutionShape& shape, int64_t rows, To to, Finish finish)
    : primitives_(made([&] {
        ELBO_ASSERT(to == To::narrow || finish == Finish::none);
        auto p = std::make_unique<Primitives>();
        const Description d(shape, 1);
        p->weights = d.weights;
        p->bias = d.bias;
        p->to = to;
        p->finish = finish;
        p->all = p->sums(shape, rows, d.any_weights);
        p->one = p->sums(shape, 1, memory::desc(p->packed));
        p->make_packings(shape, d.weights_dims);
        return p;
      })),
      rows_(rows),
      from_((to == To::narrow ? shape.wide : shape.narrow).size()),
      to_((to == To::narrow ? shape.narrow : shape.wide).size()) {}

ConvolutionSums::~ConvolutionSums() = default;

int64_t ConvolutionSums::packed_size() const { return floats(primitives_->packed); }

int ConvolutionSums::packing_tasks() const {
  return static_cast<int>(primitives_->packings.size());
}

void ConvolutionSums::pack(const float* weights, float* packed, int task) const {
  const Primitives::Packing& p = primitives_->packings[static_cast<size_t>(task)];
  execute(p.reorder, p.scratchpad,
          {{DNNL_ARG_FROM, &p.from, weights}, {DNNL_ARG_TO, &p.to, packed}});
}

void ConvolutionSums::run(const float* from, const float* packed, const float* bias, float* to,
                          int64_t rows) const {
  const Primitives& p = *primitives_;
  ELBO_ASSERT(rows <= rows_);
  if (rows == rows_) return p.run(p.all, from, packed, bias, to);
  for (int64_t row = 0; row < rows; ++row)
    p.run(p.one, from + row * from_, packed, bias, to + row * to_);
}

struct ConvolutionWeightsGradient::Primitives {
  /// Of a number of rows.
  struct Sums {
    memory::desc wide, narrow, scratchpad;
    dnnl::primitive sums;
  };
  Sums all, one;
  memory::desc weights, packed, unpack_scratchpad, add_scratchpad;
  dnnl::reorder unpack, add;

  Sums sums(const ConvolutionShape& shape, int64_t rows, const memory::desc& gradient) {
    const Description d(shape, rows);
    const auto made = d.backward_weights(gradient);
    packed = made.diff_weights_desc();
    return {d.wide, d.narrow, made.scratchpad_desc(), dnnl::convolution_backward_weights(made)};
  }
  void run(const Sums& s, const float* wide, const float* narrow, float* gradient) const {
    execute(s.sums, s.scratchpad,
            {{DNNL_ARG_SRC, &s.wide, wide},
             {DNNL_ARG_DIFF_DST, &s.narrow, narrow},
             {DNNL_ARG_DIFF_WEIGHTS, &packed, gradient}});
  }
};

ConvolutionWeightsGradient::ConvolutionWeightsGradient(const ConvolutionShape& shape, int64_t rows)
    : primitives_(made([&] {
        auto p = std::make_unique<Primitives>();
        const Description d(shape, 1);
        p->weights = d.weights;
        p->all = p->sums(shape, rows, d.any_weights);
        p->one = p->sums(shape, 1, memory::desc(p->packed));
        p->unpack = reorder(p->packed, p->weights, p->unpack_scratchpad, false);
        p->add = reorder(p->packed, p->weights, p->add_scratchpad, true);
        return p;
      })),
      rows_(rows),
      wide_(shape.wide.size()),
      narrow_(shape.narrow.size()) {}

ConvolutionWeightsGradient::~ConvolutionWeightsGradient() = default;

int64_t ConvolutionWeightsGradient::packed_size() const { return floats(primitives_->packed); }

void ConvolutionWeightsGradient::run(const float* wide, const float* narrow, int64_t rows,
                                     float* packed) const {
  ELBO_ASSERT(rows <= rows_);
  const int64_t size = packed_size();
  if (rows == rows_) return primitives_->run(primitives_->all, wide, narrow, packed);
  std::fill(packed, packed + size, 0.0f);
  if (rows == 0) return;
  // The last batch of an epoch runs row by row.
  float* part = thread_scratch(Scratch::kernel, size);
  for (int64_t row = 0; row < rows; ++row) {
    primitives_->run(primitives_->one, wide + row * wide_, narrow + row * narrow_, part);
    for (int64_t i = 0; i < size; ++i) packed[i] += part[i];
  }
}

void ConvolutionWeightsGradient::unpack(const float* packed, float* gradient,
                                        bool accumulate) const {
  const Primitives& p = *primitives_;
  execute(accumulate ? p.add : p.unpack, accumulate ? p.add_scratchpad : p.unpack_scratchpad,
          {{DNNL_ARG_FROM, &p.packed, packed}, {DNNL_ARG_TO, &p.weights, gradient}});
}

}  // namespace elbo::cpu

// Dense ops: each is one kernel, the product with its epilogue. If a library multiplies instead
// (kernels/cuda/library.hpp) without the epilogue, separate kernels here apply it.
#include "kernels/cuda/column_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/product.cuh"

namespace elbo::cuda {

/// Common code of dense products.
template <class Op>
struct DenseProduct {
  using Args = ProductArgs<Op>;
  using Part = WholeProduct;
  static constexpr bool few_columns = false;
  ELBO_HD static int parts(const Op&) { return 1; }

 protected:
  /// A whole matrix, without gaps between its lines.
  template <class T>
  ELBO_DEVICE static Factor<T> packed(const ConstReals& matrix, int32_t lines, int32_t length,
                                      bool vector) {
    return {matrix.template as<T>(), lines, length, length, vector};
  }
};

/// y = x W^T: rows of x by rows of W.
template <>
struct Product<DenseForward> : DenseProduct<DenseForward> {
  static constexpr bool left_along_depth = true, right_along_depth = true, sums_left = false,
                        right_is_weight = true;
  ELBO_HD static int rows(const DenseForward& op) { return op.rows.capacity(); }
  ELBO_HD static int columns(const DenseForward& op) { return op.out; }
  ELBO_DEVICE static DepthRange depth(const DenseForward& op, WholeProduct) { return {0, op.in}; }
  template <class T>
  ELBO_DEVICE static Factor<T> left(const Args& args, WholeProduct) {
    return packed<T>(args.op.x, rows(args.op), args.op.in, args.vector_left);
  }
  template <class T>
  ELBO_DEVICE static Factor<T> right(const Args& args, WholeProduct) {
    return packed<T>(args.op.weight, args.op.out, args.op.in, args.vector_right);
  }
  ELBO_HD static const Reals& result(const DenseForward& op) { return op.y; }

  template <bool kVector>
  ELBO_DEVICE static void finish(const DenseForward& op, WholeProduct, int row, int column,
                                 int left, math::Float4 y) {
    const int64_t place = int64_t{row} * op.out + column;
    const math::Float4 bias = load_quad<kVector>(op.bias + column, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) y.value[i] += bias.value[i];
    if (op.preactivation) store_quad<kVector>(op.preactivation, place, left, y);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) y.value[i] = math::activate(op.activation, y.value[i]);
    store_quad<kVector>(op.y, place, left, y);
  }
};

/// grad_x = grad_y W: rows of grad_y by columns of W.
template <>
struct Product<DenseBackwardInput> : DenseProduct<DenseBackwardInput> {
  static constexpr bool left_along_depth = true, right_along_depth = false, sums_left = false,
                        right_is_weight = true;
  ELBO_HD static int rows(const DenseBackwardInput& op) { return op.rows.capacity(); }
  ELBO_HD static int columns(const DenseBackwardInput& op) { return op.in; }
  ELBO_DEVICE static DepthRange depth(const DenseBackwardInput& op, WholeProduct) {
    return {0, op.out};
  }
  template <class T>
  ELBO_DEVICE static Factor<T> left(const Args& args, WholeProduct) {
    return packed<T>(args.op.grad_y, rows(args.op), args.op.out, args.vector_left);
  }
  template <class T>
  ELBO_DEVICE static Factor<T> right(const Args& args, WholeProduct) {
    return packed<T>(args.op.weight, args.op.out, args.op.in, args.vector_right);
  }
  ELBO_HD static const Reals& result(const DenseBackwardInput& op) { return op.grad_x; }

  template <bool kVector>
  ELBO_DEVICE static void finish(const DenseBackwardInput& op, WholeProduct, int row, int column,
                                 int left, math::Float4 grad) {
    const int64_t place = int64_t{row} * op.in + column;
    if (op.saved) {
      const math::Float4 saved = load_quad<kVector>(op.saved, place, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i)
        grad.value[i] *= math::activation_derivative(op.activation, saved.value[i]);
    }
    store_quad<kVector>(op.grad_x, place, left, grad);
  }
};

/// grad_W = grad_y^T x: columns of grad_y by columns of x, summed over the rows of both.
template <>
struct Product<DenseBackwardWeights> : DenseProduct<DenseBackwardWeights> {
  static constexpr bool left_along_depth = false, right_along_depth = false, sums_left = true,
                        right_is_weight = false;
  ELBO_HD static int rows(const DenseBackwardWeights& op) { return op.out; }
  ELBO_HD static int columns(const DenseBackwardWeights& op) { return op.in; }
  ELBO_DEVICE static DepthRange depth(const DenseBackwardWeights& op, WholeProduct) {
    return {0, op.rows.capacity()};
  }
  template <class T>
  ELBO_DEVICE static Factor<T> left(const Args& args, WholeProduct) {
    return packed<T>(args.op.grad_y, args.op.rows.capacity(), args.op.out, args.vector_left);
  }
  template <class T>
  ELBO_DEVICE static Factor<T> right(const Args& args, WholeProduct) {
    return packed<T>(args.op.x, args.op.rows.capacity(), args.op.in, args.vector_right);
  }

  template <bool kVector>
  ELBO_DEVICE static void finish(const DenseBackwardWeights& op, WholeProduct, int row, int column,
                                 int left, math::Float4 grad) {
    float* place = op.grad_weight + int64_t{row} * op.in + column;
    if (op.accumulate) {
      const math::Float4 before = load_quad<kVector>(place, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) grad.value[i] += before.value[i];
    }
    store_quad<kVector>(place, left, grad);
  }
  ELBO_DEVICE static void finish_sum(const DenseBackwardWeights& op, WholeProduct, int row,
                                     float sum) {
    op.grad_bias[row] = op.accumulate ? op.grad_bias[row] + sum : sum;
  }
};

namespace {

/// True if the lines of both operands can be copied 16 bytes at a time.
bool vector_factors(const ConstReals& left, int32_t left_line, const ConstReals& right,
                    int32_t right_line) {
  const auto chunk = static_cast<int32_t>(16 / left.element_bytes());
  return has_vector_access({left.data, right.data}, {}) && left_line % chunk == 0 &&
         right_line % chunk == 0;
}

ProductArgs<DenseForward> product_args(const DenseForward& op) {
  const bool vector = vector_factors(op.x, op.in, op.weight, op.in);
  return {op, vector, vector,
          has_vector_access({op.bias, op.y.data, op.preactivation.data}, {op.out})};
}
ProductArgs<DenseBackwardInput> product_args(const DenseBackwardInput& op) {
  const bool vector = vector_factors(op.grad_y, op.out, op.weight, op.in);
  return {op, vector, vector, has_vector_access({op.saved.data, op.grad_x.data}, {op.in})};
}
ProductArgs<DenseBackwardWeights> product_args(const DenseBackwardWeights& op) {
  const bool vector = vector_factors(op.grad_y, op.out, op.x, op.in);
  return {op, vector, vector, has_vector_access({op.grad_weight}, {op.in})};
}

template <class Op>
void launch_dense(const Op& op, const ConstReals& left, const ConstReals& right,
                  const Queue& queue) {
  if (Product<Op>::rows(op) == 0 || Product<Op>::columns(op) == 0) return;
  ELBO_ASSERT(left.format == right.format);
  launch_product(product_args(op), left.format, op.precision, queue);
}

}  // namespace

AccessList early_reads(const DenseForward& op) {
  return AccessList().reads(op.weight, int64_t{op.in} * op.out);
}
AccessList early_reads(const DenseBackwardInput& op) {
  return AccessList().reads(op.weight, int64_t{op.in} * op.out);
}

void launch_op(const DenseForward& op, const Queue& queue) {
  launch_dense(op, op.x, op.weight, queue);
}
void launch_op(const DenseBackwardInput& op, const Queue& queue) {
  launch_dense(op, op.grad_y, op.weight, queue);
}
void launch_op(const DenseBackwardWeights& op, const Queue& queue) {
  launch_dense(op, op.grad_y, op.x, queue);
}

/// The epilogue of a product stored in op.y or op.grad_x, one row per block.
template <class Op>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) finish_product_kernel(ProductArgs<Op> args) {
  using P = Product<Op>;
  wait_for_previous_kernel();
  const Op& op = args.op;
  const int row = static_cast<int>(blockIdx.x), columns = P::columns(op);
  const Reals& result = P::result(op);
  for (int c = static_cast<int>(kQuad * threadIdx.x); c < columns;
       c += static_cast<int>(kQuad * blockDim.x)) {
    const int64_t place = int64_t{row} * columns + c;
    if (args.vector_result)
      P::template finish<true>(op, {op, 0}, row, c, columns - c,
                               load_quad<true>(result, place, columns - c));
    else
      P::template finish<false>(op, {op, 0}, row, c, columns - c,
                                load_quad<false>(result, place, columns - c));
  }
}

void finish_library_product(const DenseForward& op, const Queue& queue) {
  launch_rows(finish_product_kernel<DenseForward>, op.rows.capacity(), op.out, queue.stream,
              product_args(op));
}
void finish_library_product(const DenseBackwardInput& op, const Queue& queue) {
  if (!op.saved) return;
  launch_rows(finish_product_kernel<DenseBackwardInput>, op.rows.capacity(), op.in, queue.stream,
              product_args(op));
}
void finish_library_product(const DenseBackwardWeights& op, const Queue& queue) {
  launch_column_sum<float>({op.rows, op.out, op.grad_y, op.grad_bias, op.accumulate}, queue.stream);
}

}  // namespace elbo::cuda

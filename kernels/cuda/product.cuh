// The engine's matrix product. A block computes a tile of the result and applies the epilogue
// (bias, activation, derivative) before it stores the tile, so that an op of a layer is one kernel.
// The order of sums depends only on the shape.
//
// It is designed for the small products of small networks, for which a launch costs as much as the
// arithmetic. Libraries are better for large ones (kernels/cuda/tuning.hpp chooses by measuring).
#pragma once

#include "kernels/cuda/accumulators.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// An op and which of its arrays can be accessed in wide pieces.
template <class Op>
struct ProductArgs {
  Op op;
  bool vector_left;
  bool vector_right;
  bool vector_result;
  bool early_right = false;  // the first stages of the right operand are loaded before the wait
};

/// Describes an op to the kernel. An op may be several products of one size, its parts. Specialised
/// in dense.cu and convolution.cu:
///   left_along_depth, right_along_depth   whether an operand is contiguous along K
///   sums_left        whether the sums of the left operand over K are also needed
///   right_is_weight  whether the right operand is the op's weights (early_reads)
///   few_columns      whether results usually have few columns, so wide tiles would be mostly empty
///   rows, columns (op)                    size of each part's result
///   parts (op)                            number of parts
///   Part(op, number)                      one part, an argument of the functions below
///   depth(op, part)                       range of K
///   left<T>, right<T> (args, part)        operands
///   finish<kVector>(op, part, row, column, left, quad)   stores four sums of a row
///   finish_sum(op, part, row, sum)        stores a sum of the left operand, if sums_left
template <class Op>
struct Product;

/// A range of K; `begin` is a multiple of the depth of every method.
struct DepthRange {
  int32_t begin, end;
};

/// The only part of an op that is a single product.
struct WholeProduct {
  template <class Op>
  ELBO_DEVICE WholeProduct(const Op&, int) {}
};

/// Shared memory of a block that computes kRows x kColumns elements.
template <class Op, class Method, int kRows, int kColumns>
struct ProductMemory {
  using Element = typename Method::Element;
  using Left = StagedTile<Element, kRows, Method::depth, Product<Op>::left_along_depth>;
  using Right = StagedTile<Element, kColumns, Method::depth, Product<Op>::right_along_depth>;
  using Accumulator = typename Method::template Accumulator<kRows, kColumns, Left, Right>;

  static constexpr int kStageElements = Left::kElements + Right::kElements;
  static constexpr int kStageBytes = kStageElements * static_cast<int>(sizeof(Element));
  // Enough copies in flight to hide the latency of memory, within the shared memory that needs no
  // opt-in.
  static constexpr int kStages = 4 * kStageBytes <= 48 * 1024 ? 4 : 2;
  static constexpr int kPartialBytes = Accumulator::kSlices * kRows * kPartialPitch<kColumns> * 4;
  static constexpr size_t bytes =
      kStages * kStageBytes > kPartialBytes ? size_t{kStages} * kStageBytes : size_t{kPartialBytes};
  static_assert(bytes <= 48 * 1024);
};

/// Sums the rows of the left operand over K, in one block of each row of blocks.
template <class Staged, int kRows, int kDepth>
class RowSums {
  static constexpr int kParts = static_cast<int>(kProductThreads) / kRows;

 public:
  template <class T>
  ELBO_DEVICE void add(const T* stage) {
    ELBO_UNROLL
    for (int k = 0; k < kDepth / kParts; ++k)
      sum_ += math::to_float(Staged::at(stage, row_, part_ * (kDepth / kParts) + k));
  }
  /// The sum of row threadIdx.x, for the first kRows threads; `shared` is free to use.
  ELBO_DEVICE float total(float* shared) const {
    shared[part_ * kRows + row_] = sum_;
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.x < kRows)
      for (int part = 0; part < kParts; ++part)
        sum += shared[part * kRows + static_cast<int>(threadIdx.x)];
    __syncthreads();
    return sum;
  }

 private:
  int row_ = static_cast<int>(threadIdx.x) % kRows;
  int part_ = static_cast<int>(threadIdx.x) / kRows;
  float sum_ = 0.0f;
};

/// Applies `finish` to the tile's elements, quads of a row at a time.
template <class Op, int kRows, int kColumns, int kSlices, class Part>
ELBO_DEVICE void finish_tile(const ProductArgs<Op>& args, const Part& part, const float* partial,
                             int first_row, int first_column) {
  using P = Product<Op>;
  constexpr int kQuadsPerRow = kColumns / kQuad;
  for (int q = static_cast<int>(threadIdx.x); q < kRows * kQuadsPerRow; q += kProductThreads) {
    const int r = q / kQuadsPerRow, c = q % kQuadsPerRow * kQuad;
    const int row = first_row + r, column = first_column + c;
    const int left = P::columns(args.op) - column;
    if (row >= P::rows(args.op) || left <= 0) continue;
    math::Float4 sum = {};
    ELBO_UNROLL
    for (int slice = 0; slice < kSlices; ++slice) {
      const float4 v = load4(partial + (slice * kRows + r) * kPartialPitch<kColumns> + c);
      const float more[4] = {v.x, v.y, v.z, v.w};
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) sum.value[i] += more[i];
    }
    if (args.vector_result)
      P::template finish<true>(args.op, part, row, column, left, sum);
    else
      P::template finish<false>(args.op, part, row, column, left, sum);
  }
}

template <class Op, class Method, int kRows, int kColumns>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kProductThreads) product_kernel(ProductArgs<Op> args) {
  using P = Product<Op>;
  using Memory = ProductMemory<Op, Method, kRows, kColumns>;
  using Element = typename Memory::Element;
  constexpr int kStages = Memory::kStages, kDepth = Method::depth;
  ELBO_DYNAMIC_SHARED(unsigned char, shared);
  auto* stages = reinterpret_cast<Element*>(shared);

  const typename P::Part part(args.op, static_cast<int>(blockIdx.z));
  const DepthRange depth = P::depth(args.op, part);
  const auto left = P::template left<Element>(args, part);
  const auto right = P::template right<Element>(args, part);
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int first_column = static_cast<int>(blockIdx.y) * kColumns;
  const int steps = (depth.end - depth.begin + kDepth - 1) / kDepth;
  const auto stage_of = [&](int step) { return stages + step % kStages * Memory::kStageElements; };
  const auto load_left = [&](int step) {
    Memory::Left::load(stage_of(step), left, first_row, depth.begin + step * kDepth);
  };
  const auto load_right = [&](int step, const auto& factor) {
    Memory::Right::load(stage_of(step) + Memory::Left::kElements, factor, first_column,
                        depth.begin + step * kDepth);
  };

  const bool early_right = P::right_is_weight && args.early_right;
  if (early_right) {
    auto weights = right;
    weights.vector = true;
    for (int step = 0; step < kStages - 1 && step < steps; ++step) load_right(step, weights);
  }
  wait_for_previous_kernel();
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) load_left(step);
    if (step < steps && !early_right) load_right(step, right);
    copy_async_commit();  // the first group has all early copies
  }
  typename Memory::Accumulator accumulator;
  RowSums<typename Memory::Left, kRows, kDepth> left_sums;
  const bool sums_left = P::sums_left && blockIdx.y == 0;
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<kStages - 2>();
    __syncthreads();  // this step's tiles are complete, and the stage to fill next is free
    if (const int next = step + kStages - 1; next < steps) {
      load_left(next);
      load_right(next, right);
    }
    copy_async_commit();
    const Element* stage = stage_of(step);
    accumulator.add(stage, stage + Memory::Left::kElements);
    if (sums_left) left_sums.add(stage);
  }
  copy_async_wait<0>();
  __syncthreads();

  auto* partial = reinterpret_cast<float*>(shared);
  if constexpr (P::sums_left) {
    if (sums_left) {
      const float sum = left_sums.total(partial);
      const int row = first_row + static_cast<int>(threadIdx.x);
      if (threadIdx.x < kRows && row < P::rows(args.op)) P::finish_sum(args.op, part, row, sum);
    }
  }
  accumulator.store(partial);
  __syncthreads();
  finish_tile<Op, kRows, kColumns, Memory::Accumulator::kSlices>(args, part, partial, first_row,
                                                                 first_column);
}

template <class Op, class Method, int kRows, int kColumns>
void launch_product_tiles(const ProductArgs<Op>& args, Stream stream) {
  using P = Product<Op>;
  const dim3 grid(static_cast<unsigned>((P::rows(args.op) + kRows - 1) / kRows),
                  static_cast<unsigned>((P::columns(args.op) + kColumns - 1) / kColumns),
                  static_cast<unsigned>(P::parts(args.op)));
  launch(product_kernel<Op, Method, kRows, kColumns>, grid, kProductThreads,
         ProductMemory<Op, Method, kRows, kColumns>::bytes, stream, args);
}

/// Chooses the largest tile with enough blocks for a GPU's multiprocessors. The choice depends only
/// on the shape, because the tile determines the order of additions.
template <class Op, class Method>
void launch_product(const ProductArgs<Op>& args, Stream stream) {
  using P = Product<Op>;
  constexpr int64_t kEnoughBlocks = 96;
  const auto blocks = [&](int64_t rows, int64_t columns) {
    return ((P::rows(args.op) + rows - 1) / rows) *
           ((P::columns(args.op) + columns - 1) / columns) * P::parts(args.op);
  };
  const bool wide = !P::few_columns || P::columns(args.op) > 32;
  if (wide && blocks(64, 64) >= kEnoughBlocks)
    launch_product_tiles<Op, Method, 64, 64>(args, stream);
  else if (blocks(32, 32) >= kEnoughBlocks)
    launch_product_tiles<Op, Method, 32, 32>(args, stream);
  else
    launch_product_tiles<Op, Method, 16, 32>(args, stream);
}

/// Chooses the method by an op's formats and precision.
template <class Op>
void launch_product(ProductArgs<Op> args, Format factors, Precision precision, const Queue& queue) {
  const Stream stream = queue.stream;
  // Copies of 16 bytes bypass the L1 cache. Smaller copies do not, and before the wait L1 may still
  // hold old content of the memory.
  args.early_right = queue.early_reads && args.vector_right;
  if (factors == Format::bf16)
    launch_product<Op, TensorMethod<Bf16Fragments>>(args, stream);
  else if (precision == Precision::tf32)
    launch_product<Op, TensorMethod<Tf32Fragments>>(args, stream);
  else
    launch_product<Op, FloatMethod>(args, stream);
}

}  // namespace elbo::cuda

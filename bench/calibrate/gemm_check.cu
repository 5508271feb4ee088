#include "bench/calibrate/gemm_check.cuh"

#include <cuda_bf16.h>

#include <cmath>
#include <limits>

#include "kernels/math/philox.hpp"

namespace elbo::calibrate {
namespace {

constexpr unsigned kThreads = 256;
constexpr uint64_t kSeed = 1;

__device__ double load(const void* data, Element element, int64_t i) {
  if (element == Element::f32) return static_cast<const float*>(data)[i];
  return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
}

__device__ int64_t thread_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ int64_t thread_count() { return int64_t{gridDim.x} * blockDim.x; }

/// Adds the sum of the block's values to `total`. All kThreads threads of the block must call it.
__device__ void add_to(double* total, double value) {
  __shared__ double values[kThreads];
  values[threadIdx.x] = value;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
  }
  if (threadIdx.x == 0) atomicAdd(total, values[0]);
  __syncthreads();
}

__global__ void fill_kernel(void* out, Element element, int64_t count, uint64_t subsequence,
                            float scale) {
  for (int64_t group = thread_index(); 4 * group < count; group += thread_count()) {
    const math::Float4 normals = math::normal4(kSeed, subsequence, static_cast<uint64_t>(group));
    for (int64_t i = 0; i < 4 && 4 * group + i < count; ++i) {
      const float value = scale * normals.value[i];
      if (element == Element::f32)
        static_cast<float*>(out)[4 * group + i] = value;
      else
        static_cast<__nv_bfloat16*>(out)[4 * group + i] = __float2bfloat16(value);
    }
  }
}

struct ProductArgs {
  const void *a, *b;
  Element element;
  bool a_transposed, b_transposed;
  int64_t m, n, k, columns;
  double* out;  // [columns][m]
};

/// Each thread computes one element per iteration. Adjacent lanes of a warp compute adjacent
/// elements of a column.
__global__ void __launch_bounds__(kThreads) product_kernel(ProductArgs args) {
  for (int64_t i = thread_index(); i < args.m * args.columns; i += thread_count()) {
    const int64_t row = i % args.m;
    const int64_t column = i / args.m * args.n / args.columns;
    const int64_t a_first = args.a_transposed ? row * args.k : row;
    const int64_t a_step = args.a_transposed ? 1 : args.m;
    const int64_t b_first = args.b_transposed ? column : column * args.k;
    const int64_t b_step = args.b_transposed ? args.n : 1;
    double sum = 0.0;
    for (int64_t l = 0; l < args.k; ++l)
      sum = fma(load(args.a, args.element, a_first + l * a_step),
                load(args.b, args.element, b_first + l * b_step), sum);
    args.out[i] = sum;
  }
}

struct ErrorArgs {
  const void* d;
  Element element;
  int64_t m, n;
  Expected expected;
  double* sums;  // squared differences, squared expected values, elements that are not finite
};

__global__ void __launch_bounds__(kThreads) error_kernel(ErrorArgs args) {
  const Expected& expected = args.expected;
  double difference = 0.0, size = 0.0, wild = 0.0;
  for (int64_t i = thread_index(); i < args.m * expected.columns; i += thread_count()) {
    const int64_t row = i % args.m;
    const int64_t column = i / args.m * args.n / expected.columns;
    double value = expected.product[i];
    if (expected.added_bias != nullptr) value += load(expected.added_bias, args.element, row);
    if (expected.relu) value = value > 0.0 ? value : 0.0;
    if (expected.open_where != nullptr &&
        !(load(expected.open_where, Element::bf16, column * args.m + row) > 0.0))
      value = 0.0;
    const double off = load(args.d, args.element, column * args.m + row) - value;
    difference += off * off;
    size += value * value;
  }
  for (int64_t i = thread_index(); i < args.m * args.n; i += thread_count())
    if (!isfinite(load(args.d, args.element, i))) wild += 1.0;
  add_to(args.sums, difference);
  add_to(args.sums + 1, size);
  add_to(args.sums + 2, wild);
}

struct RowSumArgs {
  const void* matrix;
  Element matrix_element;
  int64_t rows, columns;
  const void* actual;
  Element actual_element;
  double* sums;  // squared differences, squared sums
};

__global__ void __launch_bounds__(kThreads) row_sum_kernel(RowSumArgs args) {
  double difference = 0.0, size = 0.0;
  for (int64_t row = thread_index(); row < args.rows; row += thread_count()) {
    double sum = 0.0;
#pragma unroll 8
    for (int64_t column = 0; column < args.columns; ++column)
      sum += load(args.matrix, args.matrix_element, column * args.rows + row);
    const double off = load(args.actual, args.actual_element, row) - sum;
    difference += off * off;
    size += sum * sum;
  }
  add_to(args.sums, difference);
  add_to(args.sums + 1, size);
}

struct MaskArgs {
  const unsigned char* mask;
  int64_t bits_per_column;
  const void* d;
  Element element;
  int64_t m, n;
  double* sums;  // wrong bits
};

__global__ void __launch_bounds__(kThreads) mask_kernel(MaskArgs args) {
  double wrong = 0.0;
  for (int64_t i = thread_index(); i < args.m * args.n; i += thread_count()) {
    const int64_t bit = i / args.m * args.bits_per_column + i % args.m;
    const bool open = (args.mask[bit / 8] >> (bit % 8) & 1) != 0;
    if (open != (load(args.d, args.element, i) > 0.0)) wrong += 1.0;
  }
  add_to(args.sums, wrong);
}

/// Returns enough blocks for `items` threads, but at most 32 per multiprocessor.
LaunchShape shape_for(const Gpu& gpu, int64_t items) {
  const int64_t wanted = (items + kThreads - 1) / kThreads;
  const int64_t most = int64_t{32} * gpu.multiprocessors();
  return {.blocks = static_cast<unsigned>(wanted < most ? wanted : most), .threads = kThreads};
}

double relative(double difference, double size) { return std::sqrt(difference / size); }

}  // namespace

void GemmCheck::clear() const {
  check(cudaMemsetAsync(sums_.data(), 0, sums_.bytes(), gpu_.stream()), "clear memory");
}

std::vector<double> GemmCheck::sums() const {
  std::vector<double> values(sums_.size());
  gpu_.synchronize();
  check(cudaMemcpy(values.data(), sums_.data(), sums_.bytes(), cudaMemcpyDeviceToHost),
        "copy memory");
  return values;
}

void GemmCheck::fill_normals(void* out, Element element, int64_t count, uint64_t subsequence,
                             double scale) const {
  launch(gpu_.stream(), shape_for(gpu_, (count + 3) / 4), fill_kernel, out, element, count,
         subsequence, static_cast<float>(scale));
}

void GemmCheck::product(const MatrixProduct& shape, const void* a, const void* b, int64_t columns,
                        double* out) const {
  launch(gpu_.stream(), shape_for(gpu_, shape.m * columns), product_kernel,
         ProductArgs{a, b, shape.input, shape.a_transposed, shape.b_transposed, shape.m, shape.n,
                     shape.k, columns, out});
}

double GemmCheck::error(const MatrixProduct& shape, const void* d, const Expected& expected) const {
  clear();
  launch(gpu_.stream(), shape_for(gpu_, shape.m * shape.n), error_kernel,
         ErrorArgs{d, shape.output, shape.m, shape.n, expected, sums_.data()});
  const std::vector<double> found = sums();
  if (found[2] != 0.0) return std::numeric_limits<double>::quiet_NaN();
  return relative(found[0], found[1]);
}

double GemmCheck::row_sum_error(const void* matrix, Element matrix_element, int64_t rows,
                                int64_t columns, const void* actual, Element actual_element) const {
  clear();
  launch(gpu_.stream(), shape_for(gpu_, rows), row_sum_kernel,
         RowSumArgs{matrix, matrix_element, rows, columns, actual, actual_element, sums_.data()});
  const std::vector<double> found = sums();
  return relative(found[0], found[1]);
}

int64_t GemmCheck::wrong_mask_bits(const void* mask, const MatrixProduct& shape,
                                   const void* d) const {
  clear();
  launch(gpu_.stream(), shape_for(gpu_, shape.m * shape.n), mask_kernel,
         MaskArgs{static_cast<const unsigned char*>(mask), mask_bits_per_column(shape.m), d,
                  shape.output, shape.m, shape.n, sums_.data()});
  return static_cast<int64_t>(sums()[0]);
}

}  // namespace elbo::calibrate

#include <algorithm>

#include "bench/reference_ops.hpp"

namespace elbo::reference {
namespace {

double largest(const ConstReals& numbers, int64_t count) {
  double most = 0.0;
#pragma omp parallel for reduction(max : most)
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(at(numbers, i)));
  return most;
}

/// sum += factor * terms, element by element
void add_to(std::vector<double>& sum, double factor, const std::vector<double>& terms) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += factor * terms[i];
}

std::vector<std::vector<double>> rows_of(const ConstReals& matrix, int64_t rows, int64_t columns,
                                         Precision precision) {
  std::vector<std::vector<double>> lines(static_cast<size_t>(rows));
#pragma omp parallel for
  for (int64_t r = 0; r < rows; ++r)
    lines[static_cast<size_t>(r)] = doubles(matrix, r * columns, columns, precision);
  return lines;
}

}  // namespace

Output product(std::string_view name, const Reals& result, int64_t count, const Factors& f) {
  const auto depth = static_cast<double>(f.depth);
  Output out = output(name, result, count, sum_of(depth), 2.0);
  if (f.precision != Precision::fp32) out.roundings += depth / 4.0;
  if (f.precision == Precision::tf32) {
    out.roundings += 0x1p24 * 0x1p-10;
    out.slack = 8.0 * std::sqrt(depth) * 0x1p-10 * largest(f.left, f.left_count);
    if (f.right) out.slack *= largest(f.right, f.right_count);
  }
  return out;
}

std::vector<double> doubles(const ConstReals& numbers, int64_t first, int64_t count,
                            Precision precision) {
  std::vector<double> copy(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    copy[static_cast<size_t>(i)] = factor(numbers, first + i, precision);
  return copy;
}

void run_op(const DenseForward& op) {
  const auto weight = rows_of(op.weight, op.out, op.in, op.precision);
  op.activation.visit([&](auto activation) {
#pragma omp parallel for
    for (int64_t r = 0; r < op.rows.active(); ++r) {
      const std::vector<double> x = doubles(op.x, r * op.in, op.in, op.precision);
      for (int64_t o = 0; o < op.out; ++o) {
        const std::vector<double>& w = weight[static_cast<size_t>(o)];
        double sum = op.bias[o];
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < x.size(); ++i) sum += x[i] * w[i];
        if (op.preactivation) put(op.preactivation, r * op.out + o, sum);
        put(op.y, r * op.out + o, decltype(activation)::value(sum));
      }
    }
  });
}
std::vector<Output> outputs_of(const DenseForward& op) {
  const int64_t rows = op.rows.active(), count = rows * op.out;
  const Factors factors = {op.x,  op.weight,   rows * op.in, int64_t{op.in} * op.out,
                           op.in, op.precision};
  std::vector<Output> outputs = {product("y", op.y, count, factors)};
  if (op.preactivation)
    outputs.push_back(product("preactivation", op.preactivation, count, factors));
  return outputs;
}

void run_op(const DenseBackwardInput& op) {
  const auto weight = rows_of(op.weight, op.out, op.in, op.precision);
  op.activation.visit([&](auto activation) {
#pragma omp parallel for
    for (int64_t r = 0; r < op.rows.active(); ++r) {
      std::vector<double> sum(static_cast<size_t>(op.in), 0.0);
      for (int64_t o = 0; o < op.out; ++o)
        add_to(sum, factor(op.grad_y, r * op.out + o, op.precision),
               weight[static_cast<size_t>(o)]);
      for (int64_t i = 0; i < op.in; ++i) {
        const int64_t place = r * op.in + i;
        const double slope = op.saved ? decltype(activation)::derivative(at(op.saved, place)) : 1.0;
        put(op.grad_x, place, sum[static_cast<size_t>(i)] * slope);
      }
    }
  });
}
std::vector<Output> outputs_of(const DenseBackwardInput& op) {
  const int64_t rows = op.rows.active();
  return {product(
      "grad_x", op.grad_x, rows * op.in,
      {op.grad_y, op.weight, rows * op.out, int64_t{op.in} * op.out, op.out, op.precision})};
}

void run_op(const DenseBackwardWeights& op) {
  const auto x = rows_of(op.x, op.rows.active(), op.in, op.precision);
#pragma omp parallel for
  for (int64_t o = 0; o < op.out; ++o) {
    std::vector<double> sum(static_cast<size_t>(op.in), 0.0);
    double grad_bias = 0.0;
    if (op.accumulate) {
      sum = doubles(op.grad_weight, o * op.in, op.in);
      grad_bias = op.grad_bias[o];
    }
    for (int64_t r = 0; r < op.rows.active(); ++r) {
      const double grad = at(op.grad_y, r * op.out + o);
      grad_bias += grad;
      add_to(sum, factor(op.grad_y, r * op.out + o, op.precision), x[static_cast<size_t>(r)]);
    }
    std::transform(sum.begin(), sum.end(), op.grad_weight + o * op.in, as_float);
    op.grad_bias[o] = as_float(grad_bias);
  }
}
std::vector<Output> outputs_of(const DenseBackwardWeights& op) {
  const int64_t rows = op.rows.active();
  return {product("grad_weight", op.grad_weight, int64_t{op.out} * op.in,
                  {op.grad_y, op.x, rows * op.out, rows * op.in, rows, op.precision}),
          // A library may sum the operand after its rounding to the product's precision.
          product("grad_bias", op.grad_bias, op.out,
                  {op.grad_y, nullptr, rows * op.out, 0, rows, op.precision})};
}

}  // namespace elbo::reference

#include "cuda_emulation/simulated_gpu/cublaslt_problem.hpp"

#include <cmath>
#include <vector>

#include "cuda_emulation/simulated_gpu/library_objects.hpp"
#include "cuda_emulation/simulated_gpu/operations.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"

namespace elbo::cuda::simulated {
namespace {

constexpr uint32_t kAux = 128, kBias = CUBLASLT_EPILOGUE_BIAS, kRelu = CUBLASLT_EPILOGUE_RELU;

bool has(uint32_t epilogue, uint32_t part) { return (epilogue & part) == part; }

Number number_of(cudaDataType_t type) {
  return type == CUDA_R_16BF ? Number::kBfloat16 : Number::kFloat;
}

/// A matrix in device memory. The constructor records one access to each whole column.
class Columns {
 public:
  Columns(Access& access, const MatrixLayout& layout, const void* data, Touch touch)
      : type_(number_of(layout.type)) {
    const uint64_t step = static_cast<uint64_t>(layout.stride) * size_of(type_);
    for (uint64_t c = 0; c < layout.columns; ++c) {
      auto* column = static_cast<std::byte*>(const_cast<void*>(data)) + c * step;
      const size_t bytes = layout.rows * size_of(type_);
      if (touch == Touch::kRead)
        columns_.push_back(const_cast<std::byte*>(access.read(column, bytes)));
      else
        columns_.push_back(touch == Touch::kWrite ? access.write(column, bytes)
                                                  : access.update(column, bytes));
    }
  }
  float at(uint64_t row, uint64_t column) const {
    return load(columns_[column] + row * size_of(type_), type_);
  }
  void set(uint64_t row, uint64_t column, float value) {
    store(columns_[column] + row * size_of(type_), type_, value);
  }

 private:
  Number type_;
  std::vector<std::byte*> columns_;
};

/// Returns the operand as [outer][k] floats, rounded to TF32 if `tf32`.
std::vector<float> operand(const Columns& columns, uint64_t outer, uint64_t k, bool k_is_row,
                           bool tf32) {
  std::vector<float> values;
  values.reserve(outer * k);
  for (uint64_t i = 0; i < outer; ++i)
    for (uint64_t t = 0; t < k; ++t) {
      const float value = k_is_row ? columns.at(t, i) : columns.at(i, t);
      values.push_back(tf32 ? to_tf32(value) : value);
    }
  return values;
}

float dot(const float* a, const float* b, uint64_t k, uint64_t way) {
  float parts[4] = {};
  const uint64_t count = way % 4 + 1;
  for (uint64_t t = 0; t < k; ++t) {
    const uint64_t u = way % 2 == 0 ? t : k - 1 - t;
    parts[u % count] = std::fma(a[u], b[u], parts[u % count]);
  }
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

/// The ReLU mask: one bit per element of the result, set if the element was positive.
class ReluMask {
 public:
  ReluMask(Access& access, const MatmulDescription& d, uint64_t columns)
      : stride_(static_cast<uint64_t>(d.mask_stride)) {
    if (!has(d.epilogue, kAux)) return;
    const size_t bytes = stride_ / 8 * columns;
    bits_ = has(d.epilogue, kRelu) ? access.write(d.mask, bytes)
                                   : const_cast<std::byte*>(access.read(d.mask, bytes));
  }
  explicit operator bool() const { return bits_ != nullptr; }
  bool at(uint64_t row, uint64_t column) const {
    const uint64_t bit = column * stride_ + row;
    return (bits_[bit / 8] >> static_cast<int>(bit % 8) & std::byte{1}) != std::byte{0};
  }
  void set(uint64_t row, uint64_t column, bool value) {
    const uint64_t bit = column * stride_ + row;
    const std::byte mask = std::byte{1} << static_cast<int>(bit % 8);
    if (value)
      bits_[bit / 8] |= mask;
    else
      bits_[bit / 8] &= ~mask;
  }

 private:
  uint64_t stride_;
  std::byte* bits_ = nullptr;
};

}  // namespace

const char* name_of_epilogue(uint32_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
      return "DEFAULT";
    case CUBLASLT_EPILOGUE_BIAS:
      return "BIAS";
    case CUBLASLT_EPILOGUE_RELU_BIAS:
      return "RELU_BIAS";
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
      return "RELU_AUX_BIAS";
    case CUBLASLT_EPILOGUE_DRELU:
      return "DRELU";
    case CUBLASLT_EPILOGUE_BGRADB:
      return "BGRADB";
    default:
      return nullptr;
  }
}

std::string MatmulProblem::refusal() const {
  const MatmulDescription& d = description;
  if (d.scale != CUDA_R_32F) return "a scale type other than float";
  const bool floats = a.type == CUDA_R_32F && b.type == CUDA_R_32F && c.type == CUDA_R_32F;
  const bool halves = a.type == CUDA_R_16BF && b.type == CUDA_R_16BF &&
                      (c.type == CUDA_R_16BF || c.type == CUDA_R_32F);
  if (!floats && !halves) return "a combination of types that it has not";
  if (halves && d.compute != CUBLAS_COMPUTE_32F && d.compute != CUBLAS_COMPUTE_32F_PEDANTIC)
    return "a compute type that it has not for bfloat16";
  if ((transposed(0) ? a.columns : a.rows) != m() || (transposed(1) ? b.rows : b.columns) != n() ||
      (transposed(1) ? b.columns : b.rows) != k())
    return "sizes that do not fit together";
  for (const MatrixLayout* layout : {&a, &b, &c})
    if (layout->stride < static_cast<int64_t>(layout->rows))
      return "a leading dimension below the number of rows";
  if (name_of_epilogue(d.epilogue) == nullptr) return "an epilogue that is not simulated";
  if ((d.epilogue & (kBias | CUBLASLT_EPILOGUE_BGRADB)) != 0) {
    if (d.bias == nullptr) return "an epilogue without its bias pointer";
    if (d.bias_type != -1 && static_cast<cudaDataType_t>(d.bias_type) != c.type)
      return "a bias of another type than the result";
  }
  if (has(d.epilogue, kAux)) {
    if (d.mask == nullptr) return "an epilogue without its mask";
    if (d.mask_stride % 128 != 0 || d.mask_stride < static_cast<int64_t>(m()))
      return "a leading dimension of the mask that is no multiple of 128, or below the rows";
  }
  return "";
}

uint64_t MatmulProblem::hash() const {
  const uint64_t values[] = {description.epilogue,
                             static_cast<uint64_t>(description.transposed[0]),
                             static_cast<uint64_t>(description.transposed[1]),
                             static_cast<uint64_t>(description.compute),
                             m(),
                             n(),
                             k(),
                             static_cast<uint64_t>(a.stride),
                             static_cast<uint64_t>(b.stride),
                             static_cast<uint64_t>(c.stride),
                             static_cast<uint64_t>(a.type),
                             static_cast<uint64_t>(c.type)};
  return hash_of(values, sizeof values);
}

void MatmulProblem::compute(Access& access, uint64_t way, const MatmulArrays& arrays) const {
  const MatmulDescription& d = description;
  const bool tf32 = d.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const Number type = number_of(c.type);
  const std::vector<float> left =
      operand(Columns(access, a, arrays.a, Touch::kRead), m(), k(), transposed(0), tf32);
  const std::vector<float> right =
      operand(Columns(access, b, arrays.b, Touch::kRead), n(), k(), !transposed(1), tf32);
  Columns result(access, c, arrays.c, arrays.beta != 0.0f ? Touch::kUpdate : Touch::kWrite);
  if (arrays.workspace_bytes > 0)
    std::memset(access.write(arrays.workspace, arrays.workspace_bytes), 0xff,
                arrays.workspace_bytes);
  const std::byte* bias =
      has(d.epilogue, kBias) ? access.read(d.bias, m() * size_of(type)) : nullptr;
  ReluMask mask(access, d, n());
  const auto factor = static_cast<float>(1.0 + Options::get().noise);
  for (uint64_t j = 0; j < n(); ++j)
    for (uint64_t i = 0; i < m(); ++i) {
      const float sum = dot(&left[i * k()], &right[j * k()], k(), way);
      float value = arrays.alpha * sum * factor;
      if (arrays.beta != 0.0f) value += arrays.beta * result.at(i, j);
      if (bias != nullptr) value += load(bias + i * size_of(type), type);
      if (has(d.epilogue, kRelu)) {
        if (mask) mask.set(i, j, value > 0.0f);
        if (value <= 0.0f) value = 0.0f;
      } else if (mask && !mask.at(i, j)) {
        value = 0.0f;
      }
      result.set(i, j, value);
    }
  if (d.epilogue != CUBLASLT_EPILOGUE_BGRADB) return;
  std::byte* gradient = access.write(d.bias, n() * size_of(type));
  for (uint64_t j = 0; j < n(); ++j) {
    float sum = 0.0f;
    for (uint64_t t = 0; t < k(); ++t) sum += right[j * k() + t];
    store(gradient + j * size_of(type), type, sum);
  }
}

}  // namespace elbo::cuda::simulated

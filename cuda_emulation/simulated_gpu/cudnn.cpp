// The functions of cuDNN that the engine calls. Convolutions are plain loops in double precision.
// The backend (cudnn_backend.hpp) decides when they run and in which memory.
#include <cudnn.h>

#include <cstring>
#include <sstream>
#include <vector>

#include "cuda_emulation/simulated_gpu/cudnn_backend.hpp"
#include "cuda_emulation/simulated_gpu/library_objects.hpp"

using namespace elbo::cuda::simulated;

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  cudnnDataType_t type{};
  int n = 0, c = 0, h = 0, w = 0;
};
struct cudnnFilterStruct {
  cudnnDataType_t type{};
  int k = 0, c = 0, h = 0, w = 0;
};
struct cudnnConvolutionStruct {
  int pad[2] = {}, stride[2] = {}, dilation[2] = {}, groups = 1;
  cudnnConvolutionMode_t mode{};
  cudnnDataType_t compute{};
  cudnnMathType_t math{};
};
struct cudnnActivationStruct {
  cudnnActivationMode_t mode{};
  cudnnNanPropagation_t nan{};
};

namespace {

template <class T>
cudnnStatus_t create(const char* function, T** out) {
  if (cudnn::fails(function)) return CUDNN_STATUS_INTERNAL_ERROR;
  *out = new T();
  cudnn::count_objects(1);
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(const char* function, T* object) {
  delete object;
  cudnn::count_objects(-1);
  return cudnn::fails(function) ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

Number number_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? Number::kFloat : Number::kBfloat16;
}
int64_t count(const cudnnTensorStruct& t) { return int64_t{t.n} * t.c * t.h * t.w; }
int64_t count(const cudnnFilterStruct& f) { return int64_t{f.k} * f.c * f.h * f.w; }

/// Returns all elements as doubles, rounded to TF32 if `tf32`.
template <class Array>
std::vector<double> values(const Array& array, const std::byte* data, bool tf32) {
  const Number type = number_of(array.type);
  std::vector<double> result(static_cast<size_t>(count(array)));
  for (size_t i = 0; i < result.size(); ++i) {
    const float value = load(data + i * size_of(type), type);
    result[i] = tf32 ? to_tf32(value) : value;
  }
  return result;
}

const char* name_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? "f32" : type == CUDNN_DATA_BFLOAT16 ? "bf16" : "?";
}
std::string text(const cudnnTensorStruct& t) {
  std::ostringstream out;
  out << name_of(t.type) << ' ' << t.n << 'x' << t.h << 'x' << t.w << 'x' << t.c;
  return out.str();
}
std::string text(const cudnnFilterStruct& f) {
  std::ostringstream out;
  out << name_of(f.type) << ' ' << f.k << 'x' << f.h << 'x' << f.w << 'x' << f.c;
  return out.str();
}
std::string text(const cudnnConvolutionStruct& c) {
  std::ostringstream out;
  out << "padding " << c.pad[0] << ' ' << c.pad[1] << " stride " << c.stride[0] << ' '
      << c.stride[1] << " groups " << c.groups
      << (c.math == CUDNN_FMA_MATH         ? " fma"
          : c.math == CUDNN_TENSOR_OP_MATH ? " tensor"
                                           : " default");
  return out.str();
}

/// The convolution that a call describes. In all directions, x is the input of the forward one.
struct Convolution {
  cudnnTensorStruct x;
  cudnnFilterStruct w;
  cudnnConvolutionStruct c;
  cudnnTensorStruct y;

  bool tf32() const { return c.math != CUDNN_FMA_MATH && w.type == CUDNN_DATA_FLOAT; }

  /// Returns true if the descriptors are consistent and describe a supported convolution.
  bool fits() const {
    const auto size = [&](int wide, int taps, int i) {
      return (wide + 2 * c.pad[i] - taps) / c.stride[i] + 1;
    };
    return x.n == y.n && x.c == w.c * c.groups && y.c == w.k && w.k % c.groups == 0 &&
           y.h == size(x.h, w.h, 0) && y.w == size(x.w, w.w, 1) && c.dilation[0] == 1 &&
           c.dilation[1] == 1 && c.mode == CUDNN_CROSS_CORRELATION && c.compute == CUDNN_DATA_FLOAT;
  }

  /// Calls meet(x, y, w), with the indices of the elements, for every product of the convolution.
  template <class Meet>
  void for_products(Meet meet) const {
    for (int n = 0; n < y.n; ++n)
      for (int k = 0; k < y.c; ++k)
        for (int h = 0; h < y.h; ++h)
          for (int v = 0; v < y.w; ++v)
            for (int i = 0; i < w.h; ++i)
              for (int j = 0; j < w.w; ++j) {
                const int row = h * c.stride[0] - c.pad[0] + i;
                const int column = v * c.stride[1] - c.pad[1] + j;
                if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
                for (int d = 0; d < w.c; ++d) {
                  const int channel = k / (w.k / c.groups) * w.c + d;
                  meet(static_cast<size_t>(((int64_t{n} * x.h + row) * x.w + column) * x.c +
                                           channel),
                       static_cast<size_t>(((int64_t{n} * y.h + h) * y.w + v) * y.c + k),
                       static_cast<size_t>(((int64_t{k} * w.h + i) * w.w + j) * w.c + d));
                }
              }
  }
};

using Sums = std::vector<double>;
using Inputs = std::vector<const std::byte*>;

/// Enqueues result = one * sums + kept * result. `add` receives the inputs' memory and adds to the
/// sums.
template <class Result, class Add>
cudnnStatus_t run(const char* function, const char* name, cudnnHandle_t handle, int algorithm,
                  void* workspace, size_t workspace_bytes, std::vector<cudnn::Array> inputs,
                  const Result& description, void* result, const void* one, const void* kept,
                  Add add) {
  if (cudnn::fails(function)) return CUDNN_STATUS_EXECUTION_FAILED;
  const Number type = number_of(description.type);
  const auto elements = static_cast<size_t>(count(description));
  const float scale = *static_cast<const float*>(one), rest = *static_cast<const float*>(kept);
  const auto compute = [=](const Inputs& memory, std::byte* out, double factor) {
    Sums sums(elements);
    add(memory, sums);
    for (size_t i = 0; i < elements; ++i) {
      std::byte* at = out + i * size_of(type);
      const double before = rest == 0.0f ? 0.0 : rest * load(at, type);
      store(at, type, static_cast<float>(scale * sums[i] * factor + before));
    }
  };
  return cudnn::enqueue({name,
                         algorithm,
                         handle->stream,
                         workspace,
                         workspace_bytes,
                         std::move(inputs),
                         {result, elements * size_of(type)},
                         rest != 0.0f,
                         compute});
}

template <class Description>
cudnn::Array array(const Description& description, const void* data) {
  return {data, static_cast<size_t>(count(description)) * size_of(number_of(description.type))};
}

Sums forward_sums(const Convolution& p, const Inputs& memory) {
  const auto x = values(p.x, memory[0], p.tf32()), w = values(p.w, memory[1], p.tf32());
  Sums sums(static_cast<size_t>(count(p.y)));
  p.for_products([&](size_t i, size_t j, size_t k) { sums[j] += x[i] * w[k]; });
  return sums;
}

/// Returns acceptable proposals, one of them twice, and every kind of proposal that the caller must
/// reject.
template <class Proposal>
cudnnStatus_t propose(const char* function, const char* name, const Convolution& p, int wanted,
                      int* found, Proposal* proposals) {
  if (cudnn::fails(function)) return CUDNN_STATUS_INTERNAL_ERROR;
  cudnn::note(std::string(name) + ": wide " + text(p.x) + ", weight " + text(p.w) + ", " +
              text(p.c) + ", narrow " + text(p.y));
  if (!p.fits()) return CUDNN_STATUS_BAD_PARAM;
  *found = 0;
  const auto add = [&](int algorithm, cudnnStatus_t status, cudnnDeterminism_t determinism) {
    Proposal proposal{};
    proposal.algo = static_cast<decltype(Proposal::algo)>(algorithm);
    proposal.status = status;
    proposal.determinism = determinism;
    if (*found < wanted) proposals[(*found)++] = proposal;
  };
  add(0, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_DETERMINISTIC);
  add(1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  add(0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC);
  add(1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  for (const int algorithm : {5, 2, 3})  // 5 uses transforms, and 2 in the backward directions
    add(algorithm, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  return CUDNN_STATUS_SUCCESS;
}

/// Returns 1000 bytes for algorithm 1, 0 for algorithm 2, and more than any device has for others.
cudnnStatus_t workspace_bytes(const char* function, int algorithm, size_t* bytes) {
  if (cudnn::fails(function)) return CUDNN_STATUS_INTERNAL_ERROR;
  *bytes = algorithm == 1 ? 1000 : algorithm == 2 ? 0 : size_t{1} << 40;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t only_nhwc(const char* function, cudnnTensorFormat_t format) {
  if (cudnn::fails(function)) return CUDNN_STATUS_INTERNAL_ERROR;
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return cudnn::version(); }
const char* cudnnGetErrorString(cudnnStatus_t status) { return cudnn::error_text(status); }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return cudnn::starts() ? create("cudnnCreate", handle) : CUDNN_STATUS_NOT_INITIALIZED;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy("cudnnDestroy", handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  if (cudnn::fails("cudnnSetStream")) return CUDNN_STATUS_BAD_PARAM;
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* out) {
  return create("cudnnCreateTensorDescriptor", out);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t description) {
  return destroy("cudnnDestroyTensorDescriptor", description);
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* out) {
  return create("cudnnCreateFilterDescriptor", out);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t description) {
  return destroy("cudnnDestroyFilterDescriptor", description);
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* out) {
  return create("cudnnCreateConvolutionDescriptor", out);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t description) {
  return destroy("cudnnDestroyConvolutionDescriptor", description);
}
cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* out) {
  return create("cudnnCreateActivationDescriptor", out);
}
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t description) {
  return destroy("cudnnDestroyActivationDescriptor", description);
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t out, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  *out = {type, n, c, h, w};
  return only_nhwc("cudnnSetTensor4dDescriptor", format);
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t out, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  *out = {type, k, c, h, w};
  return only_nhwc("cudnnSetFilter4dDescriptor", format);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  *c = {{pad_h, pad_w}, {stride_h, stride_w}, {dilation_h, dilation_w}, 1, mode, compute, {}};
  return only_nhwc("cudnnSetConvolution2dDescriptor", CUDNN_TENSOR_NHWC);
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t c, int groups) {
  c->groups = groups;
  return only_nhwc("cudnnSetConvolutionGroupCount", CUDNN_TENSOR_NHWC);
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math) {
  c->math = math;
  return only_nhwc("cudnnSetConvolutionMathType", CUDNN_TENSOR_NHWC);
}
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t a,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t nan,
                                           double) {
  *a = {mode, nan};
  return only_nhwc("cudnnSetActivationDescriptor", CUDNN_TENSOR_NHWC);
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t c,
                                                     cudnnTensorDescriptor_t y, int wanted,
                                                     int* found,
                                                     cudnnConvolutionFwdAlgoPerf_t* proposals) {
  return propose("cudnnGetConvolutionForwardAlgorithm_v7", "forward", {*x, *w, *c, *y}, wanted,
                 found, proposals);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t, cudnnTensorDescriptor_t, cudnnFilterDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes("cudnnGetConvolutionForwardWorkspaceSize", algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* one,
                                      cudnnTensorDescriptor_t xd, const void* x,
                                      cudnnFilterDescriptor_t wd, const void* w,
                                      cudnnConvolutionDescriptor_t c,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      size_t bytes, const void* kept, cudnnTensorDescriptor_t yd,
                                      void* y) {
  const Convolution p{*xd, *wd, *c, *yd};
  return run("cudnnConvolutionForward", "forward", handle, algorithm, workspace, bytes,
             {array(*xd, x), array(*wd, w)}, *yd, y, one, kept,
             [p](const Inputs& memory, Sums& sums) { sums = forward_sums(p, memory); });
}
cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* one, cudnnTensorDescriptor_t xd, const void* x,
    cudnnFilterDescriptor_t wd, const void* w, cudnnConvolutionDescriptor_t c,
    cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t bytes, const void* none,
    cudnnTensorDescriptor_t zd, const void*, cudnnTensorDescriptor_t bd, const void* bias,
    cudnnActivationDescriptor_t activation, cudnnTensorDescriptor_t yd, void* y) {
  const bool relu = activation->mode == CUDNN_ACTIVATION_RELU;
  // As in cuDNN, the identity is supported by this algorithm only, and the bias is per channel.
  if (!relu && (activation->mode != CUDNN_ACTIVATION_IDENTITY ||
                algorithm != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM))
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (bd->n != 1 || bd->h != 1 || bd->w != 1 || bd->c != yd->c || count(*zd) != count(*yd) ||
      activation->nan != CUDNN_PROPAGATE_NAN)
    return CUDNN_STATUS_BAD_PARAM;
  const Convolution p{*xd, *wd, *c, *yd};
  return run("cudnnConvolutionBiasActivationForward", "forward with bias", handle, algorithm,
             workspace, bytes, {array(*xd, x), array(*wd, w), array(*bd, bias)}, *yd, y, one, none,
             [p, relu, b = *bd](const Inputs& memory, Sums& sums) {
               sums = forward_sums(p, memory);
               const std::vector<double> added = values(b, memory[2], false);
               for (size_t i = 0; i < sums.size(); ++i) {
                 sums[i] += added[i % added.size()];
                 if (relu && sums[i] < 0.0) sums[i] = 0.0;
               }
             });
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t x, int wanted, int* found,
    cudnnConvolutionBwdDataAlgoPerf_t* proposals) {
  return propose("cudnnGetConvolutionBackwardDataAlgorithm_v7", "backward data", {*x, *w, *c, *y},
                 wanted, found, proposals);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes("cudnnGetConvolutionBackwardDataWorkspaceSize", algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* one,
                                           cudnnFilterDescriptor_t wd, const void* w,
                                           cudnnTensorDescriptor_t yd, const void* y,
                                           cudnnConvolutionDescriptor_t c,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           size_t bytes, const void* kept,
                                           cudnnTensorDescriptor_t xd, void* x) {
  const Convolution p{*xd, *wd, *c, *yd};
  return run(
      "cudnnConvolutionBackwardData", "backward data", handle, algorithm, workspace, bytes,
      {array(*wd, w), array(*yd, y)}, *xd, x, one, kept, [p](const Inputs& memory, Sums& sums) {
        const auto weight = values(p.w, memory[0], p.tf32());
        const auto grad = values(p.y, memory[1], p.tf32());
        p.for_products([&](size_t i, size_t j, size_t k) { sums[i] += grad[j] * weight[k]; });
      });
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t c, cudnnFilterDescriptor_t w, int wanted, int* found,
    cudnnConvolutionBwdFilterAlgoPerf_t* proposals) {
  return propose("cudnnGetConvolutionBackwardFilterAlgorithm_v7", "backward filter",
                 {*x, *w, *c, *y}, wanted, found, proposals);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnFilterDescriptor_t, cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes("cudnnGetConvolutionBackwardFilterWorkspaceSize", algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* one,
                                             cudnnTensorDescriptor_t xd, const void* x,
                                             cudnnTensorDescriptor_t yd, const void* y,
                                             cudnnConvolutionDescriptor_t c,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* workspace, size_t bytes, const void* kept,
                                             cudnnFilterDescriptor_t wd, void* w) {
  const Convolution p{*xd, *wd, *c, *yd};
  return run("cudnnConvolutionBackwardFilter", "backward filter", handle, algorithm, workspace,
             bytes, {array(*xd, x), array(*yd, y)}, *wd, w, one, kept,
             [p](const Inputs& memory, Sums& sums) {
               const bool tf32 = p.c.math != CUDNN_FMA_MATH && p.x.type == CUDNN_DATA_FLOAT;
               const auto input = values(p.x, memory[0], tf32), grad = values(p.y, memory[1], tf32);
               p.for_products([&](size_t i, size_t j, size_t k) { sums[k] += input[i] * grad[j]; });
             });
}

}  // extern "C"

// A library with cuDNN's functions, as far as elbo calls them, for machines without a GPU: they
// convolve host memory by what the descriptions say, in double, and note what they were asked.
#include "tests/fake_cudnn.hpp"

#include <cudnn.h>

#include <cstring>
#include <functional>
#include <sstream>

#include "kernels/math/bfloat16.hpp"

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

elbo::FakeCudnn state;

template <class T>
cudnnStatus_t create(T** out) {
  *out = new T();
  ++state.alive;
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* object) {
  delete object;
  --state.alive;
  return CUDNN_STATUS_SUCCESS;
}

double load(cudnnDataType_t type, const void* data, int64_t i) {
  return type == CUDNN_DATA_FLOAT
             ? static_cast<const float*>(data)[i]
             : elbo::math::to_float(static_cast<const elbo::math::Bfloat16*>(data)[i]);
}
void store(cudnnDataType_t type, void* data, int64_t i, double value) {
  const auto number = static_cast<float>(value);
  if (type == CUDNN_DATA_FLOAT)
    static_cast<float*>(data)[i] = number;
  else
    static_cast<elbo::math::Bfloat16*>(data)[i] = elbo::math::to_bfloat16(number);
}

const char* name_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? "f32" : type == CUDNN_DATA_BFLOAT16 ? "bf16" : "?";
}
std::string text(cudnnTensorDescriptor_t t) {
  std::ostringstream out;
  out << name_of(t->type) << ' ' << t->n << 'x' << t->h << 'x' << t->w << 'x' << t->c;
  return out.str();
}
std::string text(cudnnFilterDescriptor_t f) {
  std::ostringstream out;
  out << name_of(f->type) << ' ' << f->k << 'x' << f->h << 'x' << f->w << 'x' << f->c;
  return out.str();
}
std::string text(cudnnConvolutionDescriptor_t c) {
  std::ostringstream out;
  out << "padding " << c->pad[0] << ' ' << c->pad[1] << " stride " << c->stride[0] << ' '
      << c->stride[1] << " groups " << c->groups
      << (c->math == CUDNN_FMA_MATH         ? " fma"
          : c->math == CUDNN_TENSOR_OP_MATH ? " tensor"
                                            : " default");
  return out.str();
}

/// Whether the descriptions go together.
bool fit(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t c,
         cudnnTensorDescriptor_t y) {
  const auto size = [&](int wide, int taps, int i) {
    return (wide + 2 * c->pad[i] - taps) / c->stride[i] + 1;
  };
  return x->n == y->n && x->c == w->c * c->groups && y->c == w->k && w->k % c->groups == 0 &&
         y->h == size(x->h, w->h, 0) && y->w == size(x->w, w->w, 1) && c->dilation[0] == 1 &&
         c->dilation[1] == 1 && c->mode == CUDNN_CROSS_CORRELATION &&
         c->compute == CUDNN_DATA_FLOAT;
}

/// Calls meet(x, y, w), numbers of elements, for every product of the convolution.
void for_products(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                  cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t y,
                  const std::function<void(int64_t, int64_t, int64_t)>& meet) {
  for (int n = 0; n < y->n; ++n)
    for (int k = 0; k < y->c; ++k)
      for (int h = 0; h < y->h; ++h)
        for (int v = 0; v < y->w; ++v)
          for (int i = 0; i < w->h; ++i)
            for (int j = 0; j < w->w; ++j)
              for (int d = 0; d < w->c; ++d) {
                const int row = h * c->stride[0] - c->pad[0] + i;
                const int column = v * c->stride[1] - c->pad[1] + j;
                if (row < 0 || row >= x->h || column < 0 || column >= x->w) continue;
                const int channel = k / (w->k / c->groups) * w->c + d;
                meet(((int64_t{n} * x->h + row) * x->w + column) * x->c + channel,
                     ((int64_t{n} * y->h + h) * y->w + v) * y->c + k,
                     ((int64_t{k} * w->h + i) * w->w + j) * w->c + d);
              }
}

/// An algorithm's call: notes it, uses all of its workspace, and leaves
/// one * sums + kept * what is there.
cudnnStatus_t run(const char* name, cudnnHandle_t handle, int algorithm, void* workspace,
                  size_t bytes, cudnnDataType_t type, void* result, int64_t count, const void* one,
                  const void* kept, const std::function<void(std::vector<double>&)>& add) {
  std::ostringstream line;
  line << name << " #" << algorithm << " workspace " << bytes << " stream " << handle->stream;
  state.log.push_back(line.str());
  if (bytes > 0) std::memset(workspace, 0xff, bytes);
  std::vector<double> sums(static_cast<size_t>(count));
  add(sums);
  const float factor = *static_cast<const float*>(one), rest = *static_cast<const float*>(kept);
  for (int64_t i = 0; i < count; ++i) {
    const double before = rest == 0.0f ? 0.0 : rest * load(type, result, i);
    store(type, result, i, factor * sums[static_cast<size_t>(i)] + before);
  }
  return CUDNN_STATUS_SUCCESS;
}

int64_t count(cudnnTensorDescriptor_t t) { return int64_t{t->n} * t->c * t->h * t->w; }
int64_t count(cudnnFilterDescriptor_t f) { return int64_t{f->k} * f->c * f->h * f->w; }

/// What there is to be proposed: what is to be taken, one of it twice, and every kind of what is to
/// be left.
template <class Proposal>
cudnnStatus_t propose(const char* name, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                      cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t y, int most,
                      int* found, Proposal* proposals) {
  state.log.push_back(std::string(name) + ": wide " + text(x) + ", weight " + text(w) + ", " +
                      text(c) + ", narrow " + text(y));
  if (!fit(x, w, c, y)) return CUDNN_STATUS_BAD_PARAM;
  *found = 0;
  const auto add = [&](int algorithm, cudnnStatus_t status, cudnnDeterminism_t determinism) {
    Proposal proposal{};
    proposal.algo = static_cast<decltype(Proposal::algo)>(algorithm);
    proposal.status = status;
    proposal.determinism = determinism;
    if (*found < most) proposals[(*found)++] = proposal;
  };
  add(0, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_DETERMINISTIC);
  add(1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  add(0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC);
  add(1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  for (const int algorithm : {5, 2, 3})  // by transforms; of gradients so is the next
    add(algorithm, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC);
  return CUDNN_STATUS_SUCCESS;
}

/// Nothing for the second algorithm, and more than anybody has for the third.
cudnnStatus_t workspace_bytes(int algorithm, size_t* bytes) {
  *bytes = algorithm == 1 ? 1000 : algorithm == 2 ? 0 : size_t{1} << 40;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

elbo::FakeCudnn* fake_cudnn() { return &state; }

size_t cudnnGetVersion() { return state.version; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "as the test wants it"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return state.starts ? create(handle) : CUDNN_STATUS_NOT_INITIALIZED;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* out) { return create(out); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return destroy(t); }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t out, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  *out = {type, n, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* out) { return create(out); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f) { return destroy(f); }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t out, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  *out = {type, k, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* out) {
  return create(out);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) {
  return destroy(c);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  *c = {{pad_h, pad_w}, {stride_h, stride_w}, {dilation_h, dilation_w}, 1, mode, compute, {}};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t c, int groups) {
  c->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math) {
  c->math = math;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* out) {
  return create(out);
}
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t a) { return destroy(a); }
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t a,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t nan,
                                           double) {
  *a = {mode, nan};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t c,
                                                     cudnnTensorDescriptor_t y, int most,
                                                     int* found,
                                                     cudnnConvolutionFwdAlgoPerf_t* proposals) {
  return propose("forward", x, w, c, y, most, found, proposals);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t, cudnnTensorDescriptor_t, cudnnFilterDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes(algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* one,
                                      cudnnTensorDescriptor_t xd, const void* x,
                                      cudnnFilterDescriptor_t wd, const void* w,
                                      cudnnConvolutionDescriptor_t c,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      size_t bytes, const void* kept, cudnnTensorDescriptor_t yd,
                                      void* y) {
  return run("forward", handle, algorithm, workspace, bytes, yd->type, y, count(yd), one, kept,
             [&](std::vector<double>& sums) {
               for_products(xd, wd, c, yd, [&](int64_t i, int64_t j, int64_t k) {
                 sums[static_cast<size_t>(j)] += load(xd->type, x, i) * load(wd->type, w, k);
               });
             });
}
cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* one, cudnnTensorDescriptor_t xd, const void* x,
    cudnnFilterDescriptor_t wd, const void* w, cudnnConvolutionDescriptor_t c,
    cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t bytes, const void* none,
    cudnnTensorDescriptor_t zd, const void*, cudnnTensorDescriptor_t bd, const void* bias,
    cudnnActivationDescriptor_t activation, cudnnTensorDescriptor_t yd, void* y) {
  const bool relu = activation->mode == CUDNN_ACTIVATION_RELU;
  // As the library has it: the identity with this algorithm alone, and a bias for each channel.
  if (!relu && (activation->mode != CUDNN_ACTIVATION_IDENTITY ||
                algorithm != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM))
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (bd->n != 1 || bd->h != 1 || bd->w != 1 || bd->c != yd->c || count(zd) != count(yd) ||
      activation->nan != CUDNN_PROPAGATE_NAN)
    return CUDNN_STATUS_BAD_PARAM;
  return run("forward with bias", handle, algorithm, workspace, bytes, yd->type, y, count(yd), one,
             none, [&](std::vector<double>& sums) {
               for_products(xd, wd, c, yd, [&](int64_t i, int64_t j, int64_t k) {
                 sums[static_cast<size_t>(j)] += load(xd->type, x, i) * load(wd->type, w, k);
               });
               for (size_t i = 0; i < sums.size(); ++i) {
                 sums[i] += load(bd->type, bias, static_cast<int64_t>(i) % bd->c);
                 if (relu && sums[i] < 0.0) sums[i] = 0.0;
               }
             });
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t x, int most, int* found,
    cudnnConvolutionBwdDataAlgoPerf_t* proposals) {
  return propose("backward data", x, w, c, y, most, found, proposals);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes(algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* one,
                                           cudnnFilterDescriptor_t wd, const void* w,
                                           cudnnTensorDescriptor_t yd, const void* y,
                                           cudnnConvolutionDescriptor_t c,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           size_t bytes, const void* kept,
                                           cudnnTensorDescriptor_t xd, void* x) {
  return run("backward data", handle, algorithm, workspace, bytes, xd->type, x, count(xd), one,
             kept, [&](std::vector<double>& sums) {
               for_products(xd, wd, c, yd, [&](int64_t i, int64_t j, int64_t k) {
                 sums[static_cast<size_t>(i)] += load(yd->type, y, j) * load(wd->type, w, k);
               });
             });
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t c, cudnnFilterDescriptor_t w, int most, int* found,
    cudnnConvolutionBwdFilterAlgoPerf_t* proposals) {
  return propose("backward filter", x, w, c, y, most, found, proposals);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnFilterDescriptor_t, cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  return workspace_bytes(algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* one,
                                             cudnnTensorDescriptor_t xd, const void* x,
                                             cudnnTensorDescriptor_t yd, const void* y,
                                             cudnnConvolutionDescriptor_t c,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* workspace, size_t bytes, const void* kept,
                                             cudnnFilterDescriptor_t wd, void* w) {
  return run("backward filter", handle, algorithm, workspace, bytes, wd->type, w, count(wd), one,
             kept, [&](std::vector<double>& sums) {
               for_products(xd, wd, c, yd, [&](int64_t i, int64_t j, int64_t k) {
                 sums[static_cast<size_t>(k)] += load(xd->type, x, i) * load(yd->type, y, j);
               });
             });
}

}  // extern "C"

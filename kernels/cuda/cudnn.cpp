#include "kernels/cuda/cudnn.hpp"

#if !__has_include(<cudnn.h>)

namespace elbo::cuda {

std::unique_ptr<ProductLibrary> make_cudnn(Allocate, std::string& reason, const LibrarySearch*) {
  reason = "this build knows no cuDNN: its headers were not found";
  return nullptr;
}

}  // namespace elbo::cuda

#else

#include <algorithm>
#include <utility>

#include "kernels/cuda/cudnn_functions.hpp"

namespace elbo::cuda {
namespace {

using cudnn::Functions;
using cudnn::Library;
using cudnn::Owned;

cudnnDataType_t type_of(Format format) {
  return format == Format::f32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
}

/// A convolution in the library's terms: its input is the wide side and its output the narrow one,
/// also if it is transposed.
struct Description {
  using Tensor = Owned<cudnnTensorDescriptor_t>;

  const Functions& f;
  Tensor wide{f, f.cudnnCreateTensorDescriptor, f.cudnnDestroyTensorDescriptor};
  Tensor narrow{f, f.cudnnCreateTensorDescriptor, f.cudnnDestroyTensorDescriptor};
  Owned<cudnnFilterDescriptor_t> weight{f, f.cudnnCreateFilterDescriptor,
                                        f.cudnnDestroyFilterDescriptor};
  Owned<cudnnConvolutionDescriptor_t> convolution{f, f.cudnnCreateConvolutionDescriptor,
                                                  f.cudnnDestroyConvolutionDescriptor};

  Description(const Functions& functions, int32_t rows, const ConvolutionShape& s, Format sides,
              Format weights, Precision precision)
      : f(functions) {
    describe(wide, rows, s.wide, sides);
    describe(narrow, rows, s.narrow, sides);
    check(f.cudnnSetFilter4dDescriptor(weight.get(), type_of(weights), CUDNN_TENSOR_NHWC,
                                       s.narrow.channels, s.wide.channels / s.groups, s.kernel,
                                       s.kernel));
    check(f.cudnnSetConvolution2dDescriptor(convolution.get(), s.padding, s.padding, s.stride,
                                            s.stride, 1, 1, CUDNN_CROSS_CORRELATION,
                                            CUDNN_DATA_FLOAT));
    check(f.cudnnSetConvolutionGroupCount(convolution.get(), s.groups));
    // By default the library may round float operands to TF32.
    check(f.cudnnSetConvolutionMathType(convolution.get(),
                                        sides == Format::bf16          ? CUDNN_TENSOR_OP_MATH
                                        : precision == Precision::tf32 ? CUDNN_DEFAULT_MATH
                                                                       : CUDNN_FMA_MATH));
  }

 private:
  void check(cudnnStatus_t status) const { f.check(status, "describe a convolution"); }
  void describe(const Tensor& out, int32_t rows, const FeatureMap& map, Format format) const {
    check(f.cudnnSetTensor4dDescriptor(out.get(), CUDNN_TENSOR_NHWC, type_of(format), rows,
                                       map.channels, map.height, map.width));
  }
};

/// True if the library computes the same narrow size from the wide one as the op.
bool fits(const ConvolutionShape& s) {
  const auto size = [&](int32_t wide) {
    const int32_t room = wide + 2 * s.padding - s.kernel;
    return room < 0 ? 0 : room / s.stride + 1;
  };
  return size(s.wide.height) == s.narrow.height && size(s.wide.width) == s.narrow.width;
}

/// True if an algorithm only sums products. Fourier and Winograd transforms round differently
/// from the ops' contract.
bool adds_products(cudnnConvolutionFwdAlgo_t algorithm) {
  return algorithm <= CUDNN_CONVOLUTION_FWD_ALGO_DIRECT;
}
bool adds_products(cudnnConvolutionBwdDataAlgo_t algorithm) {
  return algorithm <= CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
}
bool adds_products(cudnnConvolutionBwdFilterAlgo_t algorithm) {
  return algorithm <= CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1 ||
         algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3;
}

/// Workspace of an algorithm.
struct Workspace {
  std::shared_ptr<void> memory;
  size_t bytes = 0;

  void* get() const { return memory.get(); }
};

/// The epilogue, if the library applies it.
struct Activated {
  const Functions& f;
  Owned<cudnnTensorDescriptor_t> bias{f, f.cudnnCreateTensorDescriptor,
                                      f.cudnnDestroyTensorDescriptor};
  Owned<cudnnActivationDescriptor_t> activation{f, f.cudnnCreateActivationDescriptor,
                                                f.cudnnDestroyActivationDescriptor};

  Activated(const Functions& functions, int32_t channels, bool relu) : f(functions) {
    f.check(f.cudnnSetTensor4dDescriptor(bias.get(), CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 1,
                                         channels, 1, 1),
            "describe a bias");
    f.check(f.cudnnSetActivationDescriptor(activation.get(),
                                           relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY,
                                           CUDNN_PROPAGATE_NAN, 0.0),
            "describe an activation");
  }
};

/// One of the library's algorithms for an op.
class CudnnProduct : public LibraryProduct {
 public:
  /// Computes result = one * sums + kept * result.
  using Run = std::function<cudnnStatus_t(const Library&, const float* one, const float* kept)>;

  CudnnProduct(std::shared_ptr<const Library> library, std::string name, bool whole,
               bool accumulate, Run run)
      : library_(std::move(library)),
        name_(std::move(name)),
        whole_(whole),
        kept_(accumulate ? 1.0f : 0.0f),
        run_(std::move(run)) {}

  void enqueue(Stream stream) override {
    const Functions& f = library_->functions;
    const float one = 1.0f;
    f.check(f.cudnnSetStream(library_->handle.get(), stream.handle), "take a stream");
    f.check(run_(*library_, &one, &kept_), "convolve");
  }
  bool whole() const override { return whole_; }
  std::string name() const override { return name_; }

 private:
  std::shared_ptr<const Library> library_;
  std::string name_;
  bool whole_;
  float kept_;
  Run run_;
};

class Cudnn : public ProductLibrary {
 public:
  Cudnn(const LibrarySearch& search, Allocate allocate)
      : library_(new Library{Functions(search), std::move(allocate)}) {}

  std::string version() const override { return "cuDNN " + std::to_string(f().cudnnGetVersion()); }

  std::string path() const override { return f().path; }

  Candidates candidates(const Op& op) override {
    Candidates found;
    if (alignment_of(op) < kLibraryAlignment) return found;
    try {
      if (const auto* forward = std::get_if<ConvolutionForward>(&op)) add(found, *forward);
      if (const auto* input = std::get_if<ConvolutionBackwardInput>(&op)) add(found, *input);
      if (const auto* weights = std::get_if<ConvolutionBackwardWeights>(&op)) add(found, *weights);
    } catch (const GpuLost&) {
      throw;
    } catch (const OutOfMemory& error) {
      found.shortage = error.what();
    } catch (const DeviceError&) {
      // Not supported on this GPU or in this version: no more candidates.
    }
    return found;
  }

 private:
  using Described = std::shared_ptr<const Description>;

  const Functions& f() const { return library_->functions; }
  cudnnHandle_t handle() const { return library_->handle.get(); }

  template <class Op>
  Described describe(const Op& op, Format sides, Format weights) const {
    return std::make_shared<const Description>(f(), op.rows.capacity(), op.shape, sides, weights,
                                               op.precision);
  }
  void add(Candidates& found, const ConvolutionForward& op) const {
    if (op.x.format != op.y.format || !fits(op.shape)) return;
    const Described d = describe(op, op.x.format, op.weight.format);
    if (op.transposed)
      add_to_wide(found, d, op.x.data, op.weight.data, op.y.data, false);
    else
      add_to_narrow(found, d, op.x.data, op.weight.data, op.y.data, false, &op);
  }
  void add(Candidates& found, const ConvolutionBackwardInput& op) const {
    if (op.grad_y.format != op.grad_x.format || !fits(op.shape)) return;
    const Described d = describe(op, op.grad_y.format, op.weight.format);
    const bool whole = !op.saved;
    if (op.transposed)
      add_to_narrow(found, d, op.grad_y.data, op.weight.data, op.grad_x.data, whole, nullptr);
    else
      add_to_wide(found, d, op.grad_y.data, op.weight.data, op.grad_x.data, whole);
  }

  /// Sums on the narrow side, also with the epilogue of `forward` if the library applies it.
  void add_to_narrow(Candidates& found, const Described& d, const void* wide, const void* weight,
                     void* narrow, bool whole, const ConvolutionForward* forward) const {
    for_algorithms<cudnnConvolutionFwdAlgoPerf_t>(
        found,
        [&](auto... list) {
          return f().cudnnGetConvolutionForwardAlgorithm_v7(handle(), d->wide.get(),
                                                            d->weight.get(), d->convolution.get(),
                                                            d->narrow.get(), list...);
        },
        [&](auto algorithm, size_t* bytes) {
          return f().cudnnGetConvolutionForwardWorkspaceSize(handle(), d->wide.get(),
                                                             d->weight.get(), d->convolution.get(),
                                                             d->narrow.get(), algorithm, bytes);
        },
        [&](auto algorithm, const Workspace& space) {
          const std::string name = "forward #" + std::to_string(algorithm);
          if (forward != nullptr) add_activated(found, d, *forward, algorithm, space, name);
          add(found, name, whole, false,
              [=](const Library& l, const float* one, const float* kept) {
                return l.functions.cudnnConvolutionForward(
                    l.handle.get(), one, d->wide.get(), wide, d->weight.get(), weight,
                    d->convolution.get(), algorithm, space.get(), space.bytes, kept,
                    d->narrow.get(), narrow);
              });
        });
  }

  /// With bias and activation, which the library supports for floats only; the identity with a
  /// single algorithm.
  void add_activated(Candidates& found, const Described& d, const ConvolutionForward& op,
                     cudnnConvolutionFwdAlgo_t algorithm, const Workspace& space,
                     const std::string& name) const {
    const bool relu = op.activation == math::Activation::of<math::Relu>();
    const bool identity = op.activation == math::Activation::of<math::Identity>() &&
                          algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    if (op.y.format != Format::f32 || op.preactivation || !(relu || identity)) return;
    const auto after = std::make_shared<const Activated>(f(), op.out().channels, relu);
    add(found, name + " with bias", true, false,
        [=](const Library& l, const float* one, const float* none) {
          return l.functions.cudnnConvolutionBiasActivationForward(
              l.handle.get(), one, d->wide.get(), op.x.data, d->weight.get(), op.weight.data,
              d->convolution.get(), algorithm, space.get(), space.bytes, none, d->narrow.get(),
              op.y.data, after->bias.get(), op.bias, after->activation.get(), d->narrow.get(),
              op.y.data);
        });
  }

  /// Sums on the wide side.
  void add_to_wide(Candidates& found, const Described& d, const void* narrow, const void* weight,
                   void* wide, bool whole) const {
    for_algorithms<cudnnConvolutionBwdDataAlgoPerf_t>(
        found,
        [&](auto... list) {
          return f().cudnnGetConvolutionBackwardDataAlgorithm_v7(
              handle(), d->weight.get(), d->narrow.get(), d->convolution.get(), d->wide.get(),
              list...);
        },
        [&](auto algorithm, size_t* bytes) {
          return f().cudnnGetConvolutionBackwardDataWorkspaceSize(
              handle(), d->weight.get(), d->narrow.get(), d->convolution.get(), d->wide.get(),
              algorithm, bytes);
        },
        [&](auto algorithm, const Workspace& space) {
          add(found, "backward data #" + std::to_string(algorithm), whole, false,
              [=](const Library& l, const float* one, const float* kept) {
                return l.functions.cudnnConvolutionBackwardData(
                    l.handle.get(), one, d->weight.get(), weight, d->narrow.get(), narrow,
                    d->convolution.get(), algorithm, space.get(), space.bytes, kept, d->wide.get(),
                    wide);
              });
        });
  }

  void add(Candidates& found, const ConvolutionBackwardWeights& op) const {
    if (!fits(op.shape)) return;
    const Described d = describe(op, op.x.format, Format::f32);
    const void* wide = op.transposed ? op.grad_y.data : op.x.data;
    const void* narrow = op.transposed ? op.x.data : op.grad_y.data;
    for_algorithms<cudnnConvolutionBwdFilterAlgoPerf_t>(
        found,
        [&](auto... list) {
          return f().cudnnGetConvolutionBackwardFilterAlgorithm_v7(
              handle(), d->wide.get(), d->narrow.get(), d->convolution.get(), d->weight.get(),
              list...);
        },
        [&](auto algorithm, size_t* bytes) {
          return f().cudnnGetConvolutionBackwardFilterWorkspaceSize(
              handle(), d->wide.get(), d->narrow.get(), d->convolution.get(), d->weight.get(),
              algorithm, bytes);
        },
        [&](auto algorithm, const Workspace& space) {
          add(found, "backward filter #" + std::to_string(algorithm), false, op.accumulate,
              [=](const Library& l, const float* one, const float* kept) {
                return l.functions.cudnnConvolutionBackwardFilter(
                    l.handle.get(), one, d->wide.get(), wide, d->narrow.get(), narrow,
                    d->convolution.get(), algorithm, space.get(), space.bytes, kept,
                    d->weight.get(), op.grad_weight);
              });
        });
  }

  void add(Candidates& found, const std::string& name, bool whole, bool accumulate,
           CudnnProduct::Run run) const {
    found.products.push_back(std::make_unique<CudnnProduct>(library_, "cuDNN " + name, whole,
                                                            accumulate, std::move(run)));
  }

  /// Calls `make(algorithm, workspace)` for the algorithms that the library proposes, in its order,
  /// if they only sum products, are deterministic and need at most kMostWorkspace bytes.
  template <class Proposal>
  void for_algorithms(Candidates& found, auto propose, auto workspace_bytes, auto make) const {
    constexpr int kProposals = 8;
    constexpr size_t kMostWorkspace = size_t{64} << 20;
    Proposal proposals[kProposals];
    int count = 0;
    f().check(propose(kProposals, &count, proposals), "propose algorithms");
    std::vector<decltype(Proposal::algo)> tried;  // may be proposed twice, with other math types
    for (int i = 0; i < count; ++i) {
      const Proposal& proposal = proposals[i];
      size_t bytes = 0;
      if (proposal.status != CUDNN_STATUS_SUCCESS || proposal.determinism != CUDNN_DETERMINISTIC ||
          !adds_products(proposal.algo) || std::ranges::find(tried, proposal.algo) != tried.end() ||
          workspace_bytes(proposal.algo, &bytes) != CUDNN_STATUS_SUCCESS || bytes > kMostWorkspace)
        continue;
      tried.push_back(proposal.algo);
      try {
        make(proposal.algo, Workspace{bytes > 0 ? library_->allocate(bytes) : nullptr, bytes});
      } catch (const OutOfMemory& error) {
        found.shortage = error.what();  // one candidate less
      }
    }
  }

  std::shared_ptr<const Library> library_;
};

}  // namespace

std::unique_ptr<ProductLibrary> make_cudnn(Allocate allocate, std::string& reason,
                                           const LibrarySearch* search) {
  try {
    return std::make_unique<Cudnn>(
        search != nullptr ? *search : find_library("libcudnn.so." + std::to_string(CUDNN_MAJOR)),
        std::move(allocate));
  } catch (const GpuLost&) {
    throw;
  } catch (const DeviceError& error) {
    reason = error.what();
    return nullptr;
  }
}

}  // namespace elbo::cuda

#endif

#include "kernels/cuda/cublaslt.hpp"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <map>
#include <optional>
#include <tuple>

#include "kernels/cuda/handles.hpp"

namespace elbo::cuda {
namespace {

#define ELBO_CUBLASLT_FUNCTIONS(X)        \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetVersion)                   \
  X(cublasLtGetStatusString)              \
  X(cublasLtMatmul)                       \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)

/// The functions used, under their own names. The major version that this program was built with,
/// from the loader's search path or the toolkit's usual folder.
class Functions {
 public:
  static const Functions& get() {
    static const Functions table;
    return table;
  }

#define ELBO_DECLARE(name) decltype(&::name) name = nullptr;
  ELBO_CUBLASLT_FUNCTIONS(ELBO_DECLARE)
#undef ELBO_DECLARE

  void check(cublasStatus_t status, const char* action) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw DeviceError(std::string("cuBLASLt failed to ") + action + ": " +
                        cublasLtGetStatusString(status));
  }

 private:
  Functions() {
    void* library = open();
#define ELBO_FIND(name) name = reinterpret_cast<decltype(name)>(find(library, #name));
    ELBO_CUBLASLT_FUNCTIONS(ELBO_FIND)
#undef ELBO_FIND
  }
  static void* open() {
    const std::string file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
    std::string reason;
    for (const std::string& path : {file, "/usr/local/cuda/lib64/" + file}) {
      if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
      const char* error = dlerror();
      if (reason.empty()) reason = error == nullptr ? "unknown error" : error;
    }
    throw DeviceError("cannot load " + file + ": " + reason);
  }
  static void* find(void* library, const char* name) {
    void* function = dlsym(library, name);
    if (function == nullptr) throw DeviceError(std::string("the installed cuBLASLt lacks ") + name);
    return function;
  }
};

/// A handle of the library's that is destroyed with its owner.
template <class Handle, auto Functions::*destroy>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_ != nullptr) (Functions::get().*destroy)(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }
  Handle* out() { return &handle_; }

 private:
  Handle handle_ = nullptr;
};
using LtHandle = Owned<cublasLtHandle_t, &Functions::cublasLtDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, &Functions::cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, &Functions::cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, &Functions::cublasLtMatmulPreferenceDestroy>;

cudaDataType_t type_of(Format format) { return format == Format::f32 ? CUDA_R_32F : CUDA_R_16BF; }

/// A product as the library sees it: matrices by columns, so that ours appear transposed and their
/// factors change places.
struct Problem {
  int64_t rows, columns, depth;  // of the library's result
  ConstReals left, right;
  int64_t left_line, right_line, result_line;  // elements between columns
  bool left_transposed, right_transposed;
  Reals result;
  Precision precision;
  bool accumulate = false;  // added to what the result holds
};

Problem problem_of(const DenseForward& op) {
  return {op.out, op.rows.capacity(), op.in, op.weight, op.x, op.in, op.in, op.out, true, false,
          op.y,   op.precision};
}
Problem problem_of(const DenseBackwardInput& op) {
  return {op.in, op.rows.capacity(), op.out,      op.weight, op.grad_y, op.in, op.out, op.in, false,
          false, op.grad_x,          op.precision};
}
Problem problem_of(const DenseBackwardWeights& op) {
  return {op.in, op.out, op.rows.capacity(),    op.x,         op.grad_y,    op.in, op.out, op.in,
          false, true,   Reals(op.grad_weight), op.precision, op.accumulate};
}

/// The signs of a ReLU layer's inputs, a bit each, as RELU_AUX_BIAS leaves them.
struct Mask {
  int64_t line;  // bits between columns
  DeviceMemory memory;
  Mask(int64_t rows, int64_t columns)
      : line((columns + 127) / 128 * 128),
        memory(static_cast<size_t>(rows * line / 8), "a layer's mask") {}
};

/// What the library does after the product.
struct Epilogue {
  cublasLtEpilogue_t kind = CUBLASLT_EPILOGUE_DEFAULT;
  const char* name = "DEFAULT";
  const void* bias = nullptr;  // read, or written by BGRADB
  Format bias_format = Format::f32;
  const Mask* mask = nullptr;  // written or read
  bool whole = false;          // nothing of the op is left to do
};

class LtProduct : public LibraryProduct {
 public:
  LtProduct(cublasLtHandle_t handle, const Problem& problem, const Epilogue& epilogue)
      : handle_(handle), problem_(problem), epilogue_(epilogue) {
    const cublasComputeType_t compute = problem.left.format == Format::bf16 ? CUBLAS_COMPUTE_32F
                                        : problem.precision == Precision::tf32
                                            ? CUBLAS_COMPUTE_32F_FAST_TF32
                                            : CUBLAS_COMPUTE_32F_PEDANTIC;
    lt_.check(lt_.cublasLtMatmulDescCreate(description_.out(), compute, CUDA_R_32F),
              "describe a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, problem.left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, problem.right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue.kind);
    if (epilogue.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, epilogue.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(epilogue.bias_format));
    }
    if (epilogue.mask != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, epilogue.mask->memory.get());
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, epilogue.mask->line);
    }
    const Problem& p = problem;
    layout(left_, p.left.format, p.left_transposed ? p.depth : p.rows,
           p.left_transposed ? p.rows : p.depth, p.left_line);
    layout(right_, p.right.format, p.right_transposed ? p.columns : p.depth,
           p.right_transposed ? p.depth : p.columns, p.right_line);
    layout(result_, p.result.format, p.rows, p.columns, p.result_line);
  }

  /// The library's `index`-th proposal; false where there are not so many.
  bool choose(int index) {
    constexpr int kProposals = 8;
    constexpr uint64_t kMostWorkspace = 32 << 20;
    Preference preference;
    lt_.check(lt_.cublasLtMatmulPreferenceCreate(preference.out()), "state a preference");
    prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    // Partial sums are added in place by whichever comes first: not the same bits every time.
    prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           uint32_t{CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE});
    cublasLtMatmulHeuristicResult_t proposals[kProposals];
    int count = 0;
    const cublasStatus_t status = lt_.cublasLtMatmulAlgoGetHeuristic(
        handle_, description_.get(), left_.get(), right_.get(), result_.get(), result_.get(),
        preference.get(), kProposals, proposals, &count);
    if (status != CUBLAS_STATUS_SUCCESS || index >= count ||
        proposals[index].state != CUBLAS_STATUS_SUCCESS)
      return false;
    algorithm_ = proposals[index].algo;
    workspace_bytes_ = proposals[index].workspaceSize;
    workspace_.emplace(workspace_bytes_, "a product's workspace");
    name_ = std::string("cuBLASLt ") + epilogue_.name + " #" + std::to_string(index);
    return true;
  }

  void enqueue(Stream stream) override {
    const float one = 1.0f, kept = problem_.accumulate ? 1.0f : 0.0f;
    lt_.check(lt_.cublasLtMatmul(handle_, description_.get(), &one, problem_.left.data, left_.get(),
                                 problem_.right.data, right_.get(), &kept, problem_.result.data,
                                 result_.get(), problem_.result.data, result_.get(), &algorithm_,
                                 workspace_->get(), workspace_bytes_, stream.handle),
              "multiply matrices");
  }
  bool whole() const override { return epilogue_.whole; }
  bool writes_mask() const override { return epilogue_.kind == CUBLASLT_EPILOGUE_RELU_AUX_BIAS; }
  bool reads_mask() const override { return epilogue_.kind == CUBLASLT_EPILOGUE_DRELU; }
  std::string name() const override { return name_; }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    lt_.check(
        lt_.cublasLtMatmulDescSetAttribute(description_.get(), attribute, &value, sizeof value),
        "describe a product");
  }
  template <class T>
  void prefer(Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute,
              const T& value) {
    lt_.check(
        lt_.cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "state a preference");
  }
  void layout(Layout& out, Format format, int64_t rows, int64_t columns, int64_t line) {
    lt_.check(
        lt_.cublasLtMatrixLayoutCreate(out.out(), type_of(format), static_cast<uint64_t>(rows),
                                       static_cast<uint64_t>(columns), line),
        "describe a matrix");
  }

  const Functions& lt_ = Functions::get();
  cublasLtHandle_t handle_;
  Problem problem_;
  Epilogue epilogue_;
  Description description_;
  Layout left_, right_, result_;
  cublasLtMatmulAlgo_t algorithm_{};
  size_t workspace_bytes_ = 0;
  std::optional<DeviceMemory> workspace_;
  std::string name_;
};

class CublasLt : public ProductLibrary {
 public:
  CublasLt() { lt_.check(lt_.cublasLtCreate(handle_.out()), "start"); }

  std::string version() const override {
    return "cuBLASLt " + std::to_string(lt_.cublasLtGetVersion());
  }

  std::vector<std::unique_ptr<LibraryProduct>> candidates(const Op& op) override {
    std::vector<std::unique_ptr<LibraryProduct>> found;
    if (const auto* forward = std::get_if<DenseForward>(&op))
      add(found, problem_of(*forward), epilogues(*forward));
    if (const auto* input = std::get_if<DenseBackwardInput>(&op))
      add(found, problem_of(*input), epilogues(*input));
    if (const auto* weights = std::get_if<DenseBackwardWeights>(&op))
      add(found, problem_of(*weights), epilogues(*weights));
    return found;
  }

 private:
  static bool is_relu(math::Activation activation) {
    return activation == math::Activation::of<math::Relu>();
  }

  std::vector<Epilogue> epilogues(const DenseForward& op) {
    // The library wants the bias of a bfloat16 result in bfloat16.
    const bool bf16 = op.y.format == Format::bf16 && op.bias_bf16 != nullptr;
    Epilogue with_bias{.bias = op.bias, .whole = true};
    if (bf16) {
      with_bias.bias = op.bias_bf16;
      with_bias.bias_format = Format::bf16;
    }
    std::vector<Epilogue> list = {{}};
    const auto add_kind = [&](cublasLtEpilogue_t kind, const char* name) {
      list.push_back(with_bias);
      list.back().kind = kind;
      list.back().name = name;
    };
    if (op.activation == math::Activation::of<math::Identity>() && !op.preactivation)
      add_kind(CUBLASLT_EPILOGUE_BIAS, "BIAS");
    if (!is_relu(op.activation)) return list;
    add_kind(CUBLASLT_EPILOGUE_RELU_BIAS, "RELU_BIAS");
    add_kind(CUBLASLT_EPILOGUE_RELU_AUX_BIAS, "RELU_AUX_BIAS");
    const MaskKey key = {op.y.data, op.rows.capacity(), op.out};
    list.back().mask = &masks_.try_emplace(key, op.rows.capacity(), op.out).first->second;
    return list;
  }
  std::vector<Epilogue> epilogues(const DenseBackwardInput& op) {
    std::vector<Epilogue> list = {{.whole = !op.saved}};
    const auto mask = masks_.find(MaskKey{op.saved.data, op.rows.capacity(), op.in});
    if (op.saved && is_relu(op.activation) && mask != masks_.end())
      list.push_back(
          {.kind = CUBLASLT_EPILOGUE_DRELU, .name = "DRELU", .mask = &mask->second, .whole = true});
    return list;
  }
  std::vector<Epilogue> epilogues(const DenseBackwardWeights& op) {
    // BGRADB overwrites the bias gradients and cannot add to them.
    if (op.accumulate) return {{}};
    return {
        {},
        {.kind = CUBLASLT_EPILOGUE_BGRADB, .name = "BGRADB", .bias = op.grad_bias, .whole = true}};
  }

  void add(std::vector<std::unique_ptr<LibraryProduct>>& found, const Problem& problem,
           const std::vector<Epilogue>& epilogues) const {
    constexpr int kTried = 4;  // proposals of each kind: the library puts the likeliest first
    for (const Epilogue& epilogue : epilogues)
      for (int index = 0; index < kTried; ++index) {
        try {
          auto product = std::make_unique<LtProduct>(handle_.get(), problem, epilogue);
          if (!product->choose(index)) break;
          found.push_back(std::move(product));
        } catch (const DeviceError&) {
          break;  // not on this GPU, or not in this version: one candidate less
        }
      }
  }

  using MaskKey = std::tuple<const void*, int32_t, int32_t>;  // a layer's output, rows, columns

  const Functions& lt_ = Functions::get();
  LtHandle handle_;
  std::map<MaskKey, Mask> masks_;
};

}  // namespace

std::unique_ptr<ProductLibrary> make_cublaslt(std::string& reason) {
  try {
    return std::make_unique<CublasLt>();
  } catch (const DeviceError& error) {
    reason = error.what();
    return nullptr;
  }
}

}  // namespace elbo::cuda

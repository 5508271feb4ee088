#include "kernels/cuda/cublaslt.hpp"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <map>
#include <optional>
#include <tuple>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/shared_library.hpp"

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

/// The functions used, under their own names, for the major version of the build.
class Functions {
 public:
  static const Functions& get() {
    static const Functions table;
    return table;
  }

#define ELBO_DECLARE(name) decltype(&::name) name = nullptr;
  ELBO_CUBLASLT_FUNCTIONS(ELBO_DECLARE)
#undef ELBO_DECLARE
  std::string path;  // of the file loaded

  void check(cublasStatus_t status, const char* action) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    const std::string text =
        std::string("cuBLASLt failed to ") + action + ": " + cublasLtGetStatusString(status);
    if (status == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory(text);
    throw DeviceError(text);
  }

 private:
  Functions() {
    const SharedLibrary library("cuBLASLt",
                                find_library("libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)));
    path = library.origin();
#define ELBO_FIND(name) library.get(#name, name);
    ELBO_CUBLASLT_FUNCTIONS(ELBO_FIND)
#undef ELBO_FIND
  }
};

/// An owned handle of the library.
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

/// A product in the library's column-major terms: our matrices appear transposed, and the operands
/// are swapped.
struct Problem {
  int64_t rows, columns, depth;  // of the library's product
  ConstReals left, right;
  int64_t left_line, right_line, result_line;  // elements between columns
  bool left_transposed, right_transposed;
  Reals result;
  Precision precision;
  bool accumulate = false;  // add to the previous result

  /// True if every column is aligned to the library's load size.
  bool has_aligned_columns() const {
    const auto aligned = [](int64_t line, Format format) {
      return line * static_cast<int64_t>(size_of(format)) % int64_t{kLibraryAlignment} == 0;
    };
    return aligned(left_line, left.format) && aligned(right_line, right.format) &&
           aligned(result_line, result.format);
  }
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

/// The signs of a ReLU layer's inputs, one bit each, as RELU_AUX_BIAS writes them.
struct Mask {
  int64_t line;  // bits between columns
  DeviceMemory memory;
  Mask(int64_t rows, int64_t columns)
      : line((columns + 127) / 128 * 128),
        memory(static_cast<size_t>(rows * line / 8), "a layer's mask") {}
};

/// The library's epilogue.
struct Epilogue {
  cublasLtEpilogue_t kind = CUBLASLT_EPILOGUE_DEFAULT;
  const char* name = "DEFAULT";
  const void* bias = nullptr;  // read, or written by BGRADB
  Format bias_format = Format::f32;
  std::shared_ptr<const Mask> mask = nullptr;  // written or read
  bool whole = false;                          // no remainder of the op
};

class LtProduct : public LibraryProduct {
 public:
  LtProduct(std::shared_ptr<const LtHandle> handle, const Problem& problem, size_t alignment,
            const Epilogue& epilogue)
      : handle_(std::move(handle)),
        problem_(problem),
        alignment_(static_cast<uint32_t>(alignment)),
        epilogue_(epilogue) {
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

  /// Chooses the library's `index`-th proposal; returns false if there are fewer.
  bool choose(int index) {
    constexpr int kProposals = 8;
    constexpr uint64_t kMostWorkspace = 32 << 20;
    Preference preference;
    lt_.check(lt_.cublasLtMatmulPreferenceCreate(preference.out()), "state a preference");
    prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    // In-place reductions add partial sums in the order of arrival, so the bits vary.
    prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           uint32_t{CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE});
    for (const auto matrix :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(preference, matrix, alignment_);
    cublasLtMatmulHeuristicResult_t proposals[kProposals];
    int count = 0;
    const cublasStatus_t status = lt_.cublasLtMatmulAlgoGetHeuristic(
        handle_->get(), description_.get(), left_.get(), right_.get(), result_.get(), result_.get(),
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
    lt_.check(
        lt_.cublasLtMatmul(handle_->get(), description_.get(), &one, problem_.left.data,
                           left_.get(), problem_.right.data, right_.get(), &kept,
                           problem_.result.data, result_.get(), problem_.result.data, result_.get(),
                           &algorithm_, workspace_->get(), workspace_bytes_, stream.handle),
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
  std::shared_ptr<const LtHandle> handle_;
  Problem problem_;
  uint32_t alignment_;  // of all its arrays
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
  CublasLt() {
    auto handle = std::make_shared<LtHandle>();
    lt_.check(lt_.cublasLtCreate(handle->out()), "start");
    handle_ = std::move(handle);
  }

  std::string version() const override {
    return "cuBLASLt " + std::to_string(lt_.cublasLtGetVersion());
  }

  std::string path() const override { return lt_.path; }

  Candidates candidates(const Op& op) override {
    Candidates found;
    const size_t alignment = alignment_of(op);
    const auto add_ways = [&](const auto& product) {
      const Problem problem = problem_of(product);
      if (alignment < kLibraryAlignment || !problem.has_aligned_columns()) return;
      for (const Epilogue& epilogue : epilogues(product, found.shortage))
        add(found, problem, alignment, epilogue);
    };
    if (const auto* forward = std::get_if<DenseForward>(&op)) add_ways(*forward);
    if (const auto* input = std::get_if<DenseBackwardInput>(&op)) add_ways(*input);
    if (const auto* weights = std::get_if<DenseBackwardWeights>(&op)) add_ways(*weights);
    return found;
  }

 private:
  static bool is_relu(math::Activation activation) {
    return activation == math::Activation::of<math::Relu>();
  }

  std::vector<Epilogue> epilogues(const DenseForward& op, std::string& shortage) {
    // The library requires a bfloat16 bias for a bfloat16 result.
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
    try {
      with_bias.mask = mask_of({op.y.data, op.rows.capacity(), op.out});
      add_kind(CUBLASLT_EPILOGUE_RELU_AUX_BIAS, "RELU_AUX_BIAS");
    } catch (const OutOfMemory& error) {
      shortage = error.what();  // one candidate less
    }
    return list;
  }
  std::vector<Epilogue> epilogues(const DenseBackwardInput& op, std::string&) {
    std::vector<Epilogue> list = {{.whole = !op.saved}};
    if (!op.saved || !is_relu(op.activation)) return list;
    const auto found = masks_.find({op.saved.data, op.rows.capacity(), op.in});
    auto mask = found == masks_.end() ? nullptr : found->second.lock();
    if (mask != nullptr)
      list.push_back({.kind = CUBLASLT_EPILOGUE_DRELU,
                      .name = "DRELU",
                      .mask = std::move(mask),
                      .whole = true});
    return list;
  }
  std::vector<Epilogue> epilogues(const DenseBackwardWeights& op, std::string&) {
    // BGRADB overwrites the bias gradients and cannot add to them. Some versions of cuBLASLt are
    // known to access memory out of bounds for narrow or odd layers.
    constexpr int32_t kNarrowest = 16, kMultiple = 8;
    if (op.accumulate || op.out < kNarrowest || op.out % kMultiple != 0) return {{}};
    return {
        {},
        {.kind = CUBLASLT_EPILOGUE_BGRADB, .name = "BGRADB", .bias = op.grad_bias, .whole = true}};
  }

  void add(Candidates& found, const Problem& problem, size_t alignment,
           const Epilogue& epilogue) const {
    constexpr int kTried = 4;  // proposals of each kind; the library sorts them by estimated speed
    try {
      for (int index = 0; index < kTried; ++index) {
        auto product = std::make_unique<LtProduct>(handle_, problem, alignment, epilogue);
        if (!product->choose(index)) return;
        found.products.push_back(std::move(product));
      }
    } catch (const GpuLost&) {
      throw;
    } catch (const OutOfMemory& error) {
      found.shortage = error.what();
    } catch (const DeviceError&) {
      // Not supported on this GPU or in this version: fewer candidates.
    }
  }

  using MaskKey = std::tuple<const void*, int32_t, int32_t>;  // a layer's output, rows, columns

  /// The mask of a layer, which lives as long as a product uses it.
  std::shared_ptr<const Mask> mask_of(const MaskKey& key) {
    std::erase_if(masks_, [](const auto& each) { return each.second.expired(); });
    auto mask = masks_[key].lock();
    if (mask == nullptr) {
      mask = std::make_shared<const Mask>(std::get<1>(key), std::get<2>(key));
      masks_[key] = mask;
    }
    return mask;
  }

  const Functions& lt_ = Functions::get();
  std::shared_ptr<const LtHandle> handle_;
  std::map<MaskKey, std::weak_ptr<const Mask>> masks_;
};

}  // namespace

std::unique_ptr<ProductLibrary> make_cublaslt(std::string& reason) {
  try {
    return std::make_unique<CublasLt>();
  } catch (const GpuLost&) {
    throw;
  } catch (const DeviceError& error) {
    reason = error.what();
    return nullptr;
  }
}

}  // namespace elbo::cuda

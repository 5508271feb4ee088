#include "bench/calibrate/cublas_lt.cuh"

#include <dlfcn.h>

namespace elbo::calibrate {

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

/// The functions of cuBLASLt that are used, under their own names
struct CublasLt::Functions {
#define ELBO_DECLARE_FUNCTION(name) decltype(&::name) name = nullptr;
  ELBO_CUBLASLT_FUNCTIONS(ELBO_DECLARE_FUNCTION)
#undef ELBO_DECLARE_FUNCTION

  static const Functions& get() {
    static const Functions table;
    return table;
  }

 private:
  Functions() {
    void* library = open_library();
#define ELBO_FIND_FUNCTION(name) find(library, #name, name);
    ELBO_CUBLASLT_FUNCTIONS(ELBO_FIND_FUNCTION)
#undef ELBO_FIND_FUNCTION
  }

  /// Opens the major version that this program was built with, from the loader's search path or the
  /// usual folder of the toolkit.
  static void* open_library() {
    const std::string file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
    constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;
    if (void* library = dlopen(file.c_str(), kFlags)) return library;
    const char* error = dlerror();
    const std::string reason = error == nullptr ? "unknown error" : error;
    if (void* library = dlopen(("/usr/local/cuda/lib64/" + file).c_str(), kFlags)) return library;
    throw DeviceError("cannot load " + file + ": " + reason +
                      "; install it or name its folder in LD_LIBRARY_PATH");
  }
  template <class Function>
  static void find(void* library, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    if (function == nullptr) throw DeviceError(std::string("the installed cuBLASLt lacks ") + name);
  }
};

namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // NVIDIA's recommendation for Hopper
constexpr float kOne = 1.0f, kZero = 0.0f;

cudaDataType_t cuda_type(Element element) {
  return element == Element::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

}  // namespace

CublasLt::CublasLt(const Gpu& gpu)
    : gpu_(gpu), functions_(Functions::get()), workspace_(kWorkspaceBytes) {
  check(functions_.cublasLtCreate(&handle_), "start");
}

CublasLt::~CublasLt() { functions_.cublasLtDestroy(handle_); }

size_t CublasLt::version() const { return functions_.cublasLtGetVersion(); }

std::string CublasLt::text(cublasStatus_t status) const {
  return functions_.cublasLtGetStatusString(status);
}

void CublasLt::check(cublasStatus_t status, const std::string& action) const {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("cuBLASLt failed to " + action + ": " + text(status));
}

CublasLt::Plan::Plan(const CublasLt& library, const MatrixProduct& p)
    : library_(library),
      description_(nullptr, library.functions_.cublasLtMatmulDescDestroy),
      a_(layout(p.input, p.a_transposed ? p.k : p.m, p.a_transposed ? p.m : p.k)),
      b_(layout(p.input, p.b_transposed ? p.n : p.k, p.b_transposed ? p.k : p.n)),
      d_(layout(p.output, p.m, p.n)) {
  cublasLtMatmulDesc_t description = nullptr;
  library_.check(library_.functions_.cublasLtMatmulDescCreate(&description, p.compute, CUDA_R_32F),
                 "describe a product");
  description_.reset(description);
  const int32_t op_a = p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const int32_t op_b = p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(CUBLASLT_MATMUL_DESC_TRANSA, op_a, "transpose a");
  set(CUBLASLT_MATMUL_DESC_TRANSB, op_b, "transpose b");
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(p.epilogue), "set an epilogue");
  if (p.bias != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias, "set a bias");
  if (p.mask != nullptr) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.mask, "set a mask");
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, mask_bits_per_column(p.m), "set a mask's columns");
  }
}

CublasLt::Plan::Owned<cublasLtMatrixLayoutOpaque_t> CublasLt::Plan::layout(Element element,
                                                                           int64_t rows,
                                                                           int64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  library_.check(library_.functions_.cublasLtMatrixLayoutCreate(
                     &layout, cuda_type(element), static_cast<uint64_t>(rows),
                     static_cast<uint64_t>(columns), rows),
                 "describe a matrix");
  return {layout, library_.functions_.cublasLtMatrixLayoutDestroy};
}

template <class Value>
void CublasLt::Plan::set(cublasLtMatmulDescAttributes_t attribute, const Value& value,
                         const char* what) {
  library_.check(library_.functions_.cublasLtMatmulDescSetAttribute(description_.get(), attribute,
                                                                    &value, sizeof value),
                 what);
}

std::vector<CublasLt::Algorithm> CublasLt::Plan::algorithms(int most,
                                                            cublasStatus_t& status) const {
  const Functions& functions = library_.functions_;
  cublasLtMatmulPreference_t created = nullptr;
  library_.check(functions.cublasLtMatmulPreferenceCreate(&created), "make a preference");
  const Owned<cublasLtMatmulPreferenceOpaque_t> preference(
      created, functions.cublasLtMatmulPreferenceDestroy);
  library_.check(functions.cublasLtMatmulPreferenceSetAttribute(
                     created, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes,
                     sizeof kWorkspaceBytes),
                 "set its workspace");
  std::vector<Algorithm> found(static_cast<size_t>(most));
  int count = 0;
  status = functions.cublasLtMatmulAlgoGetHeuristic(library_.handle_, description_.get(), a_.get(),
                                                    b_.get(), d_.get(), d_.get(), created, most,
                                                    found.data(), &count);
  found.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<size_t>(count) : 0);
  std::erase_if(found, [](const Algorithm& each) { return each.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

cublasStatus_t CublasLt::Plan::enqueue(const Algorithm& algorithm, const void* a, const void* b,
                                       void* d) const {
  return library_.functions_.cublasLtMatmul(library_.handle_, description_.get(), &kOne, a,
                                            a_.get(), b, b_.get(), &kZero, d, d_.get(), d, d_.get(),
                                            &algorithm.algo, library_.workspace_.data(),
                                            library_.workspace_.bytes(), library_.gpu_.stream());
}

}  // namespace elbo::calibrate

#include "kernels/cuda/cublas_gemm.hpp"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <string>

#include "kernels/core/error.hpp"

namespace elbo::cuda {
namespace {

/// Opens the major version this program was built with, from the loader's search path or the
/// toolkit's usual folder.
void* open_library() {
  const std::string file = "libcublas.so." + std::to_string(CUBLAS_VER_MAJOR);
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;
  if (void* library = dlopen(file.c_str(), kFlags)) return library;
  const char* error = dlerror();
  const std::string reason = error == nullptr ? "unknown error" : error;
  if (void* library = dlopen(("/usr/local/cuda/lib64/" + file).c_str(), kFlags)) return library;
  throw DeviceError("cannot load " + file + ", which the GPU needs: " + reason +
                    "; install it or name its folder in LD_LIBRARY_PATH");
}

template <class Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) throw DeviceError(std::string("the installed cuBLAS lacks ") + name);
}

/// The functions used, under their own names.
class Cublas {
 public:
  static const Cublas& get() {
    static const Cublas table;
    return table;
  }

#define ELBO_CUBLAS_FUNCTIONS(X) \
  X(cublasCreate_v2)             \
  X(cublasDestroy_v2)            \
  X(cublasSetStream_v2)          \
  X(cublasSetMathMode)           \
  X(cublasSgemm_v2)              \
  X(cublasGetStatusString)
#define ELBO_DECLARE_FUNCTION(name) decltype(&::name) name = nullptr;
#define ELBO_FIND_FUNCTION(name) find(library, #name, name);

  ELBO_CUBLAS_FUNCTIONS(ELBO_DECLARE_FUNCTION)

  void check(cublasStatus_t status, const char* action) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw DeviceError(std::string("cuBLAS failed to ") + action + ": " +
                      cublasGetStatusString(status));
  }

 private:
  Cublas() {
    void* library = open_library();
    ELBO_CUBLAS_FUNCTIONS(ELBO_FIND_FUNCTION)
  }

#undef ELBO_CUBLAS_FUNCTIONS
#undef ELBO_DECLARE_FUNCTION
#undef ELBO_FIND_FUNCTION
};

class CublasGemm : public Gemm {
 public:
  explicit CublasGemm(cudaStream_t stream) {
    blas_.check(blas_.cublasCreate_v2(&handle_), "start");
    blas_.check(blas_.cublasSetStream_v2(handle_, stream), "use a stream");
    blas_.check(blas_.cublasSetMathMode(handle_, CUBLAS_PEDANTIC_MATH), "set its precision");
  }
  ~CublasGemm() override { blas_.cublasDestroy_v2(handle_); }
  CublasGemm(const CublasGemm&) = delete;
  CublasGemm& operator=(const CublasGemm&) = delete;

  // cuBLAS stores matrices by columns, which is the transpose of ours: c^T = b^T a^T.
  void multiply(const MatrixProduct& p) override {
    const float one = 1.0f, zero = 0.0f;
    const cublasStatus_t status = blas_.cublasSgemm_v2(
        handle_, p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
        p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, p.n, p.m, p.k, &one, p.b,
        p.b_transposed ? p.k : p.n, p.a, p.a_transposed ? p.m : p.k, &zero, p.c, p.n);
    blas_.check(status, "multiply matrices");
  }

 private:
  const Cublas& blas_ = Cublas::get();
  cublasHandle_t handle_ = nullptr;
};

}  // namespace

void load_cublas() { Cublas::get(); }

std::unique_ptr<Gemm> make_cublas_gemm(cudaStream_t stream) {
  return std::make_unique<CublasGemm>(stream);
}

}  // namespace elbo::cuda

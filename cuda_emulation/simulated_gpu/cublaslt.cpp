// The stand-in for cuBLASLt on the simulated GPU: the functions and cases that the engine uses.
// Reports calls that the documentation forbids.
#include <cublasLt.h>

#include <algorithm>
#include <utility>

#include "cuda_emulation/simulated_gpu/cublaslt_problem.hpp"
#include "cuda_emulation/simulated_gpu/library.hpp"
#include "cuda_emulation/simulated_gpu/library_objects.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

using namespace elbo::cuda::simulated;

namespace {

constexpr size_t kVersion = 130400;
constexpr uint64_t kNoAlignment = 256;  // default of cuBLASLt: the full alignment of cudaMalloc

struct Handle {};

struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment[4] = {kNoAlignment, kNoAlignment, kNoAlignment, kNoAlignment};  // A, B, C, D
};

/// The content of the opaque cublasLtMatmulAlgo_t.
struct Algorithm {
  uint64_t way, problem, workspace;
  uint32_t alignment[4];
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

LiveObjects& live() {
  static LiveObjects objects("cuBLASLt");
  return objects;
}

template <class T, class Opaque>
T& object(Opaque handle) {
  return *reinterpret_cast<T*>(handle);
}

template <class Opaque, class T>
cublasStatus_t make(const char* function, Opaque* handle, T value) {
  if (fails(function)) return CUBLAS_STATUS_ALLOC_FAILED;
  live().change(1);
  *handle = reinterpret_cast<Opaque>(new T(std::move(value)));
  return CUBLAS_STATUS_SUCCESS;
}

template <class T, class Opaque>
cublasStatus_t destroy(const char* function, Opaque handle) {
  live().change(-1);
  delete reinterpret_cast<T*>(handle);
  return fails(function) ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t misuse(const std::string& why) {
  report_defect("cuBLASLt: " + why);
  return CUBLAS_STATUS_INVALID_VALUE;
}

template <class T>
cublasStatus_t assign(T& to, const void* from, size_t bytes) {
  if (bytes != sizeof(T))
    return misuse("an attribute of " + std::to_string(bytes) + " bytes; it has " +
                  std::to_string(sizeof(T)));
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

/// Returns the largest power of two that divides the address; kNoAlignment for null.
uint64_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  return address == 0 ? kNoAlignment : address & (~address + 1);
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (is_refused("cuBLASLt")) return CUBLAS_STATUS_NOT_INITIALIZED;
  return make("cublasLtCreate", handle, Handle{});
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return destroy<Handle>("cublasLtDestroy", handle);
}
size_t cublasLtGetVersion() { return kVersion; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
#define ELBO_STATUS(name) \
  case name:              \
    return #name;
    ELBO_STATUS(CUBLAS_STATUS_SUCCESS)
    ELBO_STATUS(CUBLAS_STATUS_NOT_INITIALIZED)
    ELBO_STATUS(CUBLAS_STATUS_ALLOC_FAILED)
    ELBO_STATUS(CUBLAS_STATUS_INVALID_VALUE)
    ELBO_STATUS(CUBLAS_STATUS_EXECUTION_FAILED)
    ELBO_STATUS(CUBLAS_STATUS_INTERNAL_ERROR)
    ELBO_STATUS(CUBLAS_STATUS_NOT_SUPPORTED)
#undef ELBO_STATUS
    default:
      return "unrecognized status";
  }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  MatmulDescription made;
  made.compute = compute;
  made.scale = scale;
  return make("cublasLtMatmulDescCreate", description, made);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return destroy<MatmulDescription>("cublasLtMatmulDescDestroy", description);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  if (fails("cublasLtMatmulDescSetAttribute")) return CUBLAS_STATUS_INVALID_VALUE;
  auto& d = object<MatmulDescription>(description);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(d.transposed[0], value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(d.transposed[1], value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(d.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(d.bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return assign(d.bias_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return assign(d.mask, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return assign(d.mask_stride, value, bytes);
    default:
      return misuse("an attribute that is not simulated");
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t stride) {
  return make("cublasLtMatrixLayoutCreate", layout, MatrixLayout{type, rows, columns, stride});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy<MatrixLayout>("cublasLtMatrixLayoutDestroy", layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return make("cublasLtMatmulPreferenceCreate", preference, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<Preference>("cublasLtMatmulPreferenceDestroy", preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  if (fails("cublasLtMatmulPreferenceSetAttribute")) return CUBLAS_STATUS_INVALID_VALUE;
  auto& p = object<Preference>(preference);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return assign(p.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return assign(p.reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return assign(p.alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return assign(p.alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return assign(p.alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return assign(p.alignment[3], value, bytes);
    default:
      return misuse("a preference that is not simulated");
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* count) {
  constexpr uint64_t kWays = 3, kWorkspace = 1000;
  constexpr uint32_t kVector = 16;  // width in bytes of the vector loads of the last algorithm
  *count = 0;
  if (fails("cublasLtMatmulAlgoGetHeuristic")) return CUBLAS_STATUS_INTERNAL_ERROR;
  if (object<MatrixLayout>(c) != object<MatrixLayout>(d))
    return misuse("layouts of C and D that differ are not simulated");
  const MatmulProblem problem{object<MatmulDescription>(description), object<MatrixLayout>(a),
                              object<MatrixLayout>(b), object<MatrixLayout>(c)};
  if (const std::string why = problem.refusal(); !why.empty()) {
    report_doubt("cuBLASLt: asked for proposals that it has none for, " + why);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (is_refused(name_of_epilogue(problem.description.epilogue)))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto& p = object<Preference>(preference);
  const uint64_t ways = *std::ranges::min_element(p.alignment) < kVector ? kWays - 1 : kWays;
  for (uint64_t way = 0; way < ways && *count < wanted; ++way) {
    const uint64_t workspace = way == 1 ? std::min(p.workspace, kWorkspace) : 0;
    Algorithm algorithm{way, problem.hash(), workspace, {}};
    std::ranges::copy(p.alignment, algorithm.alignment);
    cublasLtMatmulHeuristicResult_t& result = results[(*count)++];
    // Garbage in the fields that are not set: the caller must check `state` first.
    std::memset(&result, 0xee, sizeof result);
    result.state = CUBLAS_STATUS_SUCCESS;
    result.workspaceSize = workspace;
    result.wavesCount = 1.0f;
    std::memcpy(&result.algo, &algorithm, sizeof algorithm);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t layout_a, const void* b,
                              cublasLtMatrixLayout_t layout_b, const void* beta, const void* c,
                              cublasLtMatrixLayout_t layout_c, void* d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t* chosen, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  if (fails("cublasLtMatmul")) return CUBLAS_STATUS_EXECUTION_FAILED;
  const MatmulProblem problem{object<MatmulDescription>(description),
                              object<MatrixLayout>(layout_a), object<MatrixLayout>(layout_b),
                              object<MatrixLayout>(layout_c)};
  Algorithm algorithm;
  std::memcpy(&algorithm, chosen, sizeof algorithm);
  if (const std::string why = problem.refusal(); !why.empty()) return misuse(why);
  if (c != d) return misuse("C and D apart are not simulated");
  if (algorithm.problem != problem.hash()) return misuse("an algorithm for another problem");
  if (algorithm.workspace > workspace_bytes) return misuse("less workspace than it asked for");
  if (workspace_bytes > 0 && alignment_of(workspace) < kNoAlignment)
    return misuse("a workspace that is not 256-byte aligned");
  const std::pair<const void*, const char*> matrices[] = {{a, "A"}, {b, "B"}, {c, "C"}, {d, "D"}};
  for (size_t i = 0; i < std::size(matrices); ++i) {
    const auto [pointer, name] = matrices[i];
    if (alignment_of(pointer) < algorithm.alignment[i])
      misuse(std::string(name) + " is " + std::to_string(alignment_of(pointer)) +
             "-byte aligned; the preferences of its algorithm promised " +
             std::to_string(algorithm.alignment[i]));
  }
  const MatmulArrays arrays{a,
                            b,
                            d,
                            *static_cast<const float*>(alpha),
                            *static_cast<const float*>(beta),
                            workspace,
                            algorithm.workspace};
  const uint64_t way = algorithm.way;
  const double cost = (4.0 - static_cast<double>(way)) / Options::get().library_speed;
  const cudaError_t status = enqueue_library_work(
      stream,
      std::string("cuBLASLt ") + name_of_epilogue(problem.description.epilogue) + " #" +
          std::to_string(way),
      cost, [=](Access& access) { problem.compute(access, way, arrays); });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"

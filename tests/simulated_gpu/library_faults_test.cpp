// The stand-in for cuBLASLt: right calls multiply, wrong ones are reported.
#include <cublasLt.h>

#include "tests/simulated_gpu/fixture.hpp"

namespace elbo {
namespace {

/// C = A * B of 6x5 and 5x4, by columns.
class CublasLt : public SimulatedGpu {
 protected:
  static constexpr int kRows = 6, kColumns = 4, kDepth = 5;

  CublasLt() {
    std::vector<float> a_values, b_values;
    for (int i = 0; i < kRows * kDepth; ++i) a_values.push_back(static_cast<float>(i % 7));
    for (int i = 0; i < kDepth * kColumns; ++i) b_values.push_back(static_cast<float>(i % 5));
    upload(a_, a_values);
    upload(b_, b_values);
    for (int j = 0; j < kColumns; ++j)
      for (int i = 0; i < kRows; ++i) {
        float sum = 0.0f;
        for (int k = 0; k < kDepth; ++k)
          sum += a_values[static_cast<size_t>(i + k * kRows)] *
                 b_values[static_cast<size_t>(k + j * kDepth)];
        wanted_.push_back(sum);
      }
    EXPECT_EQ(cublasLtCreate(&handle_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescCreate(&description_, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulPreferenceCreate(&preference_), CUBLAS_STATUS_SUCCESS);
    layout_a_ = make_layout(kRows, kDepth, kRows);
    layout_b_ = make_layout(kDepth, kColumns, kDepth);
    layout_c_ = make_layout(kRows, kColumns, kRows);
  }
  ~CublasLt() override {
    for (const auto layout : {layout_a_, layout_b_, layout_c_}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulPreferenceDestroy(preference_);
    cublasLtMatmulDescDestroy(description_);
    cublasLtDestroy(handle_);
  }

  static void upload(float* to, const std::vector<float>& values) {
    cudaMemcpy(to, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice);
  }
  static cublasLtMatrixLayout_t make_layout(int rows, int columns, int stride) {
    cublasLtMatrixLayout_t layout = nullptr;
    EXPECT_EQ(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, static_cast<uint64_t>(rows),
                                         static_cast<uint64_t>(columns), stride),
              CUBLAS_STATUS_SUCCESS);
    return layout;
  }
  cublasStatus_t propose() {
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_, description_, layout_a_, layout_b_, layout_c_,
                                       layout_c_, preference_, 3, proposals_, &count);
    proposals_count_ = count;
    return status;
  }
  cublasStatus_t multiply(int index, const float* a, cudaStream_t stream = nullptr) {
    const float one = 1.0f, zero = 0.0f;
    return cublasLtMatmul(handle_, description_, &one, a, layout_a_, b_, layout_b_, &zero, c_,
                          layout_c_, c_, layout_c_, &proposals_[index].algo, nullptr, 0, stream);
  }
  void prefer_alignment(uint32_t bytes) {
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      cublasLtMatmulPreferenceSetAttribute(preference_, attribute, &bytes, sizeof bytes);
  }
  std::vector<float> result() const {
    std::vector<float> values = read(c_);
    values.resize(wanted_.size());
    return values;
  }

  float *a_ = allocate(), *b_ = allocate(), *c_ = allocate();
  std::vector<float> wanted_;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t description_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
  cublasLtMatrixLayout_t layout_a_ = nullptr, layout_b_ = nullptr, layout_c_ = nullptr;
  cublasLtMatmulHeuristicResult_t proposals_[3];
  int proposals_count_ = 0;
};

TEST_F(CublasLt, MultipliesInEveryWay) {
  launch_set(c_, kCount, 0.0f, nullptr);  // what is read of it behind the product
  EXPECT_EQ(propose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(proposals_count_, 3);
  for (int i = 0; i < proposals_count_; ++i) {
    EXPECT_EQ(multiply(i, a_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(result(), wanted_);
  }
  expect_nothing_found();
}

TEST_F(CublasLt, LoadsItsKernelsOutsideOfCapturesUnlessRelaxed) {
  launch_set(c_, kCount, 0.0f, nullptr);
  propose();
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  EXPECT_EQ(multiply(0, a_, stream), CUBLAS_STATUS_EXECUTION_FAILED);
  expect_finding("load_library_kernels while a stream is captured");
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  begin_capture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(multiply(0, a_, stream), CUBLAS_STATUS_SUCCESS);
  expect_finding("cuBLASLt loads its kernels while a stream is captured");
  EXPECT_EQ(multiply(0, a_, stream), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaGraphDestroy(end_capture(stream)), cudaSuccess);
  cudaStreamDestroy(stream);
  expect_nothing_found();
}

TEST_F(CublasLt, RefusesProductsInCapturesAlone) {
  Options::set(Options::parse("refuse=products-in-capture"));
  launch_set(c_, kCount, 0.0f, nullptr);
  propose();
  EXPECT_EQ(multiply(0, a_), CUBLAS_STATUS_SUCCESS);
  const cudaStream_t stream = make_stream();
  begin_capture(stream);
  EXPECT_EQ(multiply(0, a_, stream), CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(cudaGraphDestroy(end_capture(stream)), cudaSuccess);
  cudaStreamDestroy(stream);
  expect_nothing_found();
}

TEST_F(CublasLt, NoiseChangesTheResult) {
  Options::set(Options::parse("noise=0.01"));
  launch_set(c_, kCount, 0.0f, nullptr);
  propose();
  EXPECT_EQ(multiply(0, a_), CUBLAS_STATUS_SUCCESS);
  EXPECT_NEAR(result()[1], wanted_[1] * 1.01f, 1e-4f);
  EXPECT_NE(result()[1], wanted_[1]);
}

TEST_F(CublasLt, WrongLeadingDimensionIsReported) {
  cublasLtMatrixLayoutDestroy(layout_a_);
  layout_a_ = make_layout(kRows, kDepth, kRows - 1);
  EXPECT_EQ(propose(), CUBLAS_STATUS_INVALID_VALUE);
  expect_finding("a leading dimension below the number of rows");
}

TEST_F(CublasLt, LeadingDimensionBeyondTheMatrixIsReported) {
  cublasLtMatrixLayoutDestroy(layout_a_);
  layout_a_ = make_layout(kRows, kDepth, kCount);
  propose();
  EXPECT_EQ(multiply(0, a_), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_THAT(take_findings()[0], testing::HasSubstr("out of bounds"));
  reset("");
}

TEST_F(CublasLt, AlgorithmForAnotherProblemIsReported) {
  propose();
  cublasLtMatrixLayoutDestroy(layout_a_);
  layout_a_ = make_layout(kRows, kDepth, kRows + 1);
  EXPECT_EQ(multiply(0, a_), CUBLAS_STATUS_INVALID_VALUE);
  expect_finding("an algorithm for another problem");
}

TEST_F(CublasLt, MisalignedMatrixIsReported) {
  launch_set(a_, kCount, 1.0f, nullptr);
  propose();
  multiply(0, a_ + 1);
  expect_finding("A is 4-byte aligned; the preferences of its algorithm promised 256");
  prefer_alignment(4);
  propose();
  EXPECT_EQ(proposals_count_, 2) << "one way loads 16 bytes at once";
  EXPECT_EQ(multiply(0, a_ + 1), CUBLAS_STATUS_SUCCESS);
  cudaDeviceSynchronize();
  expect_nothing_found();
}

TEST_F(CublasLt, UnwrittenOperandIsReported) {
  propose();
  multiply(0, allocate());
  cudaDeviceSynchronize();
  expect_finding("cuBLASLt DEFAULT #0 reads memory never written");
}

TEST_F(CublasLt, OperandOfAnotherStreamIsReported) {
  const cudaStream_t other = make_stream();
  float* a = allocate();
  launch_set(a, kCount, 1.0f, other);
  propose();
  multiply(0, a);
  cudaDeviceSynchronize();
  const auto found = take_findings();
  EXPECT_THAT(found, testing::Contains(testing::HasSubstr("race: ")));
}

TEST_F(CublasLt, RefusesWhatTheOptionsSay) {
  Options::set(Options::parse("refuse=DEFAULT,cuBLASLt"));
  EXPECT_EQ(propose(), CUBLAS_STATUS_NOT_SUPPORTED);
  cublasLtHandle_t handle = nullptr;
  EXPECT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST_F(CublasLt, FailsWhenTheOptionsSay) {
  Options::set(Options::parse("fail=cublasLtMatmul:1"));
  propose();
  EXPECT_EQ(multiply(0, a_), CUBLAS_STATUS_EXECUTION_FAILED);
}

}  // namespace
}  // namespace elbo

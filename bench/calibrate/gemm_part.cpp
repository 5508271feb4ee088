// Point (d): the epilogues that cuBLASLt supports for each matrix product, their time and accuracy.
#include <algorithm>
#include <cmath>
#include <optional>

#include "bench/calibrate/gemm_check.cuh"
#include "bench/calibrate/gemm_shapes.hpp"
#include "bench/calibrate/parts.hpp"

namespace elbo::calibrate {
namespace {

constexpr int kMostAlgorithms = 8;
constexpr int kTrialRepetitions = 5;
constexpr double kReferenceWork = 1 << 30;  // multiplications in double, which take milliseconds

cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return CUBLAS_COMPUTE_32F_PEDANTIC;
    case Precision::tf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::bf16:
      return CUBLAS_COMPUTE_32F;
  }
  return CUBLAS_COMPUTE_32F;
}

cublasLtEpilogue_t cublas_epilogue(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::plain:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu_bias:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::relu_aux_bias:
      return CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
    case Epilogue::drelu:
      return CUBLASLT_EPILOGUE_DRELU;
    case Epilogue::drelu_bgrad:
      return CUBLASLT_EPILOGUE_DRELU_BGRAD;
    case Epilogue::bgradb:
      return CUBLASLT_EPILOGUE_BGRADB;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// The operands of one product and its expected outputs
class GemmBench {
 public:
  GemmBench(const Gpu& gpu, const CublasLt& library, const GemmCheck& check, const Product& product)
      : gpu_(gpu),
        library_(library),
        check_(check),
        product_(product),
        plain_(describe(product)),
        sets_(operand_sets()),
        a_(sets_ * stride(plain_.m * plain_.k, plain_.input)),
        b_(sets_ * stride(plain_.k * plain_.n, plain_.input)),
        d_(sets_ * stride(plain_.m * plain_.n, plain_.output)),
        vector_(size_of(plain_.output) * static_cast<size_t>(std::max(plain_.m, plain_.n))),
        mask_(static_cast<size_t>(mask_bits_per_column(plain_.m) / 8 * plain_.n)),
        columns_(std::clamp<int64_t>(
            static_cast<int64_t>(kReferenceWork / static_cast<double>(plain_.m * plain_.k)),
            std::min<int64_t>(8, plain_.n), plain_.n)),
        reference_(static_cast<size_t>(plain_.m * columns_)) {
    check_.fill_normals(a_.data(), plain_.input, elements(a_, plain_.input), 1);
    check_.fill_normals(b_.data(), plain_.input, elements(b_, plain_.input), 2);
    check_.product(plain_, a_.data(), b_.data(), columns_, reference_.data());
    gpu_.synchronize();
  }

  Json measure(Epilogue epilogue);

 private:
  static MatrixProduct describe(const Product& p) {
    const Element input = p.precision == Precision::bf16 ? Element::bf16 : Element::f32;
    return {.m = p.m(),
            .n = p.n(),
            .k = p.k(),
            .a_transposed = p.a_transposed(),
            .b_transposed = p.b_transposed(),
            .input = input,
            .output = p.bf16_output() ? Element::bf16 : Element::f32,
            .compute = compute_type(p.precision)};
  }
  static size_t stride(int64_t elements, Element element) {
    constexpr size_t kAlignment = 256;
    return (static_cast<size_t>(elements) * size_of(element) + kAlignment - 1) / kAlignment *
           kAlignment;
  }
  static int64_t elements(const DeviceArray<char>& array, Element element) {
    return static_cast<int64_t>(array.bytes() / size_of(element));
  }
  /// Returns 1 if a whole training step fits in the L2 cache. Otherwise the sets fill twice that
  /// cache, so that a product's operands are not cached, as in a step.
  size_t operand_sets() const {
    const auto cache = static_cast<double>(gpu_.l2_bytes());
    if (product_.model->step_bytes(product_.batch) <= cache) return 1;
    const size_t bytes = stride(plain_.m * plain_.k, plain_.input) +
                         stride(plain_.k * plain_.n, plain_.input) +
                         stride(plain_.m * plain_.n, plain_.output);
    return 1 + static_cast<size_t>(2.0 * cache / static_cast<double>(bytes));
  }
  cublasStatus_t enqueue(const CublasLt::Plan& plan, const CublasLt::Algorithm& algorithm,
                         size_t set) const {
    return plan.enqueue(algorithm, a_.data() + set * stride(plain_.m * plain_.k, plain_.input),
                        b_.data() + set * stride(plain_.k * plain_.n, plain_.input),
                        d_.data() + set * stride(plain_.m * plain_.n, plain_.output));
  }

  void make_mask();
  void prepare(Epilogue epilogue);
  bool is_right(const MatrixProduct& product, Epilogue epilogue, Json& fields) const;
  GraphExec graph_of(const CublasLt::Plan& plan, const CublasLt::Algorithm& algorithm) const;

  const Gpu& gpu_;
  const CublasLt& library_;
  const GemmCheck& check_;
  const Product& product_;
  MatrixProduct plain_;
  size_t sets_;
  DeviceArray<char> a_, b_, d_;
  DeviceArray<char> vector_;  // the bias, or its gradient
  DeviceArray<char> mask_;
  int64_t columns_;  // number of checked columns
  DeviceArray<double> reference_;
  std::optional<DeviceArray<char>> hidden_;  // bf16 [n][m]: the activations that mask_ belongs to
  size_t launches_ = 0;                      // per graph; 0: not known yet
};

/// Lets cuBLASLt write a mask and its activations, as in a forward pass, so that the test does not
/// depend on the layout of the mask. Uses a small bf16 product, so that it does not matter if other
/// types support that epilogue.
void GemmBench::make_mask() {
  constexpr int64_t kDepth = 16;
  const DeviceArray<char> a(static_cast<size_t>(2 * kDepth * plain_.m)),
      b(static_cast<size_t>(2 * kDepth * plain_.n)), bias(static_cast<size_t>(2 * plain_.m));
  DeviceArray<char> hidden(static_cast<size_t>(2 * plain_.m * plain_.n));
  check_.fill_normals(a.data(), Element::bf16, kDepth * plain_.m, 4);
  check_.fill_normals(b.data(), Element::bf16, kDepth * plain_.n, 5);
  check_.fill_normals(bias.data(), Element::bf16, plain_.m, 6);
  const CublasLt::Plan plan(library_, {.m = plain_.m,
                                       .n = plain_.n,
                                       .k = kDepth,
                                       .a_transposed = true,
                                       .input = Element::bf16,
                                       .output = Element::bf16,
                                       .epilogue = CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
                                       .bias = bias.data(),
                                       .mask = mask_.data()});
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const auto algorithms = plan.algorithms(1, status);
  if (!algorithms.empty()) status = plan.enqueue(algorithms[0], a.data(), b.data(), hidden.data());
  gpu_.synchronize();
  if (algorithms.empty() || status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("no mask to test with: " + library_.text(status));
  hidden_ = std::move(hidden);
}

/// Fills the inputs of the epilogue.
void GemmBench::prepare(Epilogue epilogue) {
  if (adds_bias(epilogue))  // as large as the products, so that a missing bias is detected
    check_.fill_normals(vector_.data(), plain_.output, plain_.m, 3,
                        std::sqrt(static_cast<double>(plain_.k)));
  if (reads_mask(epilogue) && !hidden_) make_mask();
}

/// Returns true if the outputs of the first operand set are right. Writes their errors to `fields`.
bool GemmBench::is_right(const MatrixProduct& product, Epilogue epilogue, Json& fields) const {
  Expected expected = {.product = reference_.data(), .columns = columns_};
  if (adds_bias(epilogue)) expected.added_bias = vector_.data();
  expected.relu = is_relu(epilogue);
  if (reads_mask(epilogue)) expected.open_where = hidden_->data();
  const double error = check_.error(product, d_.data(), expected);
  const double bound = error_bound(product_.precision, product_.bf16_output(), plain_.k);
  fields["error"] = error;
  fields["error_bound"] = bound;
  bool right = error <= bound;
  if (epilogue == Epilogue::relu_aux_bias)
    fields["mask_bits_unlike_little_endian"] =
        check_.wrong_mask_bits(mask_.data(), product, d_.data());
  if (writes_bias_gradient(epilogue)) {
    const bool of_output = epilogue == Epilogue::drelu_bgrad;
    const int64_t rows = of_output ? plain_.m : plain_.n;
    const int64_t columns = of_output ? plain_.n : plain_.k;
    const double off = check_.row_sum_error(of_output ? d_.data() : b_.data(),
                                            of_output ? plain_.output : plain_.input, rows, columns,
                                            vector_.data(), plain_.output);
    fields["bias_gradient_error"] = off;
    // Twice the bound: for the rounding of the sum, and for the rounding of the stored outputs that
    // the expected sum is computed from.
    right &= off <= 2.0 * error_bound(product_.precision, product_.bf16_output(), columns);
  }
  return right;
}

GraphExec GemmBench::graph_of(const CublasLt::Plan& plan,
                              const CublasLt::Algorithm& algorithm) const {
  return capture(gpu_.stream(), [&] {
    for (size_t i = 0; i < launches_; ++i)
      if (const cublasStatus_t status = enqueue(plan, algorithm, i % sets_);
          status != CUBLAS_STATUS_SUCCESS)
        throw DeviceError("cuBLASLt refused in a capture: " + library_.text(status));
  });
}

Json GemmBench::measure(Epilogue epilogue) {
  Json fields = {{"m", plain_.m},
                 {"n", plain_.n},
                 {"k", plain_.k},
                 {"output", plain_.output == Element::bf16 ? "bf16" : "fp32"}};
  prepare(epilogue);
  MatrixProduct product = plain_;
  product.epilogue = cublas_epilogue(epilogue);
  if (adds_bias(epilogue) || writes_bias_gradient(epilogue)) product.bias = vector_.data();
  if (reads_mask(epilogue) || epilogue == Epilogue::relu_aux_bias) product.mask = mask_.data();
  const CublasLt::Plan plan(library_, product);
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const std::vector<CublasLt::Algorithm> algorithms = plan.algorithms(kMostAlgorithms, status);
  fields["supported"] = !algorithms.empty();
  if (algorithms.empty()) {
    fields["reason"] = library_.text(status);
    return fields;
  }

  GraphExec best;
  double best_us = 0.0;
  Json best_fields;
  int refused = 0, wrong = 0;
  for (size_t i = 0; i < algorithms.size(); ++i) {
    check(cudaMemsetAsync(d_.data(), 0xff, d_.bytes(), gpu_.stream()), "fill memory");  // NaN
    if (writes_bias_gradient(epilogue))
      check(cudaMemsetAsync(vector_.data(), 0xff, vector_.bytes(), gpu_.stream()), "fill memory");
    if (enqueue(plan, algorithms[i], 0) != CUBLAS_STATUS_SUCCESS) {
      ++refused;
      continue;
    }
    gpu_.synchronize();
    Json outcome = {{"algorithm", i}};
    if (!is_right(product, epilogue, outcome)) {
      if (wrong++ == 0 && !best) best_fields = outcome;
      continue;
    }
    if (launches_ == 0) {
      constexpr double kGraphMicroseconds = 200.0;
      const double once = gpu_.time(3, [&] { enqueue(plan, algorithms[i], 0); }).median();
      launches_ =
          std::max(sets_, static_cast<size_t>(std::clamp(kGraphMicroseconds / once, 1.0, 32.0)));
    }
    GraphExec graph = graph_of(plan, algorithms[i]);
    const double us =
        gpu_.time(kTrialRepetitions,
                  [&] { check(cudaGraphLaunch(graph.get(), gpu_.stream()), "launch a graph"); })
            .median();
    if (best && us >= best_us) continue;
    best = std::move(graph);
    best_us = us;
    best_fields = outcome;
  }

  if (best) {
    Samples samples = gpu_.time(
        kRepetitions, [&] { check(cudaGraphLaunch(best.get(), gpu_.stream()), "launch a graph"); });
    for (double& us : samples.microseconds) us /= static_cast<double>(launches_);
    fields.update(time_fields(samples));
    fields["tf_per_s"] = 2e-6 * static_cast<double>(plain_.m * plain_.n) *
                         static_cast<double>(plain_.k) / samples.median();
    fields["launches_per_graph"] = launches_;
    fields["operand_sets"] = sets_;
  }
  fields.update(best_fields);
  fields["algorithms"] = algorithms.size();
  if (refused != 0) fields["refused_algorithms"] = refused;
  if (wrong != 0) fields["wrong_algorithms"] = wrong;
  return fields;
}

}  // namespace

void run_gemm(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  const CublasLt library(gpu);
  const GemmCheck check(gpu);
  report.set("cublaslt", library.version());
  for (const Product& product : products()) {
    std::optional<GemmBench> bench;
    for (const Epilogue epilogue : epilogues(*product.layer, product.pass))
      report.row(
          product.name() + "/" + std::string(name_of(epilogue)),
          [&] {
            if (!bench) bench.emplace(gpu, library, check, product);
            return bench->measure(epilogue);
          },
          usable);
  }
}

}  // namespace elbo::calibrate

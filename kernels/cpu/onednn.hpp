// Convolutions of oneDNN: primitives for one shape, created when a program is prepared and run on
// one thread, one or a few rows at a time. Weights are packed into the layout that a primitive
// requires. Versions 2 and 3 of the library are supported.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/convolution.hpp"

namespace elbo::cpu {

/// The sums of a convolution (to the narrow side) or of its transpose (to the wide side).
class ConvolutionSums {
 public:
  enum class To { narrow, wide };
  /// The epilogue of a convolution to the narrow side.
  enum class Finish { none, bias, bias_and_relu };

  /// For up to `rows` rows at a time; exactly `rows` rows are one call of the library.
  ConvolutionSums(const ConvolutionShape& shape, int64_t rows, To to, Finish finish);
  ~ConvolutionSums();

  /// Floats of the packed weights.
  int64_t packed_size() const;
  /// Number of tasks of packing.
  int packing_tasks() const;
  void pack(const float* weights, float* packed, int task) const;
  /// to = the sums of `from`, [rows, a side] each; bias [narrow channels] if the epilogue has one.
  void run(const float* from, const float* packed, const float* bias, float* to,
           int64_t rows) const;

 private:
  struct Primitives;
  std::unique_ptr<Primitives> primitives_;
  int64_t rows_, from_, to_;
};

/// The gradient of the weights, summed over some rows.
class ConvolutionWeightsGradient {
 public:
  /// For up to `rows` rows.
  ConvolutionWeightsGradient(const ConvolutionShape& shape, int64_t rows);
  ~ConvolutionWeightsGradient();

  /// Floats of the gradient in the layout that the library writes.
  int64_t packed_size() const;
  /// packed = the gradient over `rows` rows of both sides, at most the constructor's; zero for no
  /// rows.
  void run(const float* wide, const float* narrow, int64_t rows, float* packed) const;
  /// gradient [weights] = or += the packed gradient.
  void unpack(const float* packed, float* gradient, bool accumulate) const;

 private:
  struct Primitives;
  std::unique_ptr<Primitives> primitives_;
  int64_t rows_, wide_, narrow_;
};

}  // namespace elbo::cpu

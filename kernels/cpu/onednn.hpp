// Convolutions of oneDNN: primitives for one shape, made when a program is prepared and run on one
// thread, a row (or a few) at a time. Weights are packed into the layout that a primitive asks for.
// Versions 2 and 3 of the library are supported.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/convolution.hpp"

namespace elbo::cpu {

/// The sums of a convolution (to the narrow side) or of its transpose (to the wide side).
class ConvolutionSums {
 public:
  enum class To { narrow, wide };
  /// What a sum towards the narrow side is finished with.
  enum class Finish { none, bias, bias_and_relu };

  /// Of up to `rows` rows at a time; that many are one call of the library.
  ConvolutionSums(const ConvolutionShape& shape, int64_t rows, To to, Finish finish);
  ~ConvolutionSums();

  /// Floats of the packed weights.
  int64_t packed_size() const;
  /// Packing is so many tasks.
  int packing_tasks() const;
  void pack(const float* weights, float* packed, int task) const;
  /// to = the sums of `from`, [rows, a side] each; bias [narrow channels] where it is finished with
  /// one.
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
  /// Of up to `rows` rows.
  ConvolutionWeightsGradient(const ConvolutionShape& shape, int64_t rows);
  ~ConvolutionWeightsGradient();

  /// Floats of the gradient in the layout that the library writes.
  int64_t packed_size() const;
  /// packed = the gradient over `rows` rows of both sides, at most those of the constructor; of
  /// none: zero.
  void run(const float* wide, const float* narrow, int64_t rows, float* packed) const;
  /// gradient [weights] = what is packed, or that added to it.
  void unpack(const float* packed, float* gradient, bool accumulate) const;

 private:
  struct Primitives;
  std::unique_ptr<Primitives> primitives_;
  int64_t rows_, wide_, narrow_;
};

}  // namespace elbo::cpu

// Products by a library, cuBLASLt or cuDNN, instead of the kernel in product.cuh, if measurements
// show that it is faster (kernels/cuda/tuning.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/stream.hpp"
#include "kernels/program.hpp"

namespace elbo::cuda {

/// One way to compute the product of one op by a library.
class LibraryProduct {
 public:
  virtual ~LibraryProduct() = default;
  /// Queues the product on the stream, which may be in capture.
  virtual void enqueue(Stream stream) = 0;
  /// True if this is the whole op, false if finish_library_product must follow.
  virtual bool whole() const = 0;
  /// A backward product that reads a mask requires the forward product of the same layer that
  /// writes it.
  virtual bool writes_mask() const { return false; }
  virtual bool reads_mask() const { return false; }
  /// A name, the same for the same work: "cuBLASLt RELU_BIAS #0".
  virtual std::string name() const = 0;
};

/// The ways to compute an op.
struct Candidates {
  std::vector<std::unique_ptr<LibraryProduct>> products;
  std::string shortage;  // why candidates are missing for lack of memory, or empty
};

class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;
  /// Name and version: "cuBLASLt 130400".
  virtual std::string version() const = 0;
  /// The file that it was loaded from.
  virtual std::string path() const = 0;
  /// Returns the library's products for `op`: none if it is not a product, or if the library cannot
  /// compute it. Throws only GpuLost.
  virtual Candidates candidates(const Op& op) = 0;
};

/// Libraries receive only arrays aligned to this, because they load 16 bytes at a time.
inline constexpr size_t kLibraryAlignment = 16;

/// Returns the largest power of two up to 64 that divides the addresses that a library receives for
/// an op: operands, results and bias. All arrays that a program owns are aligned to 64.
size_t alignment_of(const Op& op);

/// Queues the remainder of an op after a library's product: bias and activation, derivative, bias
/// gradient.
void finish_library_product(const DenseForward& op, const Queue& queue);
void finish_library_product(const DenseBackwardInput& op, const Queue& queue);
void finish_library_product(const DenseBackwardWeights& op, const Queue& queue);
void finish_library_product(const ConvolutionForward& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardInput& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardWeights& op, const Queue& queue);

}  // namespace elbo::cuda

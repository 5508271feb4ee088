// Products by a library, cuBLASLt and cuDNN on a GPU, instead of the kernel in product.cuh: where
// that is faster, which kernels/cuda/tuning.hpp finds out.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/stream.hpp"
#include "kernels/program.hpp"

namespace elbo::cuda {

/// One way in which a library computes the product of one op.
class LibraryProduct {
 public:
  virtual ~LibraryProduct() = default;
  /// Queues the product on the stream; callable while the stream is captured.
  virtual void enqueue(Stream stream) = 0;
  /// Whether that is the whole op, or finish_library_product has to follow.
  virtual bool whole() const = 0;
  /// A backward product that reads the mask which the forward product of the same layer writes can
  /// only be taken together with that one.
  virtual bool writes_mask() const { return false; }
  virtual bool reads_mask() const { return false; }
  /// The same text for the same work: "cuBLASLt RELU_BIAS #0".
  virtual std::string name() const = 0;
};

/// The ways to compute an op.
struct Candidates {
  std::vector<std::unique_ptr<LibraryProduct>> products;
  std::string shortage;  // why some are missing that there is not enough memory for; or empty
};

class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;
  /// With its name: "cuBLASLt 130400".
  virtual std::string version() const = 0;
  /// The file it was loaded from.
  virtual std::string path() const = 0;
  /// No products for ops that are none, or that the library cannot compute. Throws GpuLost alone.
  virtual Candidates candidates(const Op& op) = 0;
};

/// Libraries are given arrays on multiples of this alone: they load 16 bytes at a time.
inline constexpr size_t kLibraryAlignment = 16;

/// The largest power of two up to 64 that divides the addresses which a library would be given for
/// an op. All of a program's own arrays have 64.
size_t alignment_of(const Op& op);

/// What a product by a library leaves to do: bias and activation, derivative, bias gradient.
void finish_library_product(const DenseForward& op, const Queue& queue);
void finish_library_product(const DenseBackwardInput& op, const Queue& queue);
void finish_library_product(const DenseBackwardWeights& op, const Queue& queue);
void finish_library_product(const ConvolutionForward& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardInput& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardWeights& op, const Queue& queue);

}  // namespace elbo::cuda

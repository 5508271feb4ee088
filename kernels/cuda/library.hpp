// Dense products by a library, cuBLASLt on a GPU, instead of the kernel in product.cuh: where that
// is faster, which kernels/cuda/tuning.hpp finds out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/stream.hpp"
#include "kernels/program.hpp"

namespace elbo::cuda {

/// One way in which a library computes the product of one dense op.
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

class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;
  virtual std::string version() const = 0;
  /// The ways to compute a dense op; none for other ops, or where the library cannot.
  virtual std::vector<std::unique_ptr<LibraryProduct>> candidates(const Op& op) = 0;
};

/// What a product by a library leaves to do: bias and activation, derivative, bias gradient.
void finish_library_product(const DenseForward& op, Stream stream);
void finish_library_product(const DenseBackwardInput& op, Stream stream);
void finish_library_product(const DenseBackwardWeights& op, Stream stream);

}  // namespace elbo::cuda

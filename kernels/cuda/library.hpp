// Products by a library, cuBLASLt and cuDNN on a GPU, instead of the kernel in product.cuh: where
// that is faster, which kernels/cuda/tuning.hpp finds out.
#pragma once

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

class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;
  /// With its name: "cuBLASLt 130400".
  virtual std::string version() const = 0;
  /// The ways to compute an op; none for ops that are no products, or where the library cannot.
  virtual std::vector<std::unique_ptr<LibraryProduct>> candidates(const Op& op) = 0;
};

/// Several libraries as one, which knows the ways of all of them.
class ProductLibraries : public ProductLibrary {
 public:
  void add(std::unique_ptr<ProductLibrary> library) { libraries_.push_back(std::move(library)); }
  bool empty() const { return libraries_.empty(); }

  std::string version() const override {
    std::string versions;
    for (const auto& library : libraries_)
      versions += (versions.empty() ? "" : " ") + library->version();
    return versions;
  }
  std::vector<std::unique_ptr<LibraryProduct>> candidates(const Op& op) override {
    std::vector<std::unique_ptr<LibraryProduct>> all;
    for (const auto& library : libraries_)
      for (auto& product : library->candidates(op)) all.push_back(std::move(product));
    return all;
  }

 private:
  std::vector<std::unique_ptr<ProductLibrary>> libraries_;
};

/// A library that cannot be had, for `reason`.
struct MissingLibrary {
  std::string products;  // what it would do, "matrix products"
  bool (*does)(const Op& op);
  std::string reason;
};

/// What a product by a library leaves to do: bias and activation, derivative, bias gradient.
void finish_library_product(const DenseForward& op, const Queue& queue);
void finish_library_product(const DenseBackwardInput& op, const Queue& queue);
void finish_library_product(const DenseBackwardWeights& op, const Queue& queue);
void finish_library_product(const ConvolutionForward& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardInput& op, const Queue& queue);
void finish_library_product(const ConvolutionBackwardWeights& op, const Queue& queue);

}  // namespace elbo::cuda

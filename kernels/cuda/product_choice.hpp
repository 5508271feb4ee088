// Chooses the implementation of each product in a program, from the measurements in a file or from
// new ones.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/library.hpp"
#include "kernels/cuda/tuning.hpp"

namespace elbo::cuda {

/// The library for one kind of products, and its measurements. Both are loaded when the first op of
/// that kind needs them, because a library takes up to a second and hundreds of MB to start.
class ProductSource {
 public:
  /// Returns the library, or null and sets `reason` if it cannot be loaded or started.
  using Make = std::function<std::unique_ptr<ProductLibrary>(std::string& reason)>;
  /// Returns the path of the file of measurements with a library.
  using TuningPath = std::function<std::filesystem::path(const std::string& library)>;

  /// `is_one`: whether an op is a product of this kind, named `products` for people.
  ProductSource(std::string products, bool (*is_one)(const Op& op), Make make, TuningPath path)
      : products_(std::move(products)),
        does_(is_one),
        make_(std::move(make)),
        path_(std::move(path)) {}

  bool does(const Op& op) const { return does_(op); }
  /// Returns the library, or null if it cannot be loaded or started.
  ProductLibrary* library();
  /// Returns the measurements; valid only after library() has returned a library.
  TuningFile& tuning() { return *tuning_; }
  /// Returns "matrix products: cuBLASLt 130400 (/usr/lib/libcublasLt.so.13)", or the reason why no
  /// library is available.
  std::string note();

 private:
  std::string products_;
  bool (*does_)(const Op& op);
  Make make_;
  TuningPath path_;
  bool looked_for_ = false;
  std::string missing_;
  std::unique_ptr<ProductLibrary> library_;
  std::unique_ptr<TuningFile> tuning_;
};

/// The GPU functions that choosing needs. All throw GpuLost for a fault, after which the GPU is
/// unusable, and DeviceError for a refusal.
class ProductTrials {
 public:
  virtual ~ProductTrials() = default;
  /// Measures one product on arrays of its own.
  virtual Measurement measure(const Op& op, ProductLibrary& library) = 0;
  /// Runs a product once on the op's arrays and restores them, so that the library loads its code
  /// before a capture. Skips this run if there is no memory to save the arrays. Returns the number
  /// of the product's graph nodes.
  virtual size_t try_out(const Op& op, LibraryProduct& product) = 0;
};

/// A time limit of `seconds`, by a clock in seconds (by default a steady one).
class TimeBox {
 public:
  using Clock = std::function<double()>;
  explicit TimeBox(double seconds, Clock clock = steady_seconds)
      : clock_(std::move(clock)), seconds_(seconds), end_(clock_() + seconds) {}
  bool is_over() const { return clock_() >= end_; }
  double seconds() const { return seconds_; }

 private:
  static double steady_seconds();

  Clock clock_;
  double seconds_, end_;
};

struct ProductChoice {
  std::vector<std::unique_ptr<LibraryProduct>> products;  // by op; null: the kernel
  std::vector<std::string> notes;                         // choices and reasons, for the user
};

/// Chooses an implementation for each op. Products that are not measured when `time` has elapsed
/// use the kernels.
ProductChoice choose_products(const Program& program, std::vector<ProductSource>& sources,
                              ProductTrials& trials, const TimeBox& time);

}  // namespace elbo::cuda

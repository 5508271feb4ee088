// Which implementation of a product is the fastest on this GPU: measured when a program is
// prepared, against the kernel of product.cuh, whose result the others must agree with. What was
// measured is kept in a file, so that later programs, and later processes, choose alike: other
// implementations add in other orders, and two runs are to give the same bits.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/library.hpp"
#include "kernels/dataflow.hpp"

namespace elbo::cuda {

/// The fastest ways to compute one op. Times in microseconds; an empty name is the kernel.
struct Measurement {
  double kernel = 0.0;
  std::string best = {};
  double best_time = 0.0;
  std::string masked = {};  // the best that writes or reads a mask, if any agrees
  double masked_time = std::numeric_limits<double>::infinity();
};

/// Measurements by the ops' descriptions, kept in a text file: one op a line.
class TuningFile {
 public:
  /// Reads what is there. Lines it does not understand count as not there; an empty path keeps
  /// nothing.
  explicit TuningFile(std::filesystem::path path);
  const Measurement* find(const std::string& key) const;
  /// Whether it could be written down.
  bool add(const std::string& key, const Measurement& measurement);
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::map<std::string, Measurement> measurements_;
};

/// An op's kind, shape, activation (or whether it adds to its result) and formats, which together
/// decide how fast it is; empty for ops that are no products.
std::string tuning_key(const Op& op);

bool is_matrix_product(const Op& op);
bool is_convolution(const Op& op);

/// The implementation chosen for each op of a program: by name, empty for the kernel. A backward
/// product that reads a mask goes together with the forward product that writes it.
std::vector<std::string> choose(const Program& program,
                                const std::map<std::string, Measurement>& measurements);

/// Measures one product on arrays of its own.
Measurement measure(const Op& op, ProductLibrary& library, Stream stream);

}  // namespace elbo::cuda

// Golden files of the PyTorch twin (python_tools/elbo_tools/golden), and the tolerance for the
// engine's floats.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/safetensors.hpp"
#include "tests/paths.hpp"

namespace elbo {

inline std::filesystem::path golden_folder() { return test_folder() / "golden"; }

/// Files whose name ends, or does not end, in one of these; sorted.
enum class GoldenKind { training, points, layer };
inline std::vector<std::filesystem::path> golden_files(GoldenKind wanted) {
  const auto kind = [](const std::string& name) {
    if (name.ends_with("_points")) return GoldenKind::points;
    return name.ends_with("_layer") ? GoldenKind::layer : GoldenKind::training;
  };
  std::vector<std::filesystem::path> files;
  std::error_code missing;  // then the list is empty, and a test of what it covers fails
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(), missing))
    if (kind(entry.path().stem().string()) == wanted) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path) : file_(path) {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  /// A tensor's elements, F32 or F64. Throws if there is none of that name.
  std::vector<double> values(const std::string& name) const {
    const TensorView& tensor = find(name);
    return tensor.type == TensorType::f64 ? read<double, double>(tensor)
                                          : read<float, double>(tensor);
  }
  /// The elements of an F32 tensor.
  std::vector<float> floats(const std::string& name) const {
    const TensorView& tensor = find(name);
    if (tensor.type != TensorType::f32) throw std::runtime_error(name + " is not F32");
    return read<float, float>(tensor);
  }
  bool has_setting(const std::string& name) const { return file_.metadata().contains(name); }
  const std::string& setting(const std::string& name) const { return file_.metadata().at(name); }
  const std::map<std::string, std::string>& settings() const { return file_.metadata(); }

 private:
  const TensorView& find(const std::string& name) const {
    const TensorView* tensor = file_.find(name);
    if (tensor == nullptr) throw std::runtime_error(file_.path().string() + " has no " + name);
    return *tensor;
  }
  template <class Stored, class T>
  static std::vector<T> read(const TensorView& tensor) {
    std::vector<Stored> stored(tensor.data.size() / sizeof(Stored));
    std::memcpy(stored.data(), tensor.data.data(), tensor.data.size());
    return {stored.begin(), stored.end()};
  }

  SafetensorsFile file_;
};

inline double largest(const std::vector<double>& values) {
  double magnitude = 0.0;
  for (const double v : values) magnitude = std::max(magnitude, std::abs(v));
  return magnitude;
}

/// How far rounding may carry an element, in units of the largest of its tensor, where the sums on
/// the way to it have `terms` terms. Each term rounds twice, its product and its addition, by up to
/// half an epsilon of the largest number among those added: independent, that is 0.29 sqrt(2 terms)
/// epsilon, of which this is three and a half.
inline double rounding_of(double terms) {
  return 1.5 * std::sqrt(terms) * std::numeric_limits<float>::epsilon();
}

inline void expect_near(const std::vector<float>& got, const std::vector<double>& want,
                        const std::vector<double>& bound, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double worst = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], bound[i]) << what << ", element " << i;
    worst = std::max(worst, std::abs(got[i] - want[i]) / bound[i]);
  }
  testing::Test::RecordProperty(what, std::to_string(worst));
}

/// Expects agreement within `rounding` times the largest expected element.
inline void expect_near(const std::vector<float>& got, const std::vector<double>& want,
                        double rounding, const std::string& what) {
  expect_near(got, want, std::vector<double>(want.size(), rounding * largest(want)), what);
}

}  // namespace elbo

// The files the PyTorch twin wrote (python_tools/elbo_tools/golden.py).
#pragma once

#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/io/safetensors.hpp"

namespace elbo {

inline std::filesystem::path golden_folder() {
  return std::filesystem::path(ELBO_TEST_SOURCE_DIR) / "golden";
}

class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path) : file_(path) {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  /// A tensor's elements, F32 or F64. Throws where there is none of that name.
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
  const std::string& setting(const std::string& name) const { return file_.metadata().at(name); }

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

}  // namespace elbo

// Finds and loads NVIDIA's libraries at run time.
#pragma once

#include <string>
#include <vector>

namespace elbo::cuda {

/// The files to try for a library, "libcudnn.so.9", in this order:
///   1. in the folders of the environment variable ELBO_CUDA_LIBRARIES, separated by ':'
///   2. by the loader's search path (the name without a folder)
///   3. in the toolkit's folder, /usr/local/cuda/lib64
///   4. in the packages (nvidia/*/lib) of the Python environment $VIRTUAL_ENV
///   5. in those of the python3 on PATH
///   6. in those that the user (~/.local) and the system have for any Python
/// Of 4 to 6 only files that exist. ELBO_CUDA_LIBRARIES=none: no file at all.
struct LibrarySearch {
  std::vector<std::string> files;
  std::string places;      // for people: the searched folders
  std::string given = {};  // ELBO_CUDA_LIBRARIES
};
LibrarySearch find_library(const std::string& file);

/// A library that stays loaded until the process ends. Libraries that it loads itself, as cuDNN
/// does, must be in its folder or in the loader's search path.
class SharedLibrary {
 public:
  /// Loads the first file that can be loaded. Otherwise throws DeviceError with the files that were
  /// tried.
  SharedLibrary(std::string product, const LibrarySearch& search);

  /// Throws DeviceError, "the installed cuDNN lacks cudnnCreate", if there is none.
  template <class Function>
  void get(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }
  const std::string& path() const { return path_; }
  /// For people: the path, and whether ELBO_CUDA_LIBRARIES named folders without this library.
  const std::string& origin() const { return origin_; }

 private:
  void* symbol(const char* name) const;

  std::string product_, path_, origin_;
  void* handle_ = nullptr;
};

}  // namespace elbo::cuda

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
///   5. in the packages of the python3 on PATH
///   6. in the packages of the user (~/.local) and of the system, for any Python
/// Steps 4 to 6 contain only files that exist. ELBO_CUDA_LIBRARIES=none: no file at all.
struct LibrarySearch {
  std::vector<std::string> files;
  std::string places;      // the searched folders, for messages
  std::string given = {};  // ELBO_CUDA_LIBRARIES
};
LibrarySearch find_library(const std::string& file);

/// A library that stays loaded until the process ends. Libraries that it loads itself, as cuDNN
/// does, must be in its folder or in the loader's search path.
class SharedLibrary {
 public:
  /// Loads the first file that can be loaded. Throws DeviceError if there is none, with the
  /// loader's error and the searched folders.
  SharedLibrary(std::string product, const LibrarySearch& search);

  /// Finds a function. Throws DeviceError, "the installed cuDNN lacks cudnnCreate", if it is
  /// missing.
  template <class Function>
  void get(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }
  const std::string& path() const { return path_; }
  /// Returns the path for messages, with a note if ELBO_CUDA_LIBRARIES names folders but the
  /// library was loaded from another folder.
  const std::string& origin() const { return origin_; }

 private:
  void* symbol(const char* name) const;

  std::string product_, path_, origin_;
  void* handle_ = nullptr;
};

}  // namespace elbo::cuda

// Search paths of NVIDIA's libraries, in temporary folders.
#include "kernels/cuda/shared_library.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo::cuda {
namespace {

using std::filesystem::path;

/// Sets a variable of the environment until its end.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

constexpr const char* kFile = "libnothing.so.9";

class SharedLibraries : public testing::Test {
 protected:
  path file(const path& folder) {
    std::filesystem::create_directories(directory_.path() / folder);
    std::ofstream(directory_.path() / folder / kFile) << "not a library";
    return directory_.path() / folder / kFile;
  }

  TemporaryDirectory directory_;
  Environment libraries_{"ELBO_CUDA_LIBRARIES", ""}, virtual_{"VIRTUAL_ENV", ""},
      home_{"HOME", directory_ / "home"}, path_{"PATH", directory_ / "bin"};
};

TEST_F(SharedLibraries, AreFoundInTheDocumentedOrder) {
  const path packages = "lib/python3.11/site-packages/nvidia";
  const path active = file("venv" / packages / "cudnn/lib");
  const path toolkit = file("venv" / packages / "cu13/lib");
  const path beside = file("python" / packages / "cublas/lib");
  const path linked = file("system" / packages / "cudnn/lib");
  const path user = file("home/.local" / packages / "cudnn/lib");
  std::filesystem::create_directories(directory_ / "python/bin");
  std::filesystem::create_directories(directory_ / "system/bin");
  std::ofstream(directory_ / "system/bin/python3") << "";
  std::filesystem::create_symlink(directory_ / "system/bin/python3",
                                  directory_ / "python/bin/python3");
  const Environment folders("ELBO_CUDA_LIBRARIES", "/one:/two/:");
  const Environment environment("VIRTUAL_ENV", directory_ / "venv");
  const Environment search("PATH", "/no such folder:" + (directory_ / "python/bin").string());
  const LibrarySearch found = find_library(kFile);
  EXPECT_EQ(found.files, (std::vector<std::string>{"/one/libnothing.so.9", "/two/libnothing.so.9",
                                                   kFile, "/usr/local/cuda/lib64/libnothing.so.9",
                                                   toolkit, active, beside, linked, user}));
  EXPECT_TRUE(found.places.starts_with("the folders of ELBO_CUDA_LIBRARIES (/one:/two/:), "))
      << found.places;
}

TEST_F(SharedLibraries, AreLoadedFromTheFolderGiven) {
  std::filesystem::create_directories(directory_ / "here");
  std::filesystem::copy_file(ELBO_SAMPLE_LIBRARY, directory_ / "here" / kFile);
  const Environment folders("ELBO_CUDA_LIBRARIES", directory_ / "here");
  const SharedLibrary library("cuDNN", find_library(kFile));
  EXPECT_EQ(library.path(), directory_ / "here" / kFile);
  int (*function)() = nullptr;
  library.get("sample_answer", function);
  EXPECT_EQ(function(), 42);
  try {
    library.get("another", function);
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_STREQ(error.what(), "the installed cuDNN lacks another");
  }
}

TEST_F(SharedLibraries, AreReportedIfNotFromTheFolderGiven) {
  std::filesystem::create_directories(directory_ / "here");
  std::filesystem::copy_file(ELBO_SAMPLE_LIBRARY, directory_ / "here" / kFile);
  const std::string loaded = directory_ / "here" / kFile;
  const Environment folders("ELBO_CUDA_LIBRARIES", directory_ / "here");
  LibrarySearch search = find_library(kFile);
  EXPECT_EQ(SharedLibrary("cuDNN", search).origin(), loaded);
  search.given = "/none:relative";
  EXPECT_EQ(SharedLibrary("cuDNN", search).origin(),
            loaded + "; none that loads in ELBO_CUDA_LIBRARIES, which is " + search.given);
}

TEST_F(SharedLibraries, ThatAreMissingNameAllPlaces) {
  try {
    SharedLibrary("cuDNN", find_library(kFile));
    FAIL();
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with("cannot load cuDNN: libnothing.so.9: cannot open")) << text;
    for (const std::string& place :
         {std::string("ELBO_CUDA_LIBRARIES (not set)"), std::string("/usr/local/cuda/lib64"),
          (directory_ / "home/.local").string()})
      EXPECT_NE(text.find(place), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
}

TEST_F(SharedLibraries, AreNotLookedForIfNoneIsAsked) {
  const Environment folders("ELBO_CUDA_LIBRARIES", "none");
  EXPECT_TRUE(find_library("libc.so.6").files.empty());
  try {
    SharedLibrary("cuDNN", find_library("libc.so.6"));
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_STREQ(error.what(),
                 "cannot load cuDNN: looked for in no folder (ELBO_CUDA_LIBRARIES is none)");
  }
}

// The error names an existing file that cannot be loaded.
TEST_F(SharedLibraries, ThatCannotBeLoadedAreNamed) {
  const path broken = file("here");
  const Environment folders("ELBO_CUDA_LIBRARIES", directory_ / "here");
  try {
    SharedLibrary("cuDNN", find_library(kFile));
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("cannot load cuDNN: " + broken.string()))
        << error.what();
  }
}

}  // namespace
}  // namespace elbo::cuda

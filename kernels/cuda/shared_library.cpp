#include "kernels/cuda/shared_library.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "kernels/core/error.hpp"

namespace elbo::cuda {
namespace {

using std::filesystem::path;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<path> folders_of(const std::string& list) {
  std::vector<path> folders;
  std::istringstream text(list);
  for (std::string folder; std::getline(text, folder, ':');)
    if (!folder.empty()) folders.emplace_back(folder);
  return folders;
}

/// The folders inside `folder`, in the order of their names; none if it cannot be read.
std::vector<path> folders_in(const path& folder) {
  std::vector<path> inside;
  std::error_code error;
  for (std::filesystem::directory_iterator each(folder, error), end; !error && each != end;
       each.increment(error))
    if (std::error_code ignored; each->is_directory(ignored)) inside.push_back(each->path());
  std::ranges::sort(inside);
  return inside;
}

/// Returns the prefixes, such as /usr, of the first python3 on PATH: the prefix of its link (in a
/// virtual environment) and the prefix of the link's target.
std::vector<path> python_prefixes() {
  for (const path& folder : folders_of(variable("PATH"))) {
    std::error_code error;
    const path python = folder / "python3", real = std::filesystem::canonical(python, error);
    if (error) continue;
    return {folder.parent_path(), real.parent_path().parent_path()};
  }
  return {};
}

/// The files of a library in Python packages under `prefix`.
std::vector<std::string> package_files(const path& prefix, const std::string& file) {
  std::vector<std::string> files;
  for (const path& python : folders_in(prefix / "lib"))
    if (python.filename().string().starts_with("python"))
      for (const char* packages : {"site-packages", "dist-packages"})
        for (const path& package : folders_in(python / packages / "nvidia"))
          if (std::error_code ignored; std::filesystem::exists(package / "lib" / file, ignored))
            files.push_back(package / "lib" / file);
  return files;
}

}  // namespace

LibrarySearch find_library(const std::string& file) {
  const std::string given = variable("ELBO_CUDA_LIBRARIES");
  if (given == "none") return {.files = {}, .places = "no folder (ELBO_CUDA_LIBRARIES is none)"};
  LibrarySearch search;
  search.given = given;
  for (const path& folder : folders_of(given)) search.files.push_back(folder / file);
  const path toolkit = "/usr/local/cuda/lib64";
  search.files.push_back(file);
  search.files.push_back(toolkit / file);
  std::vector<path> prefixes;
  const auto add = [&](const path& prefix) {
    if (!prefix.empty() && std::ranges::find(prefixes, prefix) == prefixes.end())
      prefixes.push_back(prefix);
  };
  add(variable("VIRTUAL_ENV"));
  for (const path& prefix : python_prefixes()) add(prefix);
  if (const std::string home = variable("HOME"); !home.empty()) add(path(home) / ".local");
  for (const char* prefix : {"/usr/local", "/usr"}) add(prefix);
  search.places = "the folders of ELBO_CUDA_LIBRARIES (" + (given.empty() ? "not set" : given) +
                  "), the loader's path, " + toolkit.string() + ", the Python packages under";
  for (const path& prefix : prefixes) {
    search.places += ' ' + prefix.string();
    for (std::string& found : package_files(prefix, file)) search.files.push_back(std::move(found));
  }
  return search;
}

SharedLibrary::SharedLibrary(std::string product, const LibrarySearch& search)
    : product_(std::move(product)) {
  std::string reason;
  for (const std::string& file : search.files) {
    handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) break;
    const char* error = dlerror();
    // The error of an existing file is more informative than the absence of others.
    std::error_code ignored;
    if (reason.empty() || std::filesystem::exists(file, ignored))
      reason = error == nullptr ? "unknown error" : error;
  }
  if (handle_ == nullptr) {
    const std::string places = search.places.empty() ? "" : "looked for in " + search.places;
    throw DeviceError("cannot load " + product_ + ": " + reason +
                      (reason.empty() || places.empty() ? "" : "; ") + places);
  }
  link_map* loaded = nullptr;
  if (dlinfo(handle_, RTLD_DI_LINKMAP, &loaded) == 0) path_ = loaded->l_name;
  origin_ = path_;
  const auto folders = folders_of(search.given);
  const auto holds_it = [&](const auto& folder) {
    std::error_code error;
    return std::filesystem::equivalent(std::filesystem::path(path_).parent_path(), folder, error);
  };
  if (!folders.empty() && std::ranges::none_of(folders, holds_it))
    origin_ += "; none that loads in ELBO_CUDA_LIBRARIES, which is " + search.given;
}

void* SharedLibrary::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  if (found == nullptr) throw DeviceError("the installed " + product_ + " lacks " + name);
  return found;
}

}  // namespace elbo::cuda

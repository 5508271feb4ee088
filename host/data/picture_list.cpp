#include "host/data/picture_list.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "host/data/reader.hpp"
#include "host/io/file_error.hpp"
#include "host/io/picture.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

FileStamp stamp_from(const struct stat& status) {
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

/// Appends the names in a directory, without hidden ones, and sorts them. Returns the error if the
/// directory cannot be read.
std::error_code list_names(const fs::path& directory, std::vector<std::string>& names) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.starts_with('.')) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return error;
}

std::optional<std::string_view> split_of_directory(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return split_of_alias(name);
}

/// Labels by class, in the order of appearance.
using Classes = std::map<std::string, std::int32_t>;

/// Lists the pictures of one split.
class Walk {
 public:
  Walk(const fs::path& folder, std::string_view split, Classes& classes)
      : folder_(folder), split_(split), classes_(classes) {}

  /// All entries of `directory`, a path within the folder; "" is the folder itself.
  void visit_split(const std::string& directory) {
    enter(folder_);
    enter(folder_ / directory);
    visit_directory(directory, {});
  }

  /// The entries of the folder with these names.
  void visit_entries(const std::vector<std::string>& names) {
    enter(folder_);
    for (const std::string& name : names) visit(name, {});
  }

  std::vector<ListedPicture> pictures;

 private:
  using Identity = std::pair<dev_t, ino_t>;

  void enter(const fs::path& directory) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) == 0) {
      above_.emplace_back(status.st_dev, status.st_ino);
    }
  }

  void visit_directory(const std::string& name, const std::string& class_name) {
    std::vector<std::string> entries;
    if (const std::error_code error = list_names(folder_ / name, entries)) {
      return add_fault(name, "cannot list: " + error.message());
    }
    for (const std::string& entry : entries) visit(name + '/' + entry, class_name);
  }

  /// An entry and its content. `class_name` is empty for entries of the split's directory.
  void visit(const std::string& name, const std::string& class_name) {
    struct stat status {};
    if (::stat((folder_ / name).c_str(), &status) != 0) return add_fault(name, fault_of(errno));
    if (S_ISDIR(status.st_mode)) {
      const Identity identity{status.st_dev, status.st_ino};
      if (std::ranges::find(above_, identity) != above_.end()) {
        return add_fault(name, "link to a directory that it lies in");
      }
      // Links to links can lead to exponentially many paths.
      if (const auto [first, is_new] = seen_.try_emplace(identity, name); !is_new) {
        return add_fault(name, "the same directory as " + in_quotes(first->second));
      }
      above_.push_back(identity);
      visit_directory(name, class_name.empty() ? name.substr(name.rfind('/') + 1) : class_name);
      above_.pop_back();
    } else if (is_picture_name(name)) {
      if (!S_ISREG(status.st_mode)) return add_fault(name, "not a regular file");
      pictures.push_back({name, split_, label_of(class_name), stamp_from(status), {}});
    }
  }

  std::int32_t label_of(const std::string& class_name) {
    if (class_name.empty()) return -1;
    const auto next = static_cast<std::int32_t>(classes_.size());
    return classes_.try_emplace(class_name, next).first->second;
  }

  static std::string fault_of(int error) {
    if (error == ELOOP) return "link in a loop of links";
    if (error == ENOENT) return "broken symbolic link";
    return "cannot examine: " + std::generic_category().message(error);
  }

  void add_fault(const std::string& name, std::string fault) {
    pictures.push_back({name, split_, -1, {}, std::move(fault)});
  }

  const fs::path& folder_;
  std::string_view split_;
  Classes& classes_;
  std::vector<Identity> above_;           // the directories that the entry lies in
  std::map<Identity, std::string> seen_;  // visited directories, and the first path to each
};

/// Throws if some of a split's pictures have a class and some do not.
void check_classes(const fs::path& folder, const std::vector<ListedPicture>& pictures) {
  const ListedPicture* labelled = nullptr;
  const ListedPicture* unlabelled = nullptr;
  for (const ListedPicture& picture : pictures) {
    if (picture.fault.empty()) (picture.label < 0 ? unlabelled : labelled) = &picture;
  }
  if (labelled == nullptr || unlabelled == nullptr) return;
  fail_file(folder, "pictures both in class directories (" + in_quotes(labelled->name) +
                        ") and beside them (" + in_quotes(unlabelled->name) +
                        "); expected one or the other");
}

struct SplitDirectory {
  std::string_view split;
  std::string name;
};

/// The directory of each split, in kSplitNames' order; `others` are the other entries.
std::vector<SplitDirectory> split_directories(const fs::path& folder,
                                              std::vector<std::string>& others) {
  std::vector<std::string> names;
  if (const std::error_code error = list_names(folder, names)) {
    fail_system(folder, "list", error.value());
  }
  std::map<std::string_view, std::string> found;
  for (const std::string& name : names) {
    std::error_code error;
    const auto split = split_of_directory(name);
    if (!split || !fs::is_directory(folder / name, error)) {
      others.push_back(name);
    } else if (const auto [first, is_new] = found.try_emplace(*split, name); !is_new) {
      fail_file(folder, in_quotes(first->second) + " and " + in_quotes(name) +
                            " are both named for the split " + std::string(*split) +
                            "; expected one of the two");
    }
  }
  std::vector<SplitDirectory> directories;
  for (const std::string_view split : kSplitNames) {
    if (found.contains(split)) directories.push_back({split, found[split]});
  }
  return directories;
}

/// Throws if a picture is outside the splits' directories. Entries with a fault may be.
void check_beside(const fs::path& folder, const std::vector<ListedPicture>& beside,
                  const SplitDirectory& first) {
  const auto found = std::ranges::find(beside, std::string(), &ListedPicture::fault);
  if (found == beside.end()) return;
  fail_file(folder, in_quotes(found->name) + " lies beside the split " + in_quotes(first.name) +
                        "; expected all pictures in directories named for splits, or none");
}

/// Numbers the labels by the sorted names of the classes.
void sort_classes(PictureList& list, const Classes& classes) {
  std::vector<std::int32_t> ranks(classes.size());
  for (const auto& [name, label] : classes) {
    ranks[static_cast<std::size_t>(label)] = static_cast<std::int32_t>(list.classes.size());
    list.classes.push_back(name);
  }
  for (ListedPicture& picture : list.pictures) {
    if (picture.label >= 0) picture.label = ranks[static_cast<std::size_t>(picture.label)];
  }
}

}  // namespace

FileStamp stamp_of(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? stamp_from(status) : FileStamp{};
}

PictureList list_pictures(const fs::path& folder) {
  Classes classes;
  std::vector<std::string> others;
  const std::vector<SplitDirectory> directories = split_directories(folder, others);
  Walk beside(folder, kSplitNames[0], classes);
  beside.visit_entries(others);
  PictureList list{std::move(beside.pictures), {}};
  if (directories.empty()) {
    check_classes(folder, list.pictures);
  } else {
    check_beside(folder, list.pictures, directories.front());
  }
  std::string without;  // a split's directory that holds none
  for (const auto& [split, name] : directories) {
    Walk walk(folder, split, classes);
    walk.visit_split(name);
    check_classes(folder, walk.pictures);
    if (walk.pictures.empty()) without = name;
    std::ranges::move(walk.pictures, std::back_inserter(list.pictures));
  }
  if (!without.empty() && !list.pictures.empty()) {
    fail_file(
        folder / without,
        "holds no pictures; expected .png, .jpg or .jpeg files in it or in directories of it");
  }
  sort_classes(list, classes);
  return list;
}

}  // namespace elbo

// How data sets of pictures become rows of one size, and where those are kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

enum class ImageChannels : std::uint8_t { as_they_are, grey, rgb };
constexpr auto names_of(ImageChannels) {
  return std::array<std::string_view, 3>{"auto", "grey", "rgb"};
}

/// A file, or another entry of a folder, that is no picture although it should be one.
struct BadPicture {
  std::string name;    // its path within the folder
  std::string reason;  // what is wrong with it
};

/// "a.png (empty), b/c.jpg (cannot open: Permission denied), and 7 more": at most `most` of them
/// named, in one line whatever their names are.
std::string enumerate(std::span<const BadPicture> pictures, std::size_t most);

/// Pictures that have been decoded and lie in the cache as arrays.
struct PackedPictures {
  std::filesystem::path entry;       // the directory of those arrays
  bool just_packed = false;          // and not found there
  std::int64_t pictures = 0;         // that were listed: rows and bad ones
  std::vector<BadPicture> left_out;  // the bad ones, in the order of the list
};

/// Hears of pictures while a data set of them is opened.
class PackingObserver {
 public:
  virtual ~PackingObserver() = default;
  /// Of `total` pictures, `done` have been decoded; 0 at first, and again some times a second.
  /// Not called where they are in the cache.
  virtual void on_progress(std::int64_t done, std::int64_t total) { (void)done, (void)total; }
  virtual void on_opened(const PackedPictures& packed) { (void)packed; }
};

inline constexpr std::int64_t kLargestImageSize = 8192;  // 3 x 2^26 values

/// Data sets that are no pictures take no notice.
struct ImageOptions {
  std::int64_t size = 0;  // height and width of the rows; 0: as the pictures are
  ImageChannels channels = ImageChannels::as_they_are;
  bool skip_bad = false;                // leave bad pictures out, rather than none in
  std::filesystem::path cache = {};     // directory for decoded pictures; empty: the user's cache
  int threads = 0;                      // 0: all
  PackingObserver* observer = nullptr;  // not owned; may be none
};

}  // namespace elbo

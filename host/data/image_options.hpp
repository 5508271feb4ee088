// How data sets of pictures become rows of one size, and the location of their cache.
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

/// A file or other entry of a folder that should be a picture and is not.
struct BadPicture {
  std::string name;    // its path within the folder
  std::string reason;  // the fault
};

/// "a.png (empty), b/c.jpg (cannot open: Permission denied), and 7 more": at most `most` of them
/// named, in one line for any names.
std::string enumerate(std::span<const BadPicture> pictures, std::size_t most);

/// Pictures that are decoded and in the cache as arrays.
struct PackedPictures {
  std::filesystem::path entry;       // the directory of the arrays
  bool just_packed = false;          // now, instead of being found there
  std::int64_t pictures = 0;         // listed: rows and bad ones
  std::vector<BadPicture> left_out;  // the bad ones, in the order of the list
};

/// Receives progress while a data set of pictures is opened.
class PackingObserver {
 public:
  virtual ~PackingObserver() = default;
  /// `done` of `total` pictures have been decoded: called with 0 first, then several times per
  /// second. Not called if they are in the cache.
  virtual void on_progress(std::int64_t done, std::int64_t total) { (void)done, (void)total; }
  virtual void on_opened(const PackedPictures& packed) { (void)packed; }
};

inline constexpr std::int64_t kLargestImageSize = 8192;  // 3 x 2^26 values

/// Ignored by other data sets.
struct ImageOptions {
  std::int64_t size = 0;  // height and width of the rows; 0: as the pictures are
  ImageChannels channels = ImageChannels::as_they_are;
  bool skip_bad = false;                // leave bad pictures out instead of failing
  std::filesystem::path cache = {};     // directory for decoded pictures; empty: the user's cache
  int threads = 0;                      // 0: all
  PackingObserver* observer = nullptr;  // not owned; may be null
};

}  // namespace elbo

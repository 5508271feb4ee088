// Data sets of pictures: a directory tree of PNG and JPEG files, decoded once into the cache.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "host/data/packed_cache.hpp"
#include "host/data/packing.hpp"
#include "host/data/picture_list.hpp"
#include "host/data/reader.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/picture.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

/// Decodes the pictures of a list. Pictures that cannot be decoded receive a fault in the list.
class Packer {
 public:
  Packer(const fs::path& folder, PictureList list, const ImageOptions& options)
      : folder_(folder), list_(std::move(list)), options_(options) {}

  /// Decodes every picture, even if some are bad and nothing is kept, to report all faults.
  PackedManifest pack(PackedWriter& writer) {
    report();
    const std::vector<PictureHeader> headers = read_headers();
    agree_on_channels(headers);
    agree_on_size(headers);
    writer.require_space(row_bytes() * count_good(list_.pictures));
    for (const std::string_view split : kSplitNames) {
      const auto rank = [](const ListedPicture& p) { return rank_of(p.split); };
      const auto first = std::ranges::lower_bound(list_.pictures, rank_of(split), {}, rank);
      const auto last = std::ranges::upper_bound(list_.pictures, rank_of(split), {}, rank);
      if (first != last) pack_split(split, {first, last}, writer);
    }
    if (!options_.skip_bad && !bad_pictures(list_.pictures).empty()) refuse_bad();
    return {folder_, std::ssize(list_.pictures), list_.classes, bad_pictures(list_.pictures)};
  }

 private:
  using Pictures = std::span<ListedPicture>;

  static std::ptrdiff_t rank_of(std::string_view split) {
    return std::ranges::find(kSplitNames, split) - std::begin(kSplitNames);
  }

  static std::vector<BadPicture> bad_pictures(std::span<const ListedPicture> pictures) {
    std::vector<BadPicture> bad;
    for (const ListedPicture& picture : pictures) {
      if (!picture.fault.empty()) bad.push_back({picture.name, picture.fault});
    }
    return bad;
  }

  static std::int64_t count_good(std::span<const ListedPicture> pictures) {
    return std::ranges::count(pictures, std::string(), &ListedPicture::fault);
  }

  void report() const {
    if (options_.observer == nullptr) return;
    options_.observer->on_progress(done_, std::ssize(list_.pictures));
  }

  /// The header of every picture that has one, as its row will be.
  std::vector<PictureHeader> read_headers() {
    std::vector<PictureHeader> headers(list_.pictures.size());
    for_each_at_once(std::ssize(headers), packing_threads(options_), [&](std::int64_t i) {
      ListedPicture& picture = list_.pictures[static_cast<std::size_t>(i)];
      if (!picture.fault.empty()) return;
      try {
        headers[static_cast<std::size_t>(i)] =
            fitted(read_picture_header(folder_ / picture.name), options_);
      } catch (const DataError& error) {
        picture.fault = error.what();
      }
    });
    require_good(list_.pictures, "");
    return headers;
  }

  /// If some are grey and some RGB, all become RGB: no picture loses anything by it.
  void agree_on_channels(const std::vector<PictureHeader>& headers) {
    const auto is_rgb = [](const PictureHeader& header) { return header.channels == 3; };
    if (std::ranges::any_of(headers, is_rgb)) options_.channels = ImageChannels::rgb;
    common_.channels = options_.channels == ImageChannels::rgb ? 3 : 1;
  }

  void agree_on_size(const std::vector<PictureHeader>& headers) {
    const auto size_of = [&](std::size_t i) {
      return formatted("{} of {}x{}", list_.pictures[i].name, headers[i].height, headers[i].width);
    };
    std::size_t first = headers.size();
    for (std::size_t i = 0; i < headers.size(); ++i) {
      if (!list_.pictures[i].fault.empty()) continue;
      if (first == headers.size()) first = i;
      if (headers[i].height == headers[first].height && headers[i].width == headers[first].width) {
        continue;
      }
      fail_file(folder_, "pictures of different sizes, height x width: " + size_of(first) +
                             " and " + size_of(i) +
                             "; --image-size N makes squares of N x N of all of them");
    }
    common_.height = headers[first].height;
    common_.width = headers[first].width;
  }

  std::int64_t row_bytes() const { return element_count(row_shape(common_)); }

  void pack_split(std::string_view split, Pictures pictures, PackedWriter& writer) {
    const bool labelled =
        std::ranges::any_of(pictures, [](const ListedPicture& p) { return p.label >= 0; });
    writer.begin_split(split, row_shape(common_), labelled);
    const auto fill = [&](std::int64_t i, std::span<std::uint8_t> row) {
      decode(pictures[static_cast<std::size_t>(i)], row);
    };
    const auto take = [&](std::int64_t first, std::span<std::uint8_t> rows) {
      const auto count = static_cast<std::int64_t>(rows.size()) / row_bytes();
      append(pictures.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
             rows, labelled, writer);
      done_ += count;
      report();
    };
    for_each_block(std::ssize(pictures), row_bytes(), packing_threads(options_), fill, take);
    require_good(pictures, " of split " + std::string(split));
  }

  void decode(ListedPicture& picture, std::span<std::uint8_t> row) {
    if (!picture.fault.empty()) return;
    try {
      const Image image = fitted(decode_picture(folder_ / picture.name, options_.size), options_);
      if (image.height == common_.height && image.width == common_.width &&
          image.channels == common_.channels) {
        std::ranges::copy(image.pixels, row.begin());
      } else {
        picture.fault = "has changed while it was read";
      }
    } catch (const DataError& error) {
      picture.fault = error.what();
    }
  }

  /// Appends the good rows, compacted in place.
  void append(Pictures pictures, std::span<std::uint8_t> rows, bool labelled,
              PackedWriter& writer) {
    const auto size = static_cast<std::size_t>(row_bytes());
    std::vector<std::int32_t> labels;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      if (!pictures[i].fault.empty()) {
        any_bad_ = true;
        continue;
      }
      if (kept != i) std::memmove(rows.data() + kept * size, rows.data() + i * size, size);
      ++kept;
      if (labelled) labels.push_back(pictures[i].label);
    }
    if (any_bad_ && !options_.skip_bad) return;  // it is decoded, but not kept
    if (kept > 0) writer.append(rows.first(kept * size), labels);
  }

  static constexpr std::size_t kMostNamed = 20;

  void require_good(std::span<const ListedPicture> pictures, const std::string& which) const {
    if (count_good(pictures) > 0) return;
    fail_file(folder_, formatted("none of the {} pictures{} can be used: {}", pictures.size(),
                                 which, enumerate(bad_pictures(pictures), kMostNamed)));
  }

  [[noreturn]] void refuse_bad() const {
    const std::vector<BadPicture> bad = bad_pictures(list_.pictures);
    fail_file(folder_, formatted("{} of {} pictures cannot be used: {}; --skip-bad leaves them out",
                                 bad.size(), list_.pictures.size(), enumerate(bad, kMostNamed)));
  }

  const fs::path& folder_;
  PictureList list_;
  ImageOptions options_;
  PictureHeader common_;  // of all rows
  bool any_bad_ = false;
  std::int64_t done_ = 0;
};

}  // namespace

std::vector<Table> read_image_tables(const fs::path& path, const ImageOptions& options) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {};
  PictureList list = list_pictures(path);
  if (list.pictures.empty()) return {};
  PackedKey key("images", options);
  for (const ListedPicture& picture : list.pictures) {
    key.add(picture.split);
    key.add(picture.name);
    key.add(picture.stamp);
    key.add(picture.fault);
  }
  return open_packed(key, path, options, [&](PackedWriter& writer) {
    return Packer(path, std::move(list), options).pack(writer);
  });
}

}  // namespace elbo

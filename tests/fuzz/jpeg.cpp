#include "host/io/jpeg.hpp"

#include "tests/fuzz/decoded.hpp"
#include "tests/pictures.hpp"

namespace elbo::fuzz {
namespace {

/// The JPEG with other extents in its frame header.
std::string of_size(std::string jpeg, int height, int width) {
  const std::size_t frame = std::min(jpeg.find("\xff\xc0"), jpeg.find("\xff\xc2"));
  jpeg[frame + 5] = static_cast<char>(height >> 8), jpeg[frame + 6] = static_cast<char>(height);
  jpeg[frame + 7] = static_cast<char>(width >> 8), jpeg[frame + 8] = static_cast<char>(width);
  return jpeg;
}

/// A progressive JPEG whose last scan comes over and over.
std::string with_scans(const std::string& jpeg, int count) {
  const std::size_t last = jpeg.rfind("\xff\xda"), end = jpeg.size() - 2;
  std::string changed = jpeg.substr(0, end);
  for (int i = 0; i < count; ++i) changed += jpeg.substr(last, end - last);
  return changed + jpeg.substr(end);
}

std::vector<std::string> seeds() {
  const std::string grey = jpeg_bytes(scattered_image(9, 8, 1)),
                    rgb = jpeg_bytes(scattered_image(8, 17, 3)),
                    inks = jpeg_bytes(scattered_image(8, 8, 4)),
                    progressive = jpeg_bytes(scattered_image(16, 16, 3), TJFLAG_PROGRESSIVE);
  return {grey,
          rgb,
          inks,
          progressive,
          with_segment(rgb, 0xe1, exif_block(6, true)),
          of_size(grey, 16000, 16000),
          of_size(progressive, 16000, 16000),
          with_scans(progressive, 1000),
          with_scans(of_size(progressive, 4000, 4000), 400)};
}

}  // namespace

const Target kJpeg = {"jpeg", 4096, 1 << 14, 1 << 20, decode, seeds};

}  // namespace elbo::fuzz

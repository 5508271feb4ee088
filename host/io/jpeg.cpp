#include "host/io/jpeg.hpp"

#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "host/io/exif.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

enum Marker : unsigned {
  kTemporary = 0x01,
  kFirstFrame = 0xc0,
  kHuffmanTables = 0xc4,
  kExtensions = 0xc8,
  kArithmeticTables = 0xcc,
  kLastFrame = 0xcf,
  kFirstRestart = 0xd0,
  kStartOfImage = 0xd8,
  kEndOfImage = 0xd9,
  kStartOfScan = 0xda,
  kApplication1 = 0xe1,
};

bool is_frame(unsigned marker) {
  return marker >= kFirstFrame && marker <= kLastFrame && marker != kHuffmanTables &&
         marker != kExtensions && marker != kArithmeticTables;
}

bool stands_alone(unsigned marker) {
  return marker == kTemporary || (marker >= kFirstRestart && marker <= kStartOfImage);
}

/// The segments of a JPEG file in sequence, up to the end of its bytes.
class Segments {
 public:
  explicit Segments(std::span<const std::byte> file) : rest_(file) {}

  struct Segment {
    unsigned marker;
    std::span<const std::byte> content;  // without its length; none if the marker stands alone
  };

  std::optional<Segment> next() {
    // Any number of 0xff may precede a segment, and libjpeg also skips other bytes.
    std::size_t at = 0;
    while (at < rest_.size() && byte(at) != 0xff) ++at;
    while (at < rest_.size() && byte(at) == 0xff) ++at;
    if (at >= rest_.size()) return std::nullopt;
    const unsigned marker = byte(at++);
    if (marker == 0 || stands_alone(marker) || marker == kEndOfImage) {
      rest_ = rest_.subspan(at);
      return Segment{marker, {}};
    }
    if (rest_.size() - at < 2) return std::nullopt;
    const std::size_t length = byte(at) << 8 | byte(at + 1);
    if (length < 2) throw DataError("damaged: a JPEG segment of length " + std::to_string(length));
    if (rest_.size() - at < length) return std::nullopt;
    const Segment segment{marker, rest_.subspan(at + 2, length - 2)};
    rest_ = rest_.subspan(at + length);
    return segment;
  }

 private:
  unsigned byte(std::size_t i) const { return std::to_integer<unsigned>(rest_[i]); }

  std::span<const std::byte> rest_;
};

PictureHeader parse_frame(std::span<const std::byte> content, int orientation) {
  if (content.size() < 6) throw DataError("damaged: its JPEG frame header is too short");
  const auto byte = [&](std::size_t i) { return std::to_integer<std::int64_t>(content[i]); };
  return {byte(1) << 8 | byte(2), byte(3) << 8 | byte(4), byte(5) == 1 ? 1 : 3, orientation};
}

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Decoder = std::unique_ptr<std::remove_pointer_t<tjhandle>, Destroy>;

/// Fails if libjpeg failed or warned: it warns about damaged or missing data, which it replaces.
/// Padding at the end of the data, which some cameras write, is not damage.
void check(int result, tjhandle decoder) {
  if (result == 0) return;
  const std::string message = tjGetErrorStr2(decoder);
  const bool warning = tjGetErrorCode(decoder) == TJERR_WARNING;
  // This is the first warning and the last message, so all pixels were decoded correctly.
  if (warning && message.find("extraneous bytes before marker 0xd9") != std::string::npos) return;
  throw DataError((warning ? "damaged or truncated: " : "") + message);
}

/// Throws if the file is too short for a picture of that size, or has too many scans.
void require_content(std::span<const std::byte> file, std::int64_t pixels) {
  // 32 x 32 pixels have at least 8 blocks (4 x 1 of one component, 1 x 4 of another) of at least
  // one bit each. Arithmetic coding may need less, for a large picture of one colour.
  constexpr std::int64_t kMostPerBit = 32 * 32 / 8;
  if (pixels / kMostPerBit / 8 > std::ssize(file)) {
    throw DataError(formatted("damaged: no {} bytes hold {} JPEG pixels", file.size(), pixels));
  }
  // A scan of a progressive picture may state in a few bytes that nothing changes.
  constexpr std::int64_t kMostScanned = std::int64_t{1} << 32, kUsual = 64;
  std::int64_t scans = 0;
  Segments segments(file);
  while (const auto segment = segments.next()) {
    if (segment->marker == kEndOfImage) break;  // libjpeg ignores the rest
    if (segment->marker == kStartOfScan) ++scans;
  }
  if (scans > kUsual || scans * pixels > kMostScanned) {
    throw DataError(
        formatted("has {} scans of {} pixels, expected at most {}, and 2^32 pixels in all", scans,
                  pixels, kUsual));
  }
}

/// Of 1, 1/2, 1/4 and 1/8, the smallest that leaves each side at least `least` long.
tjscalingfactor scale_to(int height, int width, std::int64_t least) {
  tjscalingfactor scale{1, 1};
  for (const int denominator : {2, 4, 8}) {
    const tjscalingfactor smaller{1, denominator};
    if (least > 0 && std::min(TJSCALED(height, smaller), TJSCALED(width, smaller)) >= least) {
      scale = smaller;
    }
  }
  return scale;
}

/// Inverted CMYK, 255 for no ink, to RGB in place of its first three channels.
void remove_inks(Image& image) {
  const std::uint8_t* inks = image.pixels.data();
  std::uint8_t* out = image.pixels.data();
  for (std::int64_t i = 0; i < image.height * image.width; ++i, inks += 4) {
    const unsigned black = inks[3];
    for (int c = 0; c < 3; ++c) *out++ = static_cast<std::uint8_t>((inks[c] * black + 127) / 255);
  }
  image.channels = 3;
  image.pixels.resize(static_cast<std::size_t>(image.height * image.width * 3));
}

}  // namespace

bool is_jpeg(std::span<const std::byte> file) {
  constexpr std::byte kStart[] = {std::byte{0xff}, std::byte{kStartOfImage}, std::byte{0xff}};
  return file.size() >= std::size(kStart) && std::ranges::equal(file.first(3), kStart);
}

std::optional<PictureHeader> read_jpeg_header(std::span<const std::byte> start) {
  Segments segments(start);
  int orientation = 1;
  while (const auto segment = segments.next()) {
    if (is_frame(segment->marker)) return parse_frame(segment->content, orientation);
    if (segment->marker == kApplication1 && orientation == 1) {
      orientation = exif_orientation(segment->content);
    }
    if (segment->marker == kStartOfScan || segment->marker == kEndOfImage) {
      throw DataError("damaged: no JPEG frame header before its pixels");
    }
  }
  return std::nullopt;
}

Image decode_jpeg(std::span<const std::byte> file, std::int64_t least_side) {
  const Decoder decoder(tjInitDecompress());
  if (!decoder) throw std::bad_alloc();
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  check(tjDecompressHeader3(decoder.get(), bytes, file.size(), &width, &height, &subsampling,
                            &colours),
        decoder.get());
  require_content(file, std::int64_t{width} * height);
  const tjscalingfactor scale = scale_to(height, width, 2 * least_side);
  const int format = colours == TJCS_GRAY                           ? TJPF_GRAY
                     : colours == TJCS_CMYK || colours == TJCS_YCCK ? TJPF_CMYK
                                                                    : TJPF_RGB;
  Image image{TJSCALED(height, scale), TJSCALED(width, scale), tjPixelSize[format], {}};
  image.pixels.resize(static_cast<std::size_t>(image.height * image.width * image.channels));
  check(tjDecompress2(decoder.get(), bytes, file.size(), image.pixels.data(),
                      static_cast<int>(image.width), 0, static_cast<int>(image.height), format,
                      TJFLAG_LIMITSCANS),
        decoder.get());
  if (format == TJPF_CMYK) remove_inks(image);
  return image;
}

}  // namespace elbo

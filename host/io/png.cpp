#include "host/io/png.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>
#include <vector>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/gzip.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";

// Offsets in the signature and first chunk: name, width, height, depth, colour type.
constexpr std::size_t kName = 12, kWidth = 16, kHeight = 20, kDepth = 24, kColourType = 25;

/// Collects libpng's message. It is C, so its callbacks must not throw.
using PngError = std::array<char, 200>;

void on_error(png_structp png, png_const_charp message) {
  auto& error = *static_cast<PngError*>(png_get_error_ptr(png));
  std::snprintf(error.data(), error.size(), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

/// State of the callbacks for writing.
struct PngSink {
  std::vector<std::byte> bytes;
  PngError error{};
};

void on_write(png_structp png, png_bytep data, std::size_t size) {
  auto& sink = *static_cast<PngSink*>(png_get_io_ptr(png));
  bool stored = false;
  try {
    const auto* first = reinterpret_cast<const std::byte*>(data);
    sink.bytes.insert(sink.bytes.end(), first, first + size);
    stored = true;
  } catch (...) {
  }
  if (!stored) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

/// Returns false if libpng failed. longjmp returns to this frame, so it and its callees contain no
/// object with a destructor.
bool encode(png_structp png, png_infop info, const Image& image, PngSink& sink) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &sink, on_write, on_flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8,
               image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  const std::int64_t stride = image.width * image.channels;
  for (std::int64_t y = 0; y < image.height; ++y) {
    png_write_row(png, image.pixels.data() + y * stride);
  }
  png_write_end(png, info);
  return true;
}

struct PngWriter {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

/// State of the callbacks for reading.
struct PngSource {
  std::span<const std::byte> rest;
  PngError error{};
};

void on_read(png_structp png, png_bytep out, std::size_t size) {
  auto& source = *static_cast<PngSource*>(png_get_io_ptr(png));
  if (size > source.rest.size()) png_error(png, "truncated");
  std::memcpy(out, source.rest.data(), size);
  source.rest = source.rest.subspan(size);
}

struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

/// Reads the header and requests 8 bits of grey or RGB, possibly with alpha. Returns false if
/// libpng failed; like encode(), longjmp returns to this frame.
bool begin_decoding(png_structp png, png_infop info, PngSource& source) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &source, on_read);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // our own limit is on the area
  // Skips comments, profiles and other chunks without inflating them, but not transparency.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

/// Fills the image, which has the requested size and channels.
bool decode_rows(png_structp png, png_infop info, Image& image) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  const int passes = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? 1 : 7;
  const std::int64_t stride = image.width * image.channels;
  for (int pass = 0; pass < passes; ++pass) {
    for (std::int64_t y = 0; y < image.height; ++y) {
      png_read_row(png, image.pixels.data() + y * stride, nullptr);
    }
  }
  png_read_end(png, nullptr);
  return true;
}

/// Throws if the file is too short for the size in its header, before memory is allocated.
void require_content(std::span<const std::byte> file, const PictureHeader& header) {
  // A row has at least one filter byte and the bits of its pixels, and deflate has a largest ratio.
  const std::int64_t samples = [&] {
    switch (std::to_integer<int>(file[kColourType])) {
      case PNG_COLOR_TYPE_RGB:
        return 3;
      case PNG_COLOR_TYPE_RGB_ALPHA:
        return 4;
      case PNG_COLOR_TYPE_GRAY_ALPHA:
        return 2;
      default:
        return 1;
    }
  }();
  const auto depth = std::to_integer<std::int64_t>(file[kDepth]);
  const std::int64_t row = 1 + (header.width * samples * depth + 7) / 8;
  const auto size = checked_bytes(std::array{header.height, row}, 1);
  if (!size || *size / kLargestInflation > file.size()) {
    throw DataError(formatted("damaged PNG: no {} bytes hold {}x{} pixels", file.size(),
                              header.height, header.width));
  }
}

}  // namespace

bool is_png(std::span<const std::byte> file) {
  return file.size() >= kSignature.size() &&
         std::ranges::equal(file.first(kSignature.size()), std::as_bytes(std::span(kSignature)));
}

std::optional<PictureHeader> read_png_header(std::span<const std::byte> start) {
  constexpr std::string_view kFirstChunk = "IHDR";
  if (start.size() <= kColourType) return std::nullopt;
  const auto name = start.subspan(kName, kFirstChunk.size());
  if (!std::ranges::equal(name, std::as_bytes(std::span(kFirstChunk)))) {
    throw DataError("damaged: its first PNG chunk is not IHDR");
  }
  const auto number = [&](std::size_t offset) {
    return static_cast<std::int64_t>(
        png_get_uint_32(reinterpret_cast<png_const_bytep>(start.data() + offset)));
  };
  const bool colour = std::to_integer<int>(start[kColourType] & std::byte{PNG_COLOR_MASK_COLOR});
  return PictureHeader{number(kHeight), number(kWidth), colour ? 3 : 1, 1};
}

Image decode_png(std::span<const std::byte> file) {
  const std::optional<PictureHeader> header = read_png_header(file);
  if (!header) throw DataError("damaged PNG: truncated");
  require_content(file, *header);
  PngSource source{file};
  PngReader reader;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source.error, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw std::bad_alloc();
  const auto fail = [&] { throw DataError(std::string("damaged PNG: ") + source.error.data()); };
  if (!begin_decoding(reader.png, reader.info, source)) fail();

  Image image{png_get_image_height(reader.png, reader.info),
              png_get_image_width(reader.png, reader.info),
              png_get_channels(reader.png, reader.info),
              {}};
  const auto size = checked_bytes(std::array{image.height, image.width, image.channels}, 1);
  ELBO_ASSERT(size.has_value());
  image.pixels.resize(*size);
  if (!decode_rows(reader.png, reader.info, image)) fail();
  if (image.channels % 2 == 0) flatten_onto_white(image);
  return image;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  ELBO_ASSERT(image.channels == 1 || image.channels == 3);
  const Shape shape = {image.height, image.width, image.channels};
  ELBO_ASSERT(checked_bytes(shape, 1) == image.pixels.size());
  if (std::max(image.height, image.width) > std::numeric_limits<std::int32_t>::max()) {
    fail_file(path, "cannot write a picture of " + to_string(shape) + " as PNG");
  }
  PngSink sink;
  PngWriter writer;
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink.error, on_error, on_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr) fail_file(path, "cannot start the PNG encoder: out of memory");
  if (!encode(writer.png, writer.info, image, sink)) {
    fail_file(path,
              "cannot write a picture of " + to_string(shape) + " as PNG: " + sink.error.data());
  }
  write_file_atomically(path, sink.bytes);
}

}  // namespace elbo

#include "host/io/picture.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/jpeg.hpp"
#include "host/io/png.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;
constexpr std::size_t kMostBytes = std::size_t{8} * kMostPixels;  // RGBA of 16 bits, unpacked

struct Descriptor {
  int number;
  ~Descriptor() { ::close(number); }
};

[[noreturn]] void fail(const char* action) {
  throw DataError(std::string("cannot ") + action + ": " + std::generic_category().message(errno));
}

/// The first bytes of a file, at most `limit`. They are read and not mapped, so that a failing disk
/// or a truncated file leads to one bad picture and not to a signal.
class FileBytes {
 public:
  FileBytes(const fs::path& path, std::size_t most) {
    // O_NONBLOCK: opening a FIFO by mistake must fail below instead of waiting for a writer.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) fail("open");
    struct stat status {};
    if (::fstat(file.number, &status) != 0) fail("examine");
    if (!S_ISREG(status.st_mode)) throw DataError("not a regular file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size > kMostBytes) {
      throw DataError(std::to_string(size) + " bytes, more than 2^28 pixels take");
    }
    const std::size_t wanted = std::min(size, most);
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(wanted);
    while (size_ < wanted) {
      const ssize_t count = ::read(file.number, bytes_.get() + size_, wanted - size_);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("read");
      if (count == 0) break;  // the file was truncated
      size_ += static_cast<std::size_t>(count);
    }
  }

  std::span<const std::byte> span() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

/// Returns the header of a picture; nothing if the bytes end before it.
std::optional<PictureHeader> parse_header(std::span<const std::byte> bytes) {
  if (bytes.empty()) throw DataError("empty");
  if (is_png(bytes)) return read_png_header(bytes);
  if (is_jpeg(bytes)) return read_jpeg_header(bytes);
  constexpr std::size_t kShown = 8;
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  throw DataError("neither PNG nor JPEG, it starts with " +
                  in_quotes({text, std::min(bytes.size(), kShown)}));
}

const PictureHeader& checked(const std::optional<PictureHeader>& header) {
  if (!header) throw DataError("truncated: the header is incomplete");
  const auto [height, width, channels, orientation] = *header;
  if (height > 0 && width > 0 && height <= kMostPixels / width) return *header;
  throw DataError(
      formatted("claims to be {}x{}, expected at least 1 pixel and at most 2^28", height, width));
}

}  // namespace

bool is_picture_name(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.ends_with(".png") || lower.ends_with(".jpg") || lower.ends_with(".jpeg");
}

PictureHeader read_picture_header(const fs::path& path) {
  constexpr std::size_t kBeginning = 1 << 16;  // usually sufficient
  FileBytes bytes(path, kBeginning);
  std::optional<PictureHeader> header = parse_header(bytes.span());
  if (!header && bytes.span().size() == kBeginning) {
    bytes = FileBytes(path, kMostBytes);
    header = parse_header(bytes.span());
  }
  PictureHeader seen = checked(header);
  if (seen.orientation >= 5) std::swap(seen.height, seen.width);
  return seen;
}

Image decode_picture(const fs::path& path, std::int64_t least_side) {
  const FileBytes bytes(path, kMostBytes);
  const PictureHeader header = checked(parse_header(bytes.span()));
  if (is_png(bytes.span())) return decode_png(bytes.span());
  return turned_upright(decode_jpeg(bytes.span(), least_side), header.orientation);
}

}  // namespace elbo

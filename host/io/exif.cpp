#include "host/io/exif.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace elbo {
namespace {

using namespace std::string_view_literals;

/// Numbers in a TIFF block, in its byte order; nothing beyond its end.
struct TiffBlock {
  std::span<const std::byte> bytes;
  bool big_endian;

  std::optional<std::uint32_t> number(std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
    std::uint32_t value = 0;
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t place = big_endian ? i : size - 1 - i;
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + place]);
    }
    return value;
  }
};

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::ranges::equal(bytes.first(text.size()), std::as_bytes(std::span(text)));
}

/// Returns the orientation in the first directory of tags; nothing if the block is malformed or has
/// no such tag.
std::optional<std::uint32_t> orientation_in(const TiffBlock& tiff) {
  constexpr std::uint32_t kMagic = 42, kOrientation = 0x0112, kShort = 3;
  constexpr std::uint64_t kEntrySize = 12;
  if (tiff.number(2, 2) != kMagic) return std::nullopt;
  const auto directory = tiff.number(4, 4);
  const auto entries = directory ? tiff.number(*directory, 2) : std::nullopt;
  for (std::uint64_t i = 0; entries && i < *entries; ++i) {
    const std::uint64_t entry = *directory + 2 + i * kEntrySize;
    const auto tag = tiff.number(entry, 2);
    if (!tag) return std::nullopt;
    if (tag != kOrientation) continue;
    if (tiff.number(entry + 2, 2) != kShort || tiff.number(entry + 4, 4) != 1u) return std::nullopt;
    return tiff.number(entry + 8, 2);
  }
  return std::nullopt;
}

}  // namespace

int exif_orientation(std::span<const std::byte> segment) {
  constexpr std::string_view kHeader = "Exif\0\0"sv;
  constexpr std::uint32_t kUpright = 1, kLast = 8;
  if (!starts_with(segment, kHeader)) return kUpright;
  const auto tiff = segment.subspan(kHeader.size());
  if (!starts_with(tiff, "II") && !starts_with(tiff, "MM")) return kUpright;
  const auto orientation = orientation_in({tiff, starts_with(tiff, "MM")});
  return orientation >= kUpright && orientation <= kLast ? static_cast<int>(*orientation)
                                                         : kUpright;
}

}  // namespace elbo

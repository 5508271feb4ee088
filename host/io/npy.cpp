#include "host/io/npy.hpp"

#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/mapped_file.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

static_assert(std::endian::native == std::endian::little, "data is used as it lies in the file");

namespace fs = std::filesystem;
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::string_view kWanted =
    "expected |u1, <f4 or <f8, or little-endian integers for labels";

struct TypeRow {
  NpyType type;
  const char* descr;
  std::size_t size;
};

constexpr std::array kTypes = {
    TypeRow{NpyType::u8, "|u1", 1},  TypeRow{NpyType::i8, "|i1", 1},
    TypeRow{NpyType::u16, "<u2", 2}, TypeRow{NpyType::i16, "<i2", 2},
    TypeRow{NpyType::u32, "<u4", 4}, TypeRow{NpyType::i32, "<i4", 4},
    TypeRow{NpyType::u64, "<u8", 8}, TypeRow{NpyType::i64, "<i8", 8},
    TypeRow{NpyType::f32, "<f4", 4}, TypeRow{NpyType::f64, "<f8", 8},
};

const TypeRow& row_of(NpyType type) { return kTypes[static_cast<std::size_t>(type)]; }

NpyType parse_descr(std::string_view descr, const fs::path& path) {
  for (const TypeRow& row : kTypes) {
    if (descr == row.descr) return row.type;
  }
  std::string kind = "dtype ";
  if (descr.find('O') != std::string_view::npos) {
    kind = "object dtype ";
  } else if (descr.starts_with('>')) {
    kind = "big-endian dtype ";
  }
  fail_file(path, kind + in_quotes(descr) + "; " + std::string(kWanted));
}

/// The Python dict literal of a header: {'descr': '<f4', 'fortran_order': False, 'shape': (3,), }
class DictParser {
 public:
  DictParser(std::string_view text, const fs::path& path) : text_(text), path_(path) {}

  /// Type and shape; exactly the three keys of the format, in any order.
  std::pair<NpyType, Shape> parse() {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    expect('{', "a dict");
    while (!accept('}')) {
      const std::string_view key = parse_string("a key");
      expect(':', "':'");
      if (key == "descr" && !descr) {
        if (peek() == '[') fail_file(path_, "structured dtype; " + std::string(kWanted));
        descr = parse_string("a dtype");
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = parse_bool();
      } else if (key == "shape" && !shape) {
        shape = parse_shape();
      } else {
        fail("unknown or repeated key " + in_quotes(key));
      }
      if (!accept(',') && peek() != '}') fail("expected ',' or '}'");
    }
    if (peek() != '\0' || position_ != text_.size()) fail("text after the dict");
    if (!descr || !fortran_order || !shape)
      fail("expected the keys descr, fortran_order and shape");

    const NpyType type = parse_descr(*descr, path_);
    if (*fortran_order) {
      fail_file(path_, "Fortran order; expected C order (numpy.ascontiguousarray makes it so)");
    }
    if (shape->empty()) fail_file(path_, "a scalar; expected an array of at least one dimension");
    return {type, std::move(*shape)};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    fail_file(path_, formatted("malformed .npy header: {} at byte {}", what, position_));
  }

  /// The next character that is not blank, '\0' at the end.
  char peek() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) {
      ++position_;
    }
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++position_;
    return true;
  }

  void expect(char wanted, const std::string& description) {
    if (!accept(wanted)) fail("expected " + description);
  }

  std::string_view parse_string(const std::string& description) {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected " + description);
    const std::size_t end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) fail("unterminated string");
    const std::string_view value = text_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    return value;
  }

  bool parse_bool() {
    peek();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (text_.substr(position_).starts_with(word)) {
        position_ += std::strlen(word);
        return value;
      }
    }
    fail("expected True or False");
  }

  Shape parse_shape() {
    Shape shape;
    expect('(', "a tuple");
    while (!accept(')')) {
      std::int64_t extent = 0;
      peek();
      const char* first = text_.data() + position_;
      const auto [last, error] = std::from_chars(first, text_.data() + text_.size(), extent);
      if (error != std::errc{}) fail("expected an extent below 2^63");
      if (extent < 0) fail("negative extent " + std::to_string(extent));
      if (shape.size() == kMostDimensions) {
        fail(formatted("more than {} dimensions", kMostDimensions));
      }
      position_ += static_cast<std::size_t>(last - first);
      shape.push_back(extent);
      if (!accept(',') && peek() != ')') fail("expected ',' or ')'");
    }
    return shape;
  }

  std::string_view text_;
  const fs::path& path_;
  std::size_t position_ = 0;
};

/// Magic, version 1.0, length and dict. Like NumPy's, the data starts at a multiple of 64 bytes;
/// the header has at least `least` bytes.
std::string make_header(NpyType type, const Shape& shape, std::size_t least = 0) {
  std::string dict =
      std::string("{'descr': '") + descr_of(type) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dict += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  dict += shape.size() == 1 ? ",), }" : "), }";

  constexpr std::size_t kPrefix = 10;
  constexpr std::size_t kAlignment = 64;
  if (dict.size() + 1 + kPrefix < least) dict.resize(least - kPrefix - 1, ' ');
  const std::size_t unpadded = kPrefix + dict.size() + 1;
  dict.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dict += '\n';
  ELBO_ASSERT(dict.size() <= 0xffff);

  std::string header(kMagic);
  header +=
      {'\1', '\0', static_cast<char>(dict.size() & 0xff), static_cast<char>(dict.size() >> 8)};
  return header + dict;
}

void write_array(const fs::path& path, NpyType type, const Shape& shape,
                 std::span<const std::byte> data) {
  ELBO_ASSERT(checked_bytes(shape, size_of(type)) == data.size());
  AtomicFile file(path);
  file.write(make_header(type, shape));
  file.write(data);
  file.commit();
}

template <class T>
std::vector<std::int32_t> integers_of(const NpyArray& array, const fs::path& path) {
  const std::span values(static_cast<const T*>(array.data),
                         static_cast<std::size_t>(element_count(array.shape)));
  std::vector<std::int32_t> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::in_range<std::int32_t>(values[i])) {
      fail_file(path,
                formatted("element {} is {}; expected an integer that fits 32 bits", i, values[i]));
    }
    result[i] = static_cast<std::int32_t>(values[i]);
  }
  return result;
}

}  // namespace

const char* descr_of(NpyType type) { return row_of(type).descr; }
std::size_t size_of(NpyType type) { return row_of(type).size; }
bool is_integer(NpyType type) { return type != NpyType::f32 && type != NpyType::f64; }

NpyHeader read_npy_header(std::span<const std::byte> file, const fs::path& path) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) {
    fail_file(path, "is not a .npy file (expected it to start with \\x93NUMPY)");
  }
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  if (file.size() < 8) fail_file(path, "truncated in its .npy header");
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 3) {
    fail_file(path, formatted(".npy format version {}; expected 1, 2 or 3", version));
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t dict_offset = 8 + length_bytes;
  if (file.size() < dict_offset) fail_file(path, "truncated in its .npy header");
  std::size_t dict_size = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) dict_size |= byte_at(8 + i) << (8 * i);
  if (file.size() - dict_offset < dict_size) {
    fail_file(path, formatted("truncated: .npy header claims {} bytes, {} are there", dict_size,
                              file.size() - dict_offset));
  }

  auto [type, shape] = DictParser(text.substr(dict_offset, dict_size), path).parse();
  const std::size_t data_offset = dict_offset + dict_size;
  const std::size_t present = file.size() - data_offset;
  const std::optional<std::size_t> wanted = checked_bytes(shape, size_of(type));
  if (!wanted) fail_file(path, "shape " + to_string(shape) + " overflows 63 bits");
  if (present != *wanted) {
    fail_file(path, formatted("{}: shape {} of {} needs {} bytes of data, {} are there",
                              present < *wanted ? "truncated" : "oversized", to_string(shape),
                              descr_of(type), *wanted, present));
  }
  return {type, std::move(shape), data_offset};
}

NpyArray open_npy(const fs::path& path) {
  auto file = std::make_shared<const MappedFile>(path);
  NpyHeader header = read_npy_header(file->bytes(), path);
  const std::span data = file->bytes().subspan(header.data_offset);
  NpyArray array{header.type, std::move(header.shape), file, data.data()};
  if (header.data_offset % size_of(header.type) != 0) {
    // The format allows misaligned data, which is slow or invalid; operator new aligns for every
    // type.
    std::shared_ptr<std::byte[]> copy(new std::byte[data.size()]);
    if (!data.empty()) std::memcpy(copy.get(), data.data(), data.size());
    array.data = copy.get();
    array.owner = std::move(copy);
  }
  return array;
}

std::vector<float> to_floats(const NpyArray& array, const fs::path& path) {
  std::vector<float> result(static_cast<std::size_t>(element_count(array.shape)));
  if (array.type == NpyType::f32) {
    if (!result.empty()) std::memcpy(result.data(), array.data, result.size() * sizeof(float));
  } else if (array.type == NpyType::f64) {
    const auto* values = static_cast<const double*>(array.data);
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<float>(values[i]);
  } else {
    fail_file(path, std::string("dtype ") + descr_of(array.type) + "; expected <f4 or <f8");
  }
  return result;
}

std::vector<std::int32_t> to_integers(const NpyArray& array, const fs::path& path) {
  switch (array.type) {
    case NpyType::u8:
      return integers_of<std::uint8_t>(array, path);
    case NpyType::i8:
      return integers_of<std::int8_t>(array, path);
    case NpyType::u16:
      return integers_of<std::uint16_t>(array, path);
    case NpyType::i16:
      return integers_of<std::int16_t>(array, path);
    case NpyType::u32:
      return integers_of<std::uint32_t>(array, path);
    case NpyType::i32:
      return integers_of<std::int32_t>(array, path);
    case NpyType::u64:
      return integers_of<std::uint64_t>(array, path);
    case NpyType::i64:
      return integers_of<std::int64_t>(array, path);
    case NpyType::f32:
    case NpyType::f64:
      break;
  }
  fail_file(path, std::string("dtype ") + descr_of(array.type) + "; expected integers");
}

NpyWriter::NpyWriter(const fs::path& path, NpyType type, const Shape& row_shape)
    : file_(path), type_(type), row_shape_(row_shape) {
  file_.write(header());
}

std::int64_t NpyWriter::rows() const {
  const auto row_bytes = checked_bytes(row_shape_, size_of(type_));
  ELBO_ASSERT(row_bytes && *row_bytes > 0 && bytes_ % *row_bytes == 0);
  return static_cast<std::int64_t>(bytes_ / *row_bytes);
}

/// Of the same length for any number of rows.
std::string NpyWriter::header() const {
  Shape shape = row_shape_;
  shape.insert(shape.begin(), std::numeric_limits<std::int64_t>::max());
  const std::size_t length = make_header(type_, shape).size();
  shape.front() = rows();
  return make_header(type_, shape, length);
}

void NpyWriter::append(std::span<const std::byte> rows) {
  file_.write(rows);
  bytes_ += rows.size();
}

void NpyWriter::commit() {
  file_.rewrite_start(header());
  file_.commit();
}

void write_npy(const fs::path& path, const Shape& shape, std::span<const float> values) {
  write_array(path, NpyType::f32, shape, std::as_bytes(values));
}

void write_npy(const fs::path& path, const Shape& shape, std::span<const std::uint8_t> values) {
  write_array(path, NpyType::u8, shape, std::as_bytes(values));
}

void write_npy(const fs::path& path, const Shape& shape, std::span<const std::int32_t> values) {
  write_array(path, NpyType::i32, shape, std::as_bytes(values));
}

}  // namespace elbo

#include "host/io/safetensors.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;  // only for writing: its look-up is linear
using Json = nlohmann::json;
namespace {

constexpr std::size_t kPrefix = 8;                   // the header's length, little-endian
constexpr std::size_t kLongestHeader = 100'000'000;  // the official implementation's limit
constexpr const char* kMetadataKey = "__metadata__";
// Quotes within a string would be escaped, so this matches only the key.
constexpr std::string_view kBeforeChecksum = "\"checksum\":\"";
constexpr std::string_view kNoChecksum = "00000000";

struct TypeRow {
  const char* name;
  std::size_t size;
};

constexpr std::array kTypes = {
    // in the order of TensorType
    TypeRow{"U8", 1},  TypeRow{"I32", 4},  TypeRow{"U32", 4}, TypeRow{"I64", 8}, TypeRow{"U64", 8},
    TypeRow{"F16", 2}, TypeRow{"BF16", 2}, TypeRow{"F32", 4}, TypeRow{"F64", 8},
};

std::optional<TensorType> parse_type(std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (name == kTypes[i].name) return static_cast<TensorType>(i);
  }
  return std::nullopt;
}

/// Finds repeated keys, which a DOM hides, and nesting deeper than the format's. (The parser's
/// callback would take quadratic time.)
class HeaderCheck final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderCheck(const fs::path& path) : path_(path) {}

  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(std::string& key) override {
    if (!keys_.back().insert(key).second)
      fail_file(path_, "malformed header: repeated key " + in_quotes(key));
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    fail_file(path_, "malformed header: " + in_quotes(error.what()));
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }

 private:
  static constexpr std::size_t kDepth = 3;  // header, tensor, shape

  bool enter() {
    if (keys_.size() == kDepth) fail_file(path_, "malformed header: nested too deeply");
    keys_.emplace_back();
    return true;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  const fs::path& path_;
  std::vector<std::set<std::string>> keys_;  // of each open object
};

Json parse_json(std::string_view text, const fs::path& path) {
  HeaderCheck check(path);
  Json::sax_parse(text, &check);
  return Json::parse(text);
}

TensorMetadata parse_metadata(const Json& object, const fs::path& path) {
  if (!object.is_object()) fail_file(path, "__metadata__ is not an object");
  TensorMetadata metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) fail_file(path, "metadata " + in_quotes(key) + " is not a string");
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

/// An array of integers from 0 to 2^63 - 1 with the length of a shape, or nothing.
std::optional<Shape> parse_extents(const Json& value) {
  if (!value.is_array() || value.size() > kMostDimensions) return std::nullopt;
  Shape extents;
  for (const Json& extent : value) {
    if (!extent.is_number_unsigned() || !std::in_range<std::int64_t>(extent.get<std::uint64_t>())) {
      return std::nullopt;
    }
    extents.push_back(extent.get<std::int64_t>());
  }
  return extents;
}

TensorView parse_tensor(const std::string& name, const Json& entry, std::span<const std::byte> data,
                        const fs::path& path) {
  const std::string tensor = "tensor " + in_quotes(name);
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    fail_file(path, tensor + ": expected exactly dtype, shape and data_offsets");
  }
  const Json& dtype = entry["dtype"];
  const auto type = dtype.is_string() ? parse_type(dtype.get<std::string>()) : std::nullopt;
  if (!type) fail_file(path, tensor + ": unknown dtype " + in_quotes(dtype.dump()));
  auto shape = parse_extents(entry["shape"]);
  if (!shape) {
    fail_file(path, formatted("{}: shape is not a list of at most {} non-negative integers", tensor,
                              kMostDimensions));
  }
  const auto offsets = parse_extents(entry["data_offsets"]);
  if (!offsets || offsets->size() != 2) {
    fail_file(path, tensor + ": data_offsets is not a pair of non-negative integers");
  }
  const auto begin = static_cast<std::size_t>((*offsets)[0]);
  const auto end = static_cast<std::size_t>((*offsets)[1]);
  if (begin > end || end > data.size()) {
    fail_file(path, formatted("{}: data_offsets [{}, {}] are not within the {} bytes of data",
                              tensor, begin, end, data.size()));
  }
  if (checked_bytes(*shape, size_of(*type)) != end - begin) {
    fail_file(path, formatted("{}: {} bytes do not match {} of shape {}", tensor, end - begin,
                              name_of(*type), to_string(*shape)));
  }
  return {name, *type, std::move(*shape), data.subspan(begin, end - begin)};
}

std::string prefix_of(std::size_t header_length) {
  std::string prefix;
  for (std::size_t i = 0; i < kPrefix; ++i)
    prefix += static_cast<char>(header_length >> 8 * i & 0xff);
  return prefix;
}

/// CRC-32 of the bytes of `crc` followed by `bytes`.
uLong checksum_on(uLong crc, std::span<const std::byte> bytes) {
  if (bytes.empty()) return crc;  // zlib resets for a null pointer
  return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}
uLong checksum_on(uLong crc, std::string_view text) {
  return checksum_on(crc, std::as_bytes(std::span(text)));
}

std::string in_hexadecimal(uLong crc) { return formatted("{:08x}", crc); }

/// Throws DataError if the header has a checksum and it is not that of the file.
void verify_checksum(std::string header, std::span<const std::byte> data, const fs::path& path) {
  const std::size_t found = header.find(kBeforeChecksum);
  if (found == std::string::npos) return;
  const std::size_t place = found + kBeforeChecksum.size();
  const std::string stored = header.substr(place, kNoChecksum.size());
  header.replace(place, stored.size(), kNoChecksum);
  const uLong crc = checksum_on(0, prefix_of(header.size()));
  const std::string computed = in_hexadecimal(checksum_on(checksum_on(crc, header), data));
  if (stored != computed)
    fail_file(path,
              formatted("damaged: its checksum is {}, it says {}", computed, in_quotes(stored)));
}

}  // namespace

const char* name_of(TensorType type) { return kTypes[static_cast<std::size_t>(type)].name; }
std::size_t size_of(TensorType type) { return kTypes[static_cast<std::size_t>(type)].size; }

void write_safetensors(const fs::path& path, std::vector<TensorView> tensors,
                       TensorMetadata metadata) {
  metadata[std::string(kChecksumKey)] = kNoChecksum;
  std::ranges::stable_sort(tensors, std::ranges::greater{},
                           [](const TensorView& tensor) { return size_of(tensor.type); });
  OrderedJson header = OrderedJson::object();
  header[kMetadataKey] = metadata;
  std::size_t offset = 0;
  for (const TensorView& tensor : tensors) {
    ELBO_ASSERT(tensor.name != kMetadataKey && !header.contains(tensor.name));
    ELBO_ASSERT(checked_bytes(tensor.shape, size_of(tensor.type)) == tensor.data.size());
    header[tensor.name] = {{"dtype", name_of(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }
  // Metadata may quote paths, which need not be UTF-8; JSON must be.
  std::string text = header.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  ELBO_ASSERT(text.size() <= kLongestHeader);

  uLong crc = checksum_on(checksum_on(0, prefix_of(text.size())), text);
  for (const TensorView& tensor : tensors) crc = checksum_on(crc, tensor.data);
  text.replace(text.find(kBeforeChecksum) + kBeforeChecksum.size(), kNoChecksum.size(),
               in_hexadecimal(crc));
  AtomicFile file(path);
  file.write(prefix_of(text.size()) + text);
  for (const TensorView& tensor : tensors) file.write(tensor.data);
  file.commit();
}

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : path_(path), file_(std::make_unique<const MappedFile>(path)) {
  const std::span bytes = file_->bytes();
  if (bytes.size() < kPrefix) fail_file(path, "truncated: not even a safetensors header length");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kPrefix; ++i) {
    length |= std::to_integer<std::uint64_t>(bytes[i]) << 8 * i;
  }
  if (length > kLongestHeader || length > bytes.size() - kPrefix) {
    fail_file(path,
              formatted("safetensors header claims {} bytes; the file has {} after the length",
                        length, bytes.size() - kPrefix));
  }
  const std::span text = bytes.subspan(kPrefix, length);
  const std::span data = bytes.subspan(kPrefix + length);
  const std::string_view words(reinterpret_cast<const char*>(text.data()), text.size());
  verify_checksum(std::string(words), data, path);
  const Json header = parse_json(words, path);
  if (!header.is_object()) fail_file(path, "malformed header: not an object");

  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) {
      metadata_ = parse_metadata(entry, path);
    } else {
      tensors_.push_back(parse_tensor(name, entry, data, path));
    }
  }
  const auto begin_of = [](const TensorView& tensor) { return tensor.data.data(); };
  const auto end_of = [](const TensorView& tensor) {
    return tensor.data.data() + tensor.data.size();
  };
  std::ranges::stable_sort(tensors_, [&](const TensorView& a, const TensorView& b) {
    return std::pair(begin_of(a), end_of(a)) < std::pair(begin_of(b), end_of(b));
  });
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::ranges::sort(by_name_, {},
                    [&](std::size_t i) { return std::string_view(tensors_[i].name); });

  const std::byte* expected = data.data();
  for (const TensorView& tensor : tensors_) {
    if (begin_of(tensor) != expected) {
      fail_file(path, formatted("tensor {} starts at byte {} of the data; expected {} (no gaps, no "
                                "overlaps)",
                                in_quotes(tensor.name), begin_of(tensor) - data.data(),
                                expected - data.data()));
    }
    expected = end_of(tensor);
  }
  if (expected != data.data() + data.size()) {
    fail_file(path, formatted("oversized: {} bytes belong to no tensor",
                              data.data() + data.size() - expected));
  }
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto name_of_place = [this](std::size_t i) -> std::string_view { return tensors_[i].name; };
  const auto found = std::ranges::lower_bound(by_name_, name, {}, name_of_place);
  return found == by_name_.end() || name_of_place(*found) != name ? nullptr : &tensors_[*found];
}

const TensorView& SafetensorsFile::require(std::string_view name, TensorType type,
                                           const Shape& shape) const {
  const TensorView* tensor = find(name);
  const std::string wanted =
      std::string(name_of(type)) + " of shape " + to_string(std::span(shape));
  if (tensor == nullptr) {
    fail_file(path_, "no tensor " + in_quotes(name) + "; expected one, " + wanted);
  }
  if (tensor->type != type || tensor->shape != shape) {
    fail_file(path_, "tensor " + in_quotes(name) + " is " + name_of(tensor->type) + " of shape " +
                         to_string(tensor->shape) + "; expected " + wanted);
  }
  return *tensor;
}

void SafetensorsFile::read(std::string_view name, TensorType type, const Shape& shape,
                           std::span<std::byte> out) const {
  const std::span data = require(name, type, shape).data;
  ELBO_ASSERT(out.size() == data.size());
  if (!out.empty()) std::memcpy(out.data(), data.data(), out.size());
}

}  // namespace elbo

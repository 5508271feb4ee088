// The safetensors format: an 8-byte length, a JSON header, then the tensors' bytes back to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/mapped_file.hpp"
#include "host/io/shape.hpp"

namespace elbo {

enum class TensorType : std::uint8_t { u8, i32, u32, i64, u64, f16, bf16, f32, f64 };

/// The format's name of the type ("F32") and the bytes of one element.
const char* name_of(TensorType type);
std::size_t size_of(TensorType type);

/// A named dense array in C order that does not own its bytes.
struct TensorView {
  std::string name;
  TensorType type;
  Shape shape;  // empty: a scalar
  std::span<const std::byte> data;
};

using TensorMetadata = std::map<std::string, std::string>;

/// Metadata of every file written here: the CRC-32 of the whole file with these eight hexadecimal
/// digits as zeros.
inline constexpr std::string_view kChecksumKey = "checksum";

/// Writes tensors (atomically) and adds a checksum to the metadata. They are stored in the given
/// order, except that larger element types come first, which aligns every tensor. Equal input leads
/// to equal bytes. Names must be unique, and data must match its shape.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorView> tensors,
                       TensorMetadata metadata);

/// A file opened for reading: mapped, its header and its checksum, if it has one, checked in full.
class SafetensorsFile {
 public:
  /// Throws DataError if the file cannot be read or breaks the format: header length out of
  /// bounds, malformed JSON, unknown or repeated keys, unknown dtypes, tensors that overlap, leave
  /// gaps, or do not match their shapes; or a wrong checksum.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// Tensors in the order of the file. Data is valid while this object lives; its alignment depends
  /// on the writer of the file.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const TensorMetadata& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

  /// The tensor of that name or nullptr.
  const TensorView* find(std::string_view name) const;

  /// The tensor of that name, which must have this type and shape. Throws DataError naming the
  /// difference.
  const TensorView& require(std::string_view name, TensorType type, const Shape& shape) const;
  /// Copies the data of that tensor to `out`. Throws as require() does.
  void read(std::string_view name, TensorType type, const Shape& shape,
            std::span<std::byte> out) const;
  void read(std::string_view name, const Shape& shape, std::span<float> out) const {
    read(name, TensorType::f32, shape, std::as_writable_bytes(out));
  }

 private:
  std::filesystem::path path_;
  std::unique_ptr<const MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::vector<std::size_t> by_name_;  // indices into tensors_, sorted by name
  TensorMetadata metadata_;
};

}  // namespace elbo

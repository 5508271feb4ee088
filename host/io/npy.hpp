// NumPy's .npy files, format versions 1 to 3: little-endian numbers in C order, any rank from 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/io/atomic_file.hpp"
#include "host/io/shape.hpp"

namespace elbo {

enum class NpyType : std::uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

/// NumPy's name of the type: "|u1", "<f4", ...
const char* descr_of(NpyType type);
std::size_t size_of(NpyType type);
bool is_integer(NpyType type);

struct NpyHeader {
  NpyType type;
  Shape shape;  // rank >= 1; extents may be 0
  std::size_t data_offset;
};

/// Parses and checks a header against the whole file: the data must have exactly the length of
/// dtype and shape. `path` is for messages. Throws DataError on anything else, and on object,
/// structured, big-endian, complex, text or Fortran-ordered arrays.
NpyHeader read_npy_header(std::span<const std::byte> file, const std::filesystem::path& path);

/// An array, memory-mapped if its data is aligned, otherwise copied.
struct NpyArray {
  NpyType type;
  Shape shape;
  std::shared_ptr<const void> owner;  // keeps `data` alive
  const void* data;                   // C order, aligned for `type`
};

/// Throws DataError as read_npy_header does, and if the file cannot be mapped.
NpyArray open_npy(const std::filesystem::path& path);

/// The values of an array of <f4 or <f8 as float. Other types are a DataError naming `path`.
std::vector<float> to_floats(const NpyArray& array, const std::filesystem::path& path);

/// The values of an array of any integer type, all of which must fit 32 bits. Otherwise DataError
/// naming `path`.
std::vector<std::int32_t> to_integers(const NpyArray& array, const std::filesystem::path& path);

/// Writes an array row by row; the number of rows is known at the end. As with AtomicFile, there is
/// no file without commit().
class NpyWriter {
 public:
  /// An array [rows, row_shape...]. Throws DataError if the file cannot be made.
  NpyWriter(const std::filesystem::path& path, NpyType type, const Shape& row_shape);

  /// Appends whole rows. Throws DataError if the system refuses.
  void append(std::span<const std::byte> rows);
  std::int64_t rows() const;
  void commit();

 private:
  std::string header() const;

  AtomicFile file_;
  NpyType type_;
  Shape row_shape_;
  std::size_t bytes_ = 0;  // of data
};

/// Writes an array (atomically). `values` contains exactly the elements of `shape`.
void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const float> values);
void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const std::uint8_t> values);
void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const std::int32_t> values);

}  // namespace elbo

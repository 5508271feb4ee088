// Valid and invalid data files for tests, byte by byte.
#pragma once

#include <zlib.h>

#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace elbo {

inline std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

/// An IDX file of `count` images of 2 x 2, or of `count` labels, with `payload` bytes.
inline std::string idx_images(int count, int payload) {
  return bytes({0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2}) +
         std::string(static_cast<size_t>(payload), '\1');
}
inline std::string idx_labels(int count) {
  return bytes({0, 0, 8, 1, 0, 0, 0, count}) + std::string(static_cast<size_t>(count), '\1');
}

/// A .npy file of version 1 with this text as its header.
inline std::string npy_of(std::string header, const std::string& payload) {
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  return bytes({0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<int>(header.size() % 256),
                static_cast<int>(header.size() / 256)}) +
         header + payload;
}
inline std::string npy(const std::string& descr, bool fortran, const std::string& shape,
                       const std::string& payload) {
  return npy_of("{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
                    ", 'shape': (" + shape + "), }",
                payload);
}

inline std::string floats(std::initializer_list<float> values) {
  std::string text(values.size() * sizeof(float), '\0');
  std::memcpy(text.data(), values.begin(), text.size());
  return text;
}

/// A safetensors file of this header.
inline std::string safetensors_of(const std::string& header, const std::string& data = "") {
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> 8 * i & 0xff);
  return length + header + data;
}

/// A member of a gzip file.
inline std::string gzipped(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2 failed");
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

}  // namespace elbo

#include "host/io/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "host/io/file_error.hpp"

namespace elbo {
namespace {

constexpr int kGzipOnly = 15 + 16;                    // largest window, gzip header required
constexpr std::size_t kChunk = std::size_t{1} << 30;  // zlib counts in 32 bits

}  // namespace

struct GzipReader::State {
  std::span<const std::byte> input;  // not passed to zlib yet
  std::filesystem::path path;
  z_stream stream{};
  bool finished = false;

  void refill() {
    const std::size_t count = std::min(input.size(), kChunk);
    // zlib's interface is not const-correct; it does not write to its input.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream.avail_in = static_cast<uInt>(count);
    input = input.subspan(count);
  }

  std::size_t left() const { return stream.avail_in + input.size(); }

  /// At the end of a member: continues with the next one, or finishes.
  void end_member() {
    if (left() == 0) {
      finished = true;
      return;
    }
    // zlib's input and the remaining input are adjacent in memory.
    if (!is_gzip({reinterpret_cast<const std::byte*>(stream.next_in), left()})) {
      fail_file(path, std::to_string(left()) + " bytes follow the end of the gzip data");
    }
    inflateReset(&stream);
  }
};

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

GzipReader::GzipReader(std::span<const std::byte> compressed, std::filesystem::path path)
    : state_(std::make_unique<State>()) {
  if (!is_gzip(compressed)) fail_file(path, "is not gzip data (expected it to start with 1f 8b)");
  state_->input = compressed;
  state_->path = std::move(path);
  if (inflateInit2(&state_->stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
}

GzipReader::~GzipReader() { inflateEnd(&state_->stream); }

std::size_t GzipReader::read(std::span<std::byte> out) {
  State& state = *state_;
  z_stream& stream = state.stream;
  std::size_t filled = 0;
  while (filled < out.size() && !state.finished) {
    if (stream.avail_in == 0) state.refill();
    const auto room = static_cast<uInt>(std::min(out.size() - filled, kChunk));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
    stream.avail_out = room;
    const int status = inflate(&stream, Z_NO_FLUSH);
    filled += room - stream.avail_out;
    switch (status) {
      case Z_OK:
        break;
      case Z_STREAM_END:
        state.end_member();
        break;
      case Z_BUF_ERROR:
        if (state.left() == 0) fail_file(state.path, "gzip data is truncated");
        break;
      case Z_MEM_ERROR:
        throw std::bad_alloc();
      default:
        fail_file(state.path, std::string("gzip data is damaged: ") +
                                  (stream.msg != nullptr ? stream.msg : "no reason given"));
    }
  }
  return filled;
}

}  // namespace elbo

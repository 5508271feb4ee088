// Every kind of PNG is decoded to the right pixels; sizes are checked, and damaged or other files
// are refused.
#include <sys/stat.h>
#include <zlib.h>

#include "tests/picture_fixture.hpp"

namespace elbo {
namespace {

// --- PNG --------------------------------------------------------------------------------------

constexpr int kHeight = 11, kWidth = 13;  // awkward for Adam7 and for packed bits

/// Scattered samples of `bits`, a row of them packed as PNG has it, most significant first.
struct Samples {
  int bits, per_pixel;
  int at(int y, int x, int c) const {
    const unsigned mixed = static_cast<unsigned>(y * 7919 + x * 104729 + c * 1299709) * 2654435761u;
    return static_cast<int>(mixed >> (32 - bits));
  }
  std::vector<std::vector<png_byte>> rows() const {
    std::vector<std::vector<png_byte>> rows(kHeight);
    for (int y = 0; y < kHeight; ++y) {
      int pending = 0, held = 0;
      for (int x = 0; x < kWidth; ++x)
        for (int c = 0; c < per_pixel; ++c) {
          pending = pending << bits | at(y, x, c);
          held += bits;
          for (; held >= 8; held -= 8)
            rows[static_cast<size_t>(y)].push_back(static_cast<png_byte>(pending >> (held - 8)));
          pending &= 0xff;
        }
      if (held > 0)
        rows[static_cast<size_t>(y)].push_back(static_cast<png_byte>(pending << (8 - held)));
    }
    return rows;
  }
  /// As a part of 255, rounded.
  int byte_at(int y, int x, int c) const {
    const int most = (1 << bits) - 1;
    return (at(y, x, c) * 255 + most / 2) / most;
  }
};

/// On white, rounded.
int on_white(int value, int alpha) { return (value * alpha + 255 * (255 - alpha) + 127) / 255; }

TEST_F(Picture, PngOfEveryDepthAndColourType) {
  const std::vector<std::pair<int, std::vector<int>>> forms = {
      {PNG_COLOR_TYPE_GRAY, {1, 2, 4, 8, 16}},
      {PNG_COLOR_TYPE_RGB, {8, 16}},
      {PNG_COLOR_TYPE_GRAY_ALPHA, {8, 16}},
      {PNG_COLOR_TYPE_RGB_ALPHA, {8, 16}}};
  for (const auto& [colour_type, depths] : forms)
    for (const int depth : depths)
      for (const bool interlaced : {false, true}) {
        SCOPED_TRACE(testing::Message() << "type " << colour_type << " depth " << depth
                                        << " interlaced " << interlaced);
        const int colours = (colour_type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
        const bool alpha = (colour_type & PNG_COLOR_MASK_ALPHA) != 0;
        const Samples samples{depth, colours + (alpha ? 1 : 0)};
        const std::string bytes =
            png_bytes(kWidth, samples.rows(),
                      {.depth = depth, .colour_type = colour_type, .interlaced = interlaced});
        const Image wanted = make_image(kHeight, kWidth, colours, [&](auto y, auto x, auto c) {
          const auto sample = [&](auto channel) {
            return samples.byte_at(static_cast<int>(y), static_cast<int>(x),
                                   static_cast<int>(channel));
          };
          return alpha ? on_white(sample(c), sample(colours)) : sample(c);
        });
        expect_equal(decode(bytes), wanted);
        EXPECT_EQ(header(bytes).channels, colours);
        EXPECT_EQ(header(bytes).height, kHeight);
        EXPECT_EQ(header(bytes).width, kWidth);
      }
}

TEST_F(Picture, PngPalettes) {
  for (const int depth : {1, 2, 4, 8})
    for (const bool transparent : {false, true}) {
      SCOPED_TRACE(testing::Message() << "depth " << depth << " transparent " << transparent);
      PngForm form{.depth = depth, .colour_type = PNG_COLOR_TYPE_PALETTE};
      for (int i = 0; i < 1 << depth; ++i) {
        const auto value = [&](int factor) { return static_cast<png_byte>(i * factor + 9); };
        form.palette.push_back({value(3), value(55), value(121)});
        if (transparent) form.palette_alpha.push_back(value(77));
      }
      const Samples samples{depth, 1};
      const Image wanted = make_image(kHeight, kWidth, 3, [&](auto y, auto x, auto c) {
        const auto index =
            static_cast<size_t>(samples.at(static_cast<int>(y), static_cast<int>(x), 0));
        const png_color& colour = form.palette[index];
        const int value = c == 0 ? colour.red : c == 1 ? colour.green : colour.blue;
        return transparent ? on_white(value, form.palette_alpha[index]) : value;
      });
      const std::string bytes = png_bytes(kWidth, samples.rows(), form);
      expect_equal(decode(bytes), wanted);
      EXPECT_EQ(header(bytes).channels, 3);
    }
}

TEST_F(Picture, PngWithATransparentColour) {
  const Image grey = make_image(2, 3, 1, [](auto y, auto x, auto) { return 10 * (3 * y + x); });
  Image wanted = grey;
  wanted.pixels[4] = 255;
  std::vector<std::vector<png_byte>> rows = {{0, 10, 20}, {30, 40, 50}};
  expect_equal(
      decode(png_bytes(3, rows, {.has_transparent = true, .transparent = {0, 0, 0, 0, 40}})),
      wanted);
  rows = {{1, 2, 3, 4, 5, 6}};
  const std::string rgb = png_bytes(
      2, rows,
      {.colour_type = PNG_COLOR_TYPE_RGB, .has_transparent = true, .transparent = {0, 4, 5, 6, 0}});
  EXPECT_EQ(decode(rgb).pixels, (std::vector<uint8_t>{1, 2, 3, 255, 255, 255}));
}

TEST_F(Picture, PngCutShortOrChangedAnywhere) {
  const Image image = scattered_image(9, 7, 3);
  const std::string whole = png_bytes(image);
  expect_equal(decode(whole), image);
  for (size_t length = 0; length < whole.size(); ++length) {
    SCOPED_TRACE(length);
    EXPECT_THROW(decode(whole.substr(0, length)), DataError);
  }
  // Every chunk has its checksum, but for the lengths and the signature nothing depends on.
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    SCOPED_TRACE(i);
    EXPECT_THROW(decode(changed), DataError);
  }
  expect_refused(whole.substr(0, whole.size() / 2), {"damaged PNG", "truncated"});
}

/// The picture with another size in its header, the checksum right again.
std::string png_claiming(uint32_t height, uint32_t width, png_byte depth = 8) {
  std::string bytes = png_bytes(scattered_image(4, 4, 1));
  const auto put = [&](size_t offset, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bytes[offset + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  put(16, width);
  put(20, height);
  bytes[24] = static_cast<char>(depth);
  const auto* chunk = reinterpret_cast<const Bytef*>(bytes.data() + 12);
  put(29, static_cast<uint32_t>(crc32(0, chunk, 17)));
  return bytes;
}

TEST_F(Picture, SizesThatAreLies) {
  for (const auto& [height, width] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, 4}, {4, 0}, {1u << 15, (1u << 13) + 1}, {0x7fffffff, 0x7fffffff}, {1, 1u << 29}}) {
    const std::string size = std::to_string(height) + "x" + std::to_string(width);
    expect_refused(png_claiming(height, width), {"claims to be " + size, "2^28"});
    expect_error<DataError>([&] { header(png_claiming(height, width)); }, {size});
  }
  // 2^28 pixels are allowed, but no file of 80 bytes has them: nothing is allocated for it.
  EXPECT_EQ(header(png_claiming(1 << 14, 1 << 14)).height, 1 << 14);
  expect_refused(png_claiming(1 << 14, 1 << 14), {"damaged PNG", "16384x16384 pixels"});
  expect_refused(png_claiming(5, 4), {"damaged PNG"});

  const std::string jpeg = jpeg_bytes(scattered_image(8, 8, 1));
  const auto claiming = [&](int height, int width) {
    std::string changed = jpeg;
    const size_t frame = changed.find("\xff\xc0");
    for (const auto& [offset, value] : {std::pair{5u, height}, std::pair{7u, width}}) {
      changed[frame + offset] = static_cast<char>(value >> 8);
      changed[frame + offset + 1] = static_cast<char>(value & 0xff);
    }
    return changed;
  };
  expect_refused(claiming(65500, 65500), {"claims to be 65500x65500", "2^28"});
  expect_refused(claiming(0, 8), {"claims to be 0x8"});
  expect_refused(claiming(8, 0), {"claims to be 8x0"});
  expect_refused(claiming(800, 8), {"truncated"});
}

// --- what is no picture -----------------------------------------------------------------------

TEST_F(Picture, OtherContent) {
  expect_refused("", {"empty"});
  expect_refused("hello, world", {"neither PNG nor JPEG", "'hello, w'"});
  expect_refused("GIF89a", {"neither PNG nor JPEG", "'GIF89a'"});
  expect_refused("\xff\xd8", {"neither"});
  expect_refused("\xff\xd8\xff", {"truncated"});
  expect_refused("\xff\xd8\xff\xd9", {"no JPEG frame header"});
  expect_refused(std::string("\xff\xd8\xff\xe0\0\1", 6), {"segment of length 1"});
  expect_refused(std::string("\xff\xd8\xff\xc0\0\4\1\1", 8), {"frame header is too short"});
  expect_refused("\x89PNG\r\n\x1a\n", {"truncated"});
  expect_refused("\x89PNG\r\n\x1a\n0000IHDX" + std::string(20, '0'), {"IHDR"});
}

TEST_F(Picture, FilesThatCannotBeRead) {
  const auto refused = [&](const char* name, std::initializer_list<std::string_view> words) {
    expect_error<DataError>([&] { decode_picture(directory_ / name); }, words);
    expect_error<DataError>([&] { read_picture_header(directory_ / name); }, words);
  };
  refused("none", {"cannot open: No such file"});
  refused("", {"not a regular file"});
  ASSERT_EQ(mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  refused("fifo", {"not a regular file"});
  // A sparse file, larger than any picture.
  directory_.write("huge", "x");
  std::filesystem::resize_file(directory_ / "huge", (uint64_t{1} << 31) + 1);
  refused("huge", {"2147483649 bytes"});
}

TEST(PictureName, CountsByItsEnding) {
  for (const char* name : {"a.png", "a.PNG", "b.c.Jpg", "d.JPEG", ".jpeg"})
    EXPECT_TRUE(is_picture_name(name)) << name;
  for (const char* name : {"png", "a.png.txt", "a.jpe", "a.gif", "", "jpg"})
    EXPECT_FALSE(is_picture_name(name)) << name;
}

}  // namespace
}  // namespace elbo

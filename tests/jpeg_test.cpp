// Every kind of JPEG is decoded to the right pixels, upright, and damaged files are refused.
#include <cstdlib>

#include "host/io/exif.hpp"
#include "tests/picture_fixture.hpp"

namespace elbo {
namespace {

/// Blocks of 8 x 8 of one colour each, which quality 100 stores as they are but for rounding in
/// the colour space: Y, Cb and Cr each to whole numbers, then R, G, B. |Y| ≤ 0.5 and
/// 1.772 |Cb| ≤ 0.886 and 0.5 again are less than 2.
constexpr int kColourError = 1;

Image blocks(int rows, int columns, int64_t channels) {
  const Image values = scattered_image(rows, columns, channels);
  return make_image(8 * rows, 8 * columns, channels, [&](auto y, auto x, auto c) {
    return values.pixels[static_cast<size_t>((y / 8 * columns + x / 8) * channels + c)];
  });
}

void expect_near(const Image& got, const Image& wanted, int error) {
  ASSERT_EQ(got.height, wanted.height);
  ASSERT_EQ(got.width, wanted.width);
  ASSERT_EQ(got.channels, wanted.channels);
  for (size_t i = 0; i < got.pixels.size(); ++i)
    ASSERT_LE(std::abs(got.pixels[i] - wanted.pixels[i]), error) << "value " << i;
}

TEST_F(Picture, JpegGreyAndColour) {
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    const Image grey = blocks(3, 5, 1), rgb = blocks(3, 5, 3);
    expect_equal(decode(jpeg_bytes(grey, flags)), grey);
    expect_near(decode(jpeg_bytes(rgb, flags)), rgb, kColourError);
    EXPECT_EQ(header(jpeg_bytes(grey, flags)).channels, 1);
    EXPECT_EQ(header(jpeg_bytes(rgb, flags)).channels, 3);
    EXPECT_EQ(header(jpeg_bytes(rgb, flags)).height, 24);
    EXPECT_EQ(header(jpeg_bytes(rgb, flags)).width, 40);
  }
}

TEST_F(Picture, JpegOfFourInksBecomesRgb) {
  const Image inks = blocks(3, 5, 4);
  const Image rgb = make_image(24, 40, 3, [&](auto y, auto x, auto c) {
    const uint8_t* ink = inks.pixels.data() + (y * 40 + x) * 4;
    return (ink[c] * ink[3] + 127) / 255;
  });
  // An error of the ink is one of the product at most, and rounding adds less than one.
  expect_near(decode(jpeg_bytes(inks)), rgb, kColourError + 1);
  EXPECT_EQ(header(jpeg_bytes(inks)).channels, 3);
}

TEST_F(Picture, JpegCutShortAnywhere) {
  const std::string whole = jpeg_bytes(scattered_image(40, 56, 3));
  decode(whole);
  for (size_t length = 0; length < whole.size(); length += length < 700 ? 1 : 37) {
    SCOPED_TRACE(length);
    EXPECT_THROW(decode(whole.substr(0, length)), DataError);
  }
  expect_refused(whole.substr(0, whole.size() / 2), {"truncated", "remature end"});
  expect_refused(whole.substr(0, whole.size() - 1), {"truncated"});
  const std::string progressive = jpeg_bytes(scattered_image(40, 56, 3), TJFLAG_PROGRESSIVE);
  for (size_t length = 700; length < progressive.size(); length += 61)
    EXPECT_THROW(decode(progressive.substr(0, length)), DataError) << length;
}

TEST_F(Picture, JpegDamagedWithin) {
  const std::string whole = jpeg_bytes(scattered_image(40, 56, 1));
  // Pixels that end too early, though the file goes on.
  expect_refused(std::string(whole).replace(whole.size() / 2, 2, "\xff\xd9"), {"damaged"});
  // Any change leads to an error or to another picture.
  const std::string small = jpeg_bytes(blocks(2, 2, 1));
  for (size_t i = 0; i < small.size(); ++i)
    for (const char value : {'\0', '\x81'}) {
      std::string changed = small;
      changed[i] = value;
      try {
        const Image image = decode(changed);
        EXPECT_EQ(image.pixels.size(),
                  static_cast<size_t>(image.height * image.width * image.channels));
      } catch (const DataError&) {
      }
    }
}

TEST_F(Picture, JpegPaddedAtItsEndIsWhole) {
  const Image grey = blocks(2, 3, 1);
  const std::string whole = jpeg_bytes(grey);
  const std::string end = "\xff\xd9";
  const std::string padded = whole.substr(0, whole.size() - 2) + std::string(12, '\0') + end;
  expect_equal(decode(padded), grey);
  expect_equal(decode(whole + "what cameras append"), grey);
}

// --- orientation ------------------------------------------------------------------------------

/// The sides on which row 0 and column 0 of what is stored are to be seen: EXIF 2.3, 4.6.4.
struct Sides {
  char row, column;
};
constexpr Sides kSides[] = {{'t', 'l'}, {'t', 'r'}, {'b', 'r'}, {'b', 'l'},
                            {'l', 't'}, {'r', 't'}, {'r', 'b'}, {'l', 'b'}};

/// Where on the upright image lies stored (y, x) of height x width?
std::pair<int64_t, int64_t> place_of(Sides sides, int64_t height, int64_t width, int64_t y,
                                     int64_t x) {
  const bool transposed = sides.row == 'l' || sides.row == 'r';
  const int64_t from_row_side = y, from_column_side = x;
  const int64_t upright_height = transposed ? width : height;
  const int64_t upright_width = transposed ? height : width;
  std::pair<int64_t, int64_t> place;
  for (const auto& [side, distance] :
       {std::pair{sides.row, from_row_side}, std::pair{sides.column, from_column_side}}) {
    if (side == 't') place.first = distance;
    if (side == 'b') place.first = upright_height - 1 - distance;
    if (side == 'l') place.second = distance;
    if (side == 'r') place.second = upright_width - 1 - distance;
  }
  return place;
}

TEST_F(Picture, JpegsAreTurnedUpright) {
  const Image stored = blocks(2, 3, 1);
  for (int orientation = 1; orientation <= 8; ++orientation)
    for (const bool big_endian : {false, true}) {
      SCOPED_TRACE(testing::Message() << orientation << (big_endian ? " MM" : " II"));
      const Sides sides = kSides[orientation - 1];
      const bool transposed = orientation >= 5;
      Image wanted{transposed ? 24 : 16, transposed ? 16 : 24, 1, std::vector<uint8_t>(16 * 24)};
      for (int64_t y = 0; y < 16; ++y)
        for (int64_t x = 0; x < 24; ++x) {
          const auto [row, column] = place_of(sides, 16, 24, y, x);
          wanted.pixels[static_cast<size_t>(row * wanted.width + column)] =
              stored.pixels[static_cast<size_t>(y * 24 + x)];
        }
      const std::string bytes =
          with_segment(jpeg_bytes(stored), 0xe1, exif_block(orientation, big_endian));
      expect_equal(decode(bytes), wanted);
      EXPECT_EQ(header(bytes).height, wanted.height);
      EXPECT_EQ(header(bytes).width, wanted.width);
    }
}

int orientation_of(const std::string& block) {
  return exif_orientation(std::as_bytes(std::span(block)));
}

TEST(Exif, MalformedBlocksTellNothing) {
  const std::string block = exif_block(6, true);
  EXPECT_EQ(orientation_of(block), 6);
  const size_t value = 6 + 8 + 2 + 12 + 8 + 2;  // behind the orientation's last byte
  for (size_t length = 0; length < block.size(); ++length)
    EXPECT_EQ(orientation_of(block.substr(0, length)), length >= value ? 6 : 1) << length;
  const auto changed = [&](size_t offset, const std::string& bytes) {
    std::string other = block;
    return orientation_of(other.replace(offset, bytes.size(), bytes));
  };
  const size_t directory = 10, entry = 6 + 8 + 2 + 12;
  EXPECT_EQ(changed(0, "Exot"), 1);
  EXPECT_EQ(changed(6, "MI"), 1);
  EXPECT_EQ(changed(8, std::string("\0\x2b", 2)), 1);
  EXPECT_EQ(changed(directory, std::string("\xff\xff\xff\xff", 4)), 1);
  EXPECT_EQ(changed(directory, std::string("\0\0\0\x1f", 4)), 1);
  EXPECT_EQ(changed(entry + 2, std::string("\0\4", 2)), 1) << "a long";
  EXPECT_EQ(changed(entry + 4, std::string("\0\0\0\2", 4)), 1) << "two of them";
  for (const int wrong : {0, 9, 255}) EXPECT_EQ(orientation_of(exif_block(wrong, false)), 1);
}

TEST_F(Picture, AMalformedExifBlockIsIgnored) {
  const Image grey = blocks(2, 3, 1);
  const std::string jpeg = jpeg_bytes(grey);
  for (const std::string& block : {std::string("Exif\0\0", 6), exif_block(6, true).substr(0, 20),
                                   exif_block(77, false), std::string("http://ns.adobe.com/xap/")})
    expect_equal(decode(with_segment(jpeg, 0xe1, block)), grey);
}

TEST_F(Picture, HeadersBehindLargeSegments) {
  // More than one read of the file's beginning returns.
  const Image grey = blocks(2, 3, 1);
  std::string bytes = with_segment(jpeg_bytes(grey), 0xe1, exif_block(6, false));
  for (int i = 0; i < 3; ++i) bytes = with_segment(bytes, 0xe2, std::string(60000, '\xff'));
  EXPECT_EQ(header(bytes).height, 24);
  EXPECT_EQ(header(bytes).width, 16);
  EXPECT_EQ(decode(bytes).height, 24);
}

// --- reduced sizes ----------------------------------------------------------------------------

TEST_F(Picture, LargeJpegsMayComeReduced) {
  const Image grey = blocks(40, 60, 1);
  const std::string bytes = jpeg_bytes(grey);
  const auto reduced = [&](int64_t least_side) { return decode(bytes, least_side); };
  expect_equal(reduced(0), grey);
  expect_equal(reduced(81), grey);
  EXPECT_EQ(reduced(80).height, 160);
  EXPECT_EQ(reduced(41).height, 160);
  EXPECT_EQ(reduced(40).height, 80);
  EXPECT_EQ(reduced(20).height, 40);
  EXPECT_EQ(reduced(1).height, 40);
  EXPECT_EQ(reduced(1).width, 60);
  // An eighth: what is left of a block of one grey is that grey.
  expect_equal(reduced(1), scattered_image(40, 60, 1));
}

}  // namespace
}  // namespace elbo

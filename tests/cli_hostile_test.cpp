// Malformed and hostile data sets as input of the elbo program.
#include "tests/hostile.hpp"
#include "tests/pictures.hpp"

namespace elbo {
namespace {

TEST_F(CliHostile, Npy) {
  const std::string four = floats({0, 0.25f, 0.5f, 1});
  const auto file = [](const std::string& content) {
    return std::map<std::string, std::string>{{"data/train.npy", content}};
  };
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += "1,";
  std::string claims_more = npy("<f4", false, "2, 2", four);
  claims_more[9] = '\x40';
  expect_refused({
      {"empty", file(""), kInspect, kData, {"train.npy", "not a .npy file"}},
      {"magic alone", file("\x93NUMPY"), kInspect, kData, {"truncated in its .npy header"}},
      {"header beyond the end", file(claims_more), kInspect, kData, {"header claims 16"}},
      {"header of 4 GiB",
       file("\x93NUMPY\2\0\xff\xff\xff\xff{"s),
       kInspect,
       kData,
       {"header claims 4294967295 bytes, 1 are there"}},
      {"version 9",
       file("\x93NUMPY\11\0\0\0"s),
       kInspect,
       kData,
       {"version 9", "expected 1, 2 or 3"}},
      {"extent of 2^60",
       file(npy("<f4", false, "1152921504606846976,", four)),
       kInspect,
       kData,
       {"needs 4611686018427387904 bytes of data, 16 are there"}},
      {"product of 2^64",
       file(npy("<f4", false, "4294967296, 1073741824", four)),
       kInspect,
       kData,
       {"4294967296x1073741824 overflows 63 bits"}},
      {"overflow behind a zero",
       file(npy("<f4", false, "4294967296, 4294967296, 0", "")),
       kInspect,
       kData,
       {"overflows 63 bits"}},
      {"extent of 2^64",
       file(npy("<f4", false, "18446744073709551616,", four)),
       kInspect,
       kData,
       {"expected an extent below 2^63"}},
      {"negative extent",
       file(npy("<f4", false, "-2, 2", four)),
       kInspect,
       kData,
       {"negative extent -2"}},
      {"65 dimensions",
       file(npy("|u1", false, ones, "x")),
       kInspect,
       kData,
       {"more than 64 dimensions"}},
      {"key twice",
       file(npy_of("{'descr': '<f4', 'descr': '<f4'}", four)),
       kInspect,
       kData,
       {"repeated key 'descr'"}},
      {"nested tuples",
       file(npy("<f4", false, std::string(50000, '('), four)),
       kInspect,
       kData,
       {"malformed .npy header"}},
      {"objects to unpickle",
       file(npy("|O", false, "2, 2", four)),
       kInspect,
       kData,
       {"object dtype '|O'"}},
      {"terminal's sequences",
       file(npy_of("{'\x1b[31m\n': 1}", four)),
       kInspect,
       kData,
       {"unknown or repeated key '?[31m?'"}},
      {"rows without elements",
       file(npy("<f4", false, "2, 0", "")),
       kInspect,
       kData,
       {"rows of shape 0 hold no elements"}},
      {"labels beyond 32 bits",
       {{"data/train.npy", npy("<f4", false, "2, 2", four)},
        {"data/train_labels.npy",
         npy("<u8", false, "2,", std::string(8, '\0') + std::string(8, '\xff'))}},
       kInspect,
       kData,
       {"train_labels.npy", "18446744073709551615", "fits 32 bits"}},
      {"labels in rows",
       {{"data/train.npy", npy("<f4", false, "2, 2", four)},
        {"data/train_labels.npy", npy("|u1", false, "2, 2", "abcd")}},
       kInspect,
       kData,
       {"labels of shape 2x2", "expected one per row"}},
      {"splits of two shapes",
       {{"data/train.npy", npy("<f4", false, "2, 2", four)},
        {"data/test.npy", npy("<f4", false, "1, 4", four)}},
       kInspect,
       kData,
       {"test.npy", "rows of shape 4, but 2"}},
  });
}

TEST_F(CliHostile, IdxAndGzip) {
  const auto raw = [](const std::string& content) {
    return std::map<std::string, std::string>{{"data/train-images-idx3-ubyte", content}};
  };
  const auto gz = [](const std::string& content) {
    return std::map<std::string, std::string>{{"data/train-images-idx3-ubyte.gz", content}};
  };
  const std::string sound = idx_images(4, 16), packed = gzipped(sound);
  std::string damaged = packed;
  damaged[packed.size() - 8] ^= 1;  // its checksum
  const std::string huge = bytes({0, 0, 8, 3}) + std::string(12, '\x7f');
  expect_refused({
      {"empty", raw(""), kInspect, kData, {"truncated in its IDX header"}},
      {"another type", raw("\0\0\x0d\3"s + sound.substr(4)), kInspect, kData, {"0x0d", "0x08"}},
      {"no dimensions", raw("\0\0\x08\0abc"s), kInspect, kData, {"IDX rank 0"}},
      {"255 dimensions",
       raw("\0\0\x08\xff"s + std::string(1020, '\1')),
       kInspect,
       kData,
       {"IDX rank 255; expected 1 to 64"}},
      {"dimensions cut",
       raw(sound.substr(0, 10)),
       kInspect,
       kData,
       {"truncated in its IDX header"}},
      {"product of 2^93", raw(huge), kInspect, kData, {"overflows 63 bits"}},
      {"rows of 4 GiB",
       raw(bytes({0, 0, 8, 1, 255, 255, 255, 255}) + "x"),
       kInspect,
       kData,
       {"needs 4294967303 bytes, 9 are there"}},
      {"one byte too many", raw(sound + "x"), kInspect, kData, {"oversized", "33 are there"}},
      {"empty gzip", gz(""), kInspect, kData, {"is not gzip data"}},
      {"text called gzip", gz("text"), kInspect, kData, {"is not gzip data"}},
      {"gzip cut", gz(packed.substr(0, packed.size() - 9)), kInspect, kData, {"truncated"}},
      {"gzip damaged", gz(damaged), kInspect, kData, {"gzip data is damaged"}},
      {"bytes after the gzip",
       gz(packed + "more"),
       kInspect,
       kData,
       {"4 bytes follow the end of the gzip data"}},
      {"gzip of nothing", gz(gzipped("")), kInspect, kData, {"truncated in its IDX header"}},
      {"gzip that claims 2^31 bytes",
       gz(gzipped(bytes({0, 0, 8, 1, 127, 255, 255, 255}))),
       kInspect,
       kData,
       {"bytes of gzip data cannot hold"}},
      {"gzip bomb",
       gz(gzipped(sound + std::string(50'000'000, '\0'))),
       kInspect,
       kData,
       {"oversized", "needs 32 bytes, more are there"}},
  });
}

TEST_F(CliHostile, Pictures) {
  const std::string png = png_bytes(scattered_image(6, 6, 3));
  const std::string jpeg = jpeg_bytes(scattered_image(16, 16, 3), TJFLAG_PROGRESSIVE);
  const auto picture = [](const char* name, const std::string& content) {
    return std::map<std::string, std::string>{{"data/"s + name, content}};
  };
  const auto claiming = [&](const char* size) {
    std::string changed = png;
    return changed.replace(16, 8, std::string(size, 8));
  };
  std::string blank = jpeg;  // 16 x 16 that claim to be 16000 x 16000
  const std::size_t frame = blank.find("\xff\xc2");
  blank.replace(frame + 5, 4, "\x3e\x80\x3e\x80");
  std::string scans = jpeg.substr(0, jpeg.size() - 2);
  const std::string scan = scans.substr(scans.rfind("\xff\xda"));
  for (int i = 0; i < 200; ++i) scans += scan;
  std::string records(2 * 3073, '\1');
  records[3073] = '\12';
  expect_refused({
      {"empty", picture("a.png", ""), kInspect, kData, {"a.png (empty)"}},
      {"text", picture("a.png", "hello"), kInspect, kData, {"neither PNG nor JPEG", "'hello'"}},
      {"PNG cut", picture("a.png", png.substr(0, 60)), kInspect, kData, {"a.png (damaged PNG"}},
      {"PNG of 2^62 pixels",
       picture("a.png", claiming("\x7f\xff\xff\xff\x7f\xff\xff\xff")),
       kInspect,
       kData,
       {"claims to be 2147483647x2147483647"}},
      {"PNG of no pixels",
       picture("a.png", claiming("\0\0\0\0\0\0\0\1")),
       kInspect,
       kData,
       {"claims to be 1x0"}},
      {"PNG that 150 bytes cannot hold",
       picture("a.png", claiming("\0\0\x40\0\0\0\x40\0")),
       kInspect,
       kData,
       {"damaged PNG: no", "hold 16384x16384 pixels"}},
      {"JPEG cut", picture("a.jpg", jpeg.substr(0, 300)), kInspect, kData, {"a.jpg ("}},
      {"JPEG that 1 KB cannot hold",
       picture("a.jpg", blank),
       kInspect,
       kData,
       {"bytes hold 256000000 JPEG pixels"}},
      {"JPEG of 200 scans",
       picture("a.jpg", scans + "\xff\xd9"),
       kInspect,
       kData,
       {"scans of 256 pixels, expected at most 64"}},
      {"JPEG without a frame",
       picture("a.jpg", "\xff\xd8\xff\xd9"),
       kInspect,
       kData,
       {"no JPEG frame header"}},
      {"name with a line feed",
       picture("a\n\x1b[31m.png", ""),
       kInspect,
       kData,
       {"a??[31m.png (empty)"}},
      {"CIFAR batch cut",
       picture("data_batch_1.bin", records.substr(1)),
       kInspect,
       kData,
       {"6145 bytes; expected a multiple of 3073"}},
      {"CIFAR label beyond 9",
       picture("data_batch_1.bin", records),
       kInspect,
       kData,
       {"record 1 has label 10; expected 0 to 9"}},
  });
}

}  // namespace
}  // namespace elbo

#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "host/io/atomic_file.hpp"
#include "host/io/gzip.hpp"
#include "host/io/idx.hpp"
#include "host/io/mapped_file.hpp"
#include "host/io/npy.hpp"
#include "host/io/shape.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::size_t entries_of(const fs::path& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator{}));
}

// --- shapes ---------------------------------------------------------------------------------

TEST(Shape, CheckedBytesRefusesWhatDoesNotFit) {
  EXPECT_EQ(checked_bytes(Shape{2, 3}, 4), 24U);
  EXPECT_EQ(checked_bytes(Shape{}, 8), 8U);
  EXPECT_EQ(checked_bytes(Shape{5, 0}, 8), 0U);
  EXPECT_EQ(checked_bytes(Shape{-1, 0}, 8), std::nullopt);
  constexpr std::int64_t kHuge = std::int64_t{1} << 60;
  EXPECT_EQ(checked_bytes(Shape{kHuge}, 4), std::size_t{1} << 62);
  EXPECT_EQ(checked_bytes(Shape{kHuge}, 8), std::nullopt);
  // A zero must not hide an overflow from code that multiplies the extents one by one.
  EXPECT_EQ(checked_bytes(Shape{kHuge, kHuge, 0}, 1), std::nullopt);
}

// --- atomic and mapped files ------------------------------------------------------------------

TEST(AtomicFile, ReplacesTheTargetOnlyOnCommit) {
  TemporaryDirectory directory;
  const fs::path target = directory.write("target", "old");
  {
    AtomicFile file(target);
    file.write("new");
    EXPECT_EQ(read_bytes(target), "old");
  }
  EXPECT_EQ(read_bytes(target), "old");
  EXPECT_EQ(entries_of(directory.path()), 1U) << "the temporary file was left behind";

  write_file_atomically(target, "new");
  EXPECT_EQ(read_bytes(target), "new");
  EXPECT_EQ(entries_of(directory.path()), 1U);
}

TEST(AtomicFile, FollowsLinksAndTakesTheLongestName) {
  TemporaryDirectory directory;
  directory.write("elsewhere/target", "old");
  fs::create_symlink("elsewhere/target", directory / "link");
  write_file_atomically(directory / "link", "new");
  EXPECT_TRUE(fs::is_symlink(directory / "link"));
  EXPECT_EQ(read_bytes(directory / "elsewhere/target"), "new");

  const std::string longest(255, 'n');
  write_file_atomically(directory / longest, "text");
  EXPECT_EQ(read_bytes(directory / longest), "text");
}

TEST(AtomicFile, NamesPathAndReason) {
  TemporaryDirectory directory;
  expect_error<DataError>([&] { AtomicFile file(directory / "missing/file"); },
                          {"missing/file", "cannot create", "No such file or directory"});
  fs::create_directory(directory / "folder");
  expect_error<DataError>([&] { AtomicFile file(directory / "folder"); },
                          {"folder", "not a regular file"});
  if (fs::exists("/dev/full")) {
    expect_error<DataError>([] { AtomicFile file("/dev/full"); }, {"not a regular file"});
  }
}

TEST(AtomicFile, LeavesTheOldFileWhereWritingFails) {
  TemporaryDirectory directory;
  const fs::path target = directory.write("target", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // so that write() fails instead
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text(10000, 'x');
  expect_error<DataError>([&] { write_file_atomically(target, text); },
                          {"target", "cannot write", "File too large"});
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_bytes(target), "old");
  EXPECT_EQ(entries_of(directory.path()), 1U);
}

TEST(MappedFile, MapsWhatIsThere) {
  TemporaryDirectory directory;
  const MappedFile file(directory.write("file", "bytes"));
  ASSERT_EQ(file.bytes().size(), 5U);
  EXPECT_EQ(std::memcmp(file.bytes().data(), "bytes", 5), 0);
  EXPECT_TRUE(MappedFile(directory.write("empty", "")).bytes().empty());
}

TEST(MappedFile, NamesPathAndReason) {
  TemporaryDirectory directory;
  expect_error<DataError>([&] { MappedFile file(directory / "none"); },
                          {"none", "cannot open", "No such file or directory"});
  expect_error<DataError>([&] { MappedFile file(directory.path()); }, {"not a regular file"});
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  expect_error<DataError>([&] { MappedFile file(directory / "fifo"); }, {"not a regular file"});
}

// --- gzip -------------------------------------------------------------------------------------

std::string inflate_all(const std::string& compressed, std::size_t limit) {
  GzipReader reader(std::as_bytes(std::span(compressed)), "file.gz");
  std::string out(limit, '\0');
  out.resize(reader.read(std::as_writable_bytes(std::span(out))));
  return out;
}

TEST(Gzip, InflatesInPiecesAndAcrossMembers) {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += std::to_string(i);
  EXPECT_EQ(inflate_all(gzip(text), text.size() + 1), text);
  EXPECT_EQ(inflate_all(gzip("one") + gzip("") + gzip("two"), 100), "onetwo");

  const std::string compressed = gzip(text);
  GzipReader reader(std::as_bytes(std::span(compressed)), "file.gz");
  std::string pieces;
  std::array<std::byte, 7> piece;
  std::size_t size = 0;
  do {
    size = reader.read(piece);
    pieces.append(reinterpret_cast<const char*>(piece.data()), size);
  } while (size == piece.size());
  EXPECT_EQ(pieces, text);
}

TEST(Gzip, FindsEveryCutAndEveryDamage) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += std::to_string(i * i);
  const std::string whole = gzip(text);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    expect_error<DataError>([&] { inflate_all(whole.substr(0, size), text.size() + 1); },
                            {"file.gz", size < 2 ? "not gzip" : "truncated"});
  }
  std::string damaged = whole;
  damaged[whole.size() - 6] ^= 1;  // in the CRC
  expect_error<DataError>([&] { inflate_all(damaged, text.size() + 1); }, {"damaged"});
  damaged = whole;
  damaged[whole.size() - 2] ^= 1;  // in the length
  expect_error<DataError>([&] { inflate_all(damaged, text.size() + 1); }, {"damaged"});
  expect_error<DataError>([&] { inflate_all(whole + "tail", text.size() + 1); },
                          {"4 bytes follow the end"});
  expect_error<DataError>([&] { inflate_all("plain text", 10); }, {"not gzip"});
}

// --- npy --------------------------------------------------------------------------------------

/// A .npy file with any dict, any data.
std::string npy(const std::string& dict, const std::string& data, int version = 1) {
  std::string bytes = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  const int length_bytes = version == 1 ? 2 : 4;
  for (int i = 0; i < length_bytes; ++i) bytes += static_cast<char>(dict.size() >> 8 * i & 0xff);
  return bytes + dict + data;
}

std::string npy_dict(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

TEST(Npy, RoundTripsEveryTypeItWrites) {
  TemporaryDirectory directory;
  const std::vector<float> floats = {0.0F, -1.5F, 3.25F, 1e30F, -0.0F, 7.0F};
  write_npy(directory / "f.npy", {2, 3}, floats);
  const NpyArray f = open_npy(directory / "f.npy");
  EXPECT_EQ(f.type, NpyType::f32);
  EXPECT_EQ(f.shape, (Shape{2, 3}));
  EXPECT_EQ(std::memcmp(f.data, floats.data(), 24), 0);
  EXPECT_EQ(to_floats(f, "f.npy"), floats);
  // What NumPy itself writes for this array, byte by byte.
  const std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  EXPECT_EQ(
      read_bytes(directory / "f.npy").substr(0, 128),
      "\x93NUMPY\x01"s + '\0' + "v" + '\0' + dict + std::string(117 - dict.size(), ' ') + '\n');

  const std::vector<std::uint8_t> bytes = {0, 128, 255};
  write_npy(directory / "u.npy", {3}, bytes);
  const NpyArray u = open_npy(directory / "u.npy");
  EXPECT_EQ(u.type, NpyType::u8);
  EXPECT_EQ(u.shape, Shape{3});
  EXPECT_EQ(to_integers(u, "u.npy"), (std::vector<std::int32_t>{0, 128, 255}));

  const std::vector<std::int32_t> integers = {-5, 1 << 30};
  write_npy(directory / "i.npy", {2, 1}, integers);
  EXPECT_EQ(to_integers(open_npy(directory / "i.npy"), "i.npy"), integers);

  write_npy(directory / "empty.npy", {0, 4}, std::span<const float>{});
  EXPECT_EQ(open_npy(directory / "empty.npy").shape, (Shape{0, 4}));
}

TEST(Npy, WritesRowsOfWhichItLearnsTheNumberLast) {
  TemporaryDirectory directory;
  const std::vector<std::uint8_t> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const auto bytes = std::as_bytes(std::span(values));
  {
    NpyWriter writer(directory / "never.npy", NpyType::u8, {2});
    writer.append(bytes);
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
  NpyWriter writer(directory / "a.npy", NpyType::u8, {2, 1});
  EXPECT_EQ(writer.rows(), 0);
  writer.append(bytes.first(2));
  writer.append(bytes.first(0));
  writer.append(bytes.subspan(2));
  EXPECT_EQ(writer.rows(), 6);
  writer.commit();
  const NpyArray read = open_npy(directory / "a.npy");
  EXPECT_EQ(read.type, NpyType::u8);
  EXPECT_EQ(read.shape, (Shape{6, 2, 1}));
  EXPECT_EQ(std::memcmp(read.data, values.data(), values.size()), 0);
  NpyWriter labels(directory / "b.npy", NpyType::i32, {});
  labels.append(bytes);
  labels.commit();
  EXPECT_EQ(open_npy(directory / "b.npy").shape, Shape{3});
  NpyWriter none(directory / "c.npy", NpyType::f64, {5});
  none.commit();
  EXPECT_EQ(open_npy(directory / "c.npy").shape, (Shape{0, 5}));
}

TEST(Npy, ReadsAllVersionsAndSpellings) {
  for (int version : {1, 2, 3}) {
    const std::string file =
        npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"|u1\"}", "ab", version);
    const NpyHeader header = read_npy_header(std::as_bytes(std::span(file)), "file.npy");
    EXPECT_EQ(header.type, NpyType::u8);
    EXPECT_EQ(header.shape, Shape{2});
    EXPECT_EQ(header.data_offset, file.size() - 2);
  }
}

TEST(Npy, CopiesWhereDataIsNotAligned) {
  TemporaryDirectory directory;
  const double value = 2.5;
  const std::string data(reinterpret_cast<const char*>(&value), sizeof value);
  std::string dict = npy_dict("<f8", "(1,)");
  for (int padding = 0; padding < 9; ++padding) {
    const NpyArray array = open_npy(directory.write("a.npy", npy(dict, data)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data) % alignof(double), 0U);
    EXPECT_EQ(*static_cast<const double*>(array.data), value);
    dict.back() = ' ';
    dict += '\n';
  }
}

TEST(Npy, ConvertsIntegersAndChecksTheirRange) {
  TemporaryDirectory directory;
  const std::vector<std::int64_t> values = {3, -4, std::int64_t{1} << 31};
  const std::string data(reinterpret_cast<const char*>(values.data()), 24);
  const NpyArray array = open_npy(directory.write("l.npy", npy(npy_dict("<i8", "(3,)"), data)));
  expect_error<DataError>([&] { to_integers(array, "l.npy"); },
                          {"l.npy", "element 2", "2147483648", "32 bits"});
  expect_error<DataError>([&] { to_floats(array, "l.npy"); }, {"<i8", "expected <f4 or <f8"});
  const NpyArray two =
      open_npy(directory.write("2.npy", npy(npy_dict("<i8", "(2,)"), data.substr(0, 16))));
  EXPECT_EQ(to_integers(two, "2.npy"), (std::vector<std::int32_t>{3, -4}));
}

std::vector<Malformed> malformed_npy() {
  const std::string good = npy(npy_dict("|u1", "(2,)"), "ab");
  const auto with = [](const std::string& descr, const std::string& shape) {
    return npy(npy_dict(descr, shape), "ab");
  };
  return {
      {"empty", "", {"not a .npy file"}},
      {"text", "hello, this is text", {"not a .npy file"}},
      {"magic only", "\x93NUMPY", {"truncated"}},
      {"no length", "\x93NUMPY\x01\0"s, {"truncated"}},
      {"version 4", npy(npy_dict("|u1", "(2,)"), "ab", 4), {"version 4", "1, 2 or 3"}},
      {"header cut", good.substr(0, 30), {"truncated", "header claims"}},
      {"header of 4 GiB", "\x93NUMPY\x02\0\xff\xff\xff\xff{"s, {"header claims 4294967295"}},
      {"data cut", good.substr(0, good.size() - 1), {"truncated", "needs 2 bytes", "1 are there"}},
      {"data too long", good + "c", {"oversized", "needs 2 bytes", "3 are there"}},
      {"object", with("|O", "(2,)"), {"object dtype '|O'", "expected |u1, <f4 or <f8"}},
      {"big-endian", with(">f4", "(2,)"), {"big-endian dtype '>f4'", "expected"}},
      {"half", with("<f2", "(1,)"), {"dtype '<f2'", "expected"}},
      {"complex", with("<c8", "(2,)"), {"dtype '<c8'", "expected"}},
      {"text array", with("<U2", "(2,)"), {"dtype '<U2'", "expected"}},
      {"bool", with("|b1", "(2,)"), {"dtype '|b1'", "expected"}},
      {"structured",
       npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "ab"),
       {"structured dtype", "expected"}},
      {"fortran",
       npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2,), }", "ab"),
       {"Fortran order", "C order"}},
      {"scalar", with("|u1", "()"), {"scalar"}},
      {"negative extent", with("|u1", "(-2,)"), {"negative extent -2"}},
      {"extent of 2^60",
       with("<f4", "(1152921504606846976,)"),
       {"truncated", "4611686018427387904"}},
      {"overflowing product", with("<f8", "(1152921504606846976, 16)"), {"overflows 63 bits"}},
      {"overflow behind a zero", with("|u1", "(4294967296, 4294967296, 0)"), {"overflows"}},
      {"extent of 2^70", with("|u1", "(1180591620717411303424,)"), {"below 2^63"}},
      {"extent not a number", with("|u1", "(x,)"), {"malformed"}},
      {"shape not a tuple", with("|u1", "2"), {"expected a tuple"}},
      {"not a dict", npy("['descr', '|u1']", "ab"), {"expected a dict"}},
      {"dict not closed", npy("{'descr': '|u1'", "ab"), {"expected ',' or '}'"}},
      {"string not closed", npy("{'descr: ", "ab"), {"unterminated"}},
      {"key missing", npy("{'descr': '|u1', 'shape': (2,)}", "ab"), {"expected the keys"}},
      {"key twice", npy("{'descr': '|u1', 'descr': '|u1'}", "ab"), {"repeated key 'descr'"}},
      {"key unknown", npy("{'colour': '|u1'}", "ab"), {"unknown", "'colour'"}},
      {"text after the dict", npy(npy_dict("|u1", "(2,)") + "{}", "ab"), {"text after"}},
      {"not a bool", npy("{'fortran_order': 0}", "ab"), {"True or False"}},
      {"empty header", npy("", ""), {"expected a dict"}},
      {"control characters", npy("{'\n\x01': 0}", ""), {"unknown", R"('??')"}},
  };
}

TEST(Npy, NamesWhatIsMalformed) {
  TemporaryDirectory directory;
  for (const Malformed& input : malformed_npy()) {
    SCOPED_TRACE(input.name);
    const fs::path path = directory.write("bad.npy", input.bytes);
    expect_error<DataError>([&] { open_npy(path); }, {"bad.npy"});
    for (const char* word : input.words) {
      expect_error<DataError>([&] { open_npy(path); }, {word});
    }
  }
}

// --- idx --------------------------------------------------------------------------------------

TEST(Idx, RoundTripsRawAndGzipped) {
  TemporaryDirectory directory;
  std::vector<std::uint8_t> values(2 * 300 * 3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * 7);
  write_idx(directory / "raw", {2, 300, 3}, values);
  const std::string bytes = read_bytes(directory / "raw");
  EXPECT_EQ(bytes.substr(0, 16), "\0\0\x08\x03\0\0\0\x02\0\0\x01\x2c\0\0\0\x03"s);

  for (const fs::path& path : {directory / "raw", directory.write("file.gz", gzip(bytes)),
                               directory.write("gzipped-without-suffix", gzip(bytes))}) {
    const IdxArray array = open_idx(path);
    EXPECT_EQ(array.shape, (Shape{2, 300, 3}));
    EXPECT_EQ(std::memcmp(array.data, values.data(), values.size()), 0);
  }
  write_idx(directory / "empty", {0, 3}, {});
  EXPECT_EQ(open_idx(directory / "empty").shape, (Shape{0, 3}));
}

TEST(Idx, NamesWhatIsMalformed) {
  const std::string good = "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"s + "abcdef";
  const std::string huge = "\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff"s;  // just below 2^64
  const std::string large = "\0\0\x08\x02\x3f\xff\xff\xff\x40\0\0\0"s;       // just below 2^60
  std::vector<Malformed> inputs = {
      {"empty", "", {"truncated", "header"}},
      {"magic cut", "\0\0\x08"s, {"truncated", "header"}},
      {"dimensions cut", good.substr(0, 10), {"truncated", "header"}},
      {"data cut", good.substr(0, good.size() - 1), {"truncated", "2x3", "needs 18", "17 are"}},
      {"data too long", good + "g", {"oversized", "2x3", "needs 18"}},
      {"wrong magic", "IDX!"s + good, {"wrong magic", "0x49 0x44", "0x00 0x00"}},
      {"little-endian magic", "\x03\x08\0\0"s + good, {"wrong magic", "0x03 0x08"}},
      {"float elements", "\0\0\x0d\x02"s + good.substr(4), {"type 0x0d", "expected 0x08"}},
      {"rank 0", "\0\0\x08\0"s, {"rank 0"}},
      {"2^64 bytes", huge, {"overflows"}},
      {"2^60 bytes", large, {"truncated", "needs 1152921503533105164"}},
      {"rank 64", "\0\0\x08\x40"s + std::string(256, '\xff'), {"overflows"}},
      {"rank 65", "\0\0\x08\x41"s + std::string(260, '\xff'), {"rank 65", "1 to 64"}},
      {"rank 255", "\0\0\x08\xff"s + std::string(1020, '\xff'), {"rank 255", "1 to 64"}},
  };
  TemporaryDirectory directory;
  for (const Malformed& input : inputs) {
    SCOPED_TRACE(input.name);
    const fs::path raw = directory.write("bad-ubyte", input.bytes);
    const fs::path zipped = directory.write("bad-ubyte.gz", gzip(input.bytes));
    expect_error<DataError>([&] { open_idx(raw); }, {"bad-ubyte: "});
    expect_error<DataError>([&] { open_idx(zipped); }, {"bad-ubyte.gz: "});
    for (const char* word : input.words) {
      expect_error<DataError>([&] { open_idx(raw); }, {word});
      if (std::string(word).find("needs 115") == 0) continue;
      expect_error<DataError>([&] { open_idx(zipped); }, {word});
    }
  }
  const fs::path zipped = directory.write("x.gz", gzip(large));
  expect_error<DataError>([&] { open_idx(zipped); }, {"truncated", "gzip data cannot hold"});
  const std::string whole = gzip(good);
  const fs::path cut = directory.write("cut.gz", whole.substr(0, whole.size() - 3));
  expect_error<DataError>([&] { open_idx(cut); }, {"cut.gz", "truncated"});
  expect_error<DataError>([&] { open_idx(directory.write("plain.gz", good)); }, {"not gzip"});
}

}  // namespace
}  // namespace elbo

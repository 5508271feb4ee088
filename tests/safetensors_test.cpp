#include "host/io/safetensors.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"
#include "tests/made_files.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

TEST(Safetensors, RoundTripsAndIsDeterministic) {
  TemporaryDirectory directory;
  const std::vector<float> weights = {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F};
  const std::vector<std::int64_t> step = {1234567890123};
  const std::vector<std::uint8_t> key = {1, 2, 3};
  const std::vector<TensorView> tensors = {
      {"z.weight", TensorType::f32, {2, 3}, std::as_bytes(std::span(weights))},
      {"key", TensorType::u8, {3}, std::as_bytes(std::span(key))},
      {"a.bias", TensorType::f32, {0}, {}},
      {"step", TensorType::i64, {}, std::as_bytes(std::span(step))},
  };
  const TensorMetadata metadata = {{"recipe", "vae"}, {"path", "not utf-8: \xff \"quoted\""}};
  write_safetensors(directory / "a", tensors, metadata);
  write_safetensors(directory / "b", tensors, metadata);
  EXPECT_EQ(read_bytes(directory / "a"), read_bytes(directory / "b"));

  const SafetensorsFile file(directory / "a");
  ASSERT_EQ(file.tensors().size(), 4U);
  const char* order[] = {"step", "z.weight", "a.bias", "key"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(file.tensors()[i].name, order[i]);
    const auto address = reinterpret_cast<std::uintptr_t>(file.tensors()[i].data.data());
    EXPECT_EQ(address % size_of(file.tensors()[i].type), 0U);
  }
  EXPECT_EQ(file.metadata().at("recipe"), "vae");
  EXPECT_EQ(file.metadata().size(), 3U);  // and the checksum
  EXPECT_EQ(file.find("none"), nullptr);

  std::vector<float> loaded(6);
  file.read("z.weight", {2, 3}, loaded);
  EXPECT_EQ(loaded, weights);
  std::int64_t loaded_step = 0;
  file.read("step", TensorType::i64, {}, std::as_writable_bytes(std::span(&loaded_step, 1)));
  EXPECT_EQ(loaded_step, step[0]);
  expect_error<DataError>(
      [&] {
        file.read("z.weight", {3, 2}, loaded);
      },
      {"'z.weight' is F32 of shape 2x3", "expected F32 of shape 3x2"});
  expect_error<DataError>([&] { file.read("w", {3, 2}, loaded); }, {"no tensor 'w'"});
}

TEST(Safetensors, WritesTheDocumentedBytes) {
  TemporaryDirectory directory;
  const std::uint8_t value = 'x';
  write_safetensors(directory / "a",
                    {{"t", TensorType::u8, {1}, std::as_bytes(std::span(&value, 1))}}, {});
  // The checksum as Python's zlib.crc32 has it, of these bytes with eight zeros in its place.
  const std::string header = R"({"__metadata__":{"checksum":"710d382f"},)"
                             R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(read_bytes(directory / "a"), safetensors_of(header + "    ", "x"));
}

TEST(Safetensors, NamesWhatIsMalformed) {
  const auto tensor = [](const std::string& shape, const std::string& offsets) {
    return R"("t":{"dtype":"U8","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const auto file = [&](const std::string& body) {
    return safetensors_of("{" + body + "}", "abcd");
  };
  const std::string good = file(tensor("[4]", "[0,4]"));
  const std::string second = R"("s":{"dtype":"U8","shape":[2],"data_offsets":)";
  const std::vector<Malformed> inputs = {
      {"empty", "", {"truncated"}},
      {"length cut", "\x08\0\0"s, {"truncated"}},
      {"header cut", good.substr(0, 20), {"header claims", "after the length"}},
      {"header of 2^60", "\0\0\0\0\0\0\0\x10{}"s, {"header claims 1152921504606846976"}},
      {"header of 2^64", "\xff\xff\xff\xff\xff\xff\xff\xff{}"s, {"header claims"}},
      {"not json", safetensors_of("{\"t\": ", ""), {"malformed header", "parse error"}},
      {"nothing", safetensors_of("", ""), {"malformed header"}},
      {"list", safetensors_of("[]", ""), {"not an object"}},
      {"two values", safetensors_of("{} {}", ""), {"malformed header"}},
      {"not utf-8", safetensors_of("{\"\xff\":1}", ""), {"malformed header"}},
      {"nested", safetensors_of("{\"t\":" + std::string(100000, '['), ""), {"nested too deeply"}},
      {"repeated name",
       file(tensor("[4]", "[0,4]") + "," + tensor("[4]", "[0,4]")),
       {"repeated key 't'"}},
      {"repeated field", file(R"("t":{"dtype":"U8","dtype":"U8"})"), {"repeated key 'dtype'"}},
      {"entry not an object", file("\"t\":3"), {"'t'", "expected exactly dtype"}},
      {"extra field",
       file(R"("t":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1})"),
       {"expected exactly dtype"}},
      {"unknown dtype",
       file(R"("t":{"dtype":"Q7","shape":[4],"data_offsets":[0,4]})"),
       {"unknown dtype", "Q7"}},
      {"dtype not a string",
       file(R"("t":{"dtype":8,"shape":[4],"data_offsets":[0,4]})"),
       {"unknown dtype"}},
      {"negative shape", file(tensor("[-4]", "[0,4]")), {"shape is not a list"}},
      {"fractional shape", file(tensor("[4.0]", "[0,4]")), {"shape is not a list"}},
      {"shape of 2^64", file(tensor("[18446744073709551615]", "[0,4]")), {"shape is not a list"}},
      {"shape of 2^60", file(tensor("[1152921504606846976]", "[0,4]")), {"do not match"}},
      {"overflowing shape", file(tensor("[4294967296,4294967296]", "[0,0]")), {"do not match"}},
      {"shape too small", file(tensor("[3]", "[0,4]")), {"4 bytes do not match U8 of shape 3"}},
      {"three offsets", file(tensor("[4]", "[0,4,4]")), {"data_offsets is not a pair"}},
      {"backwards", file(tensor("[4]", "[4,0]")), {"not within"}},
      {"beyond the end", file(tensor("[5]", "[0,5]")), {"not within the 4 bytes"}},
      {"gap at the start", file(tensor("[3]", "[1,4]")), {"starts at byte 1", "expected 0"}},
      {"gap", file(tensor("[1]", "[0,1]") + "," + second + "[2,4]}"), {"'s' starts at byte 2"}},
      {"overlap", file(tensor("[3]", "[0,3]") + "," + second + "[2,4]}"), {"starts at byte 2"}},
      {"oversized", file(tensor("[3]", "[0,3]")), {"oversized", "1 bytes belong to no tensor"}},
      {"no tensors, data", safetensors_of("{}", "abcd"), {"oversized"}},
      {"metadata a list", file("\"__metadata__\":[]," + tensor("[4]", "[0,4]")), {"not an object"}},
      {"metadata number",
       file("\"__metadata__\":{\"a\":1}," + tensor("[4]", "[0,4]")),
       {"metadata 'a' is not a string"}},
  };
  TemporaryDirectory directory;
  EXPECT_EQ(SafetensorsFile(directory.write("good", good)).tensors().size(), 1U);
  for (const Malformed& input : inputs) {
    SCOPED_TRACE(input.name);
    const fs::path path = directory.write("bad.safetensors", input.bytes);
    for (const char* word : input.words) {
      expect_error<DataError>([&] { SafetensorsFile opened(path); }, {"bad.safetensors", word});
    }
  }
}

}  // namespace
}  // namespace elbo

// Malformed and hostile checkpoints and settings as input of the elbo program.
#include "tests/hostile.hpp"

namespace elbo {
namespace {

TEST_F(CliHostile, Safetensors) {
  const auto file = [](const std::string& content) {
    return std::map<std::string, std::string>{
        {"model.safetensors", content},
        {"data/train.npy", npy("<f4", false, "2, 2", floats({0, 0.25f, 0.5f, 1}))}};
  };
  const auto tensor = [](const std::string& shape, const std::string& offsets) {
    return R"("t":{"dtype":"U8","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  std::string keys = "{\"__metadata__\":{";
  for (int i = 0; i < 200000; ++i) keys += "\"" + std::to_string(i) + "\":\"\",";
  std::string names = "{";
  for (int i = 0; i < 200000; ++i)
    names += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
             R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused({
      {"empty", file(""), kLoaded, kData, {"truncated"}},
      {"header of 2^64 bytes",
       file(std::string(8, '\xff') + "{}"),
       kLoaded,
       kData,
       {"header claims 18446744073709551615 bytes; the file has 2"}},
      {"header of all memory",
       file("\0\0\0\0\x10\0\0\0{}"s),
       kLoaded,
       kData,
       {"header claims 68719476736"}},
      {"header longer than the file",
       file("\xe8\3\0\0\0\0\0\0{}"s),
       kLoaded,
       kData,
       {"header claims 1000 bytes; the file has 2"}},
      {"no JSON", file(safetensors_of("{\"t\":")), kLoaded, kData, {"malformed header"}},
      {"a list", file(safetensors_of("[]")), kLoaded, kData, {"not an object"}},
      {"nested a million times",
       file(safetensors_of("{\"t\":" + std::string(1'000'000, '['))),
       kLoaded,
       kData,
       {"nested too deeply"}},
      {"name twice",
       file(safetensors_of("{" + tensor("[1]", "[0,1]") + "," + tensor("[1]", "[0,1]") + "}", "x")),
       kLoaded,
       kData,
       {"repeated key 't'"}},
      {"200000 keys",
       file(safetensors_of(keys + "\"a\":1}}")),
       kLoaded,
       kData,
       {"'a' is not a str"}},
      {"200000 tensors", file(safetensors_of(names + "}")), kLoaded, kData, {"not a checkpoint"}},
      {"shape that overflows",
       file(safetensors_of("{" + tensor("[4294967296,4294967296]", "[0,0]") + "}")),
       kLoaded,
       kData,
       {"do not match U8 of shape 4294967296x4294967296"}},
      {"negative offsets",
       file(safetensors_of("{" + tensor("[1]", "[-1,0]") + "}", "x")),
       kLoaded,
       kData,
       {"data_offsets is not a pair of non-negative integers"}},
      {"offsets beyond the end",
       file(safetensors_of("{" + tensor("[9]", "[0,9]") + "}", "x")),
       kLoaded,
       kData,
       {"not within the 1 bytes of data"}},
      {"tensors over each other",
       file(safetensors_of("{" + tensor("[2]", "[0,2]") + R"(,"s":{"dtype":"U8","shape":[2],)" +
                               R"("data_offsets":[1,3]}})",
                           "xyz")),
       kLoaded,
       kData,
       {"starts at byte 1 of the data; expected 2"}},
      {"name that climbs out",
       file(safetensors_of(R"({"../../x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")),
       kLoaded,
       kData,
       {"not a checkpoint"}},
      {"name with a line feed",
       file(safetensors_of(R"({"a\nb":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}})", "x")),
       kLoaded,
       kData,
       {"tensor 'a?b': unknown dtype"}},
  });
}

/// Returns a checkpoint without tensors. `metadata` overrides the valid default entries.
std::string checkpoint_of(std::map<std::string, std::string> metadata) {
  metadata.merge(std::map<std::string, std::string>{{"format", "elbo-checkpoint"},
                                                    {"version", "2"},
                                                    {"config", "hidden = [3]\\nlatent-dim = 2"},
                                                    {"data_shape", "2"},
                                                    {"data_dtype", "f32"},
                                                    {"classes", "0"},
                                                    {"step", "0"},
                                                    {"epoch", "0"},
                                                    {"best_score", "-inf"},
                                                    {"best_epoch", "0"}});
  std::string header;
  for (const auto& [key, value] : metadata)
    header += (header.empty() ? "\"" : ",\"") + key + "\":\"" + value + "\"";
  return safetensors_of("{\"__metadata__\":{" + header + "}}");
}

TEST_F(CliHostile, CheckpointMetadata) {
  const auto file = [](const std::string& key, const std::string& value) {
    return std::map<std::string, std::string>{
        {"model.safetensors", checkpoint_of({{key, value}})},
        {"data/train.npy", npy("<f4", false, "2, 2", floats({0, 0.25f, 0.5f, 1}))}};
  };
  expect_refused({
      {"another version", file("version", "99"), kLoaded, kData, {"checkpoint version '99'"}},
      {"shape of nothing", file("data_shape", ""), kLoaded, kData, {"'data_shape' is ''"}},
      {"negative shape", file("data_shape", "-2"), kLoaded, kData, {"'data_shape' is '-2'"}},
      {"shape of 2^40",
       file("data_shape", "1048576,1048576"),
       kLoaded,
       kData,
       {"'data_shape' is '1048576,1048576'"}},
      {"inspected shape of 2^31",
       file("data_shape", "2147483648"),
       {"inspect", "model.safetensors"},
       kData,
       {"'data_shape' is '2147483648'"}},
      {"another type", file("data_dtype", "O"), kLoaded, kData, {"'data_dtype' is 'O'"}},
      {"classes without a classifier", file("classes", "3"), kLoaded, kData, {"'classes' is 3"}},
      {"negative step", file("step", "-1"), kLoaded, kData, {"'step' is '-1', expected a number"}},
      {"step of 2^64",
       file("step", "18446744073709551616"),
       kLoaded,
       kData,
       {"'step' is '18446744073709551616'"}},
      {"setting that is none",
       file("config", "[out]\\npath = '../../x'"),
       kLoaded,
       kData,
       {"damaged settings", "unknown setting 'out'"}},
      {"model of terabytes",
       file("config", "hidden = [1000000, 1000000]"),
       kLoaded,
       kData,
       {"no tensor 'encoder.0.weight'; expected one, F32 of shape"}},
      {"layers without end",
       file("config", "hidden = '" + std::string(8000, '1').replace(1, 1, ",") + "'"),
       kLoaded,
       kData,
       {"damaged settings", "hidden: got"}},
      {"no weights", file("step", "1"), kLoaded, kData, {"no tensor 'encoder.0.weight'"}},
  });
}

TEST_F(CliHostile, Settings) {
  const auto file = [](const std::string& text) {
    return std::map<std::string, std::string>{
        {"settings.toml", text},
        {"data/train.npy", npy("<f4", false, "2, 2", floats({0, 0.25f, 0.5f, 1}))}};
  };
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  expect_refused({
      {"key twice", file("epochs = 1\nepochs = 2\n"), kConfigured, kUsage, {"settings.toml:2"}},
      {"tables in tables",
       file("a" + repeated(".a", 200000) + " = 1\n"),
       kConfigured,
       kUsage,
       {"400006 bytes of settings, expected at most 16384"}},
      {"tables in tables that fit",
       file("a" + repeated(".a", 8000) + " = 1\n"),
       kConfigured,
       kUsage,
       {"unknown setting 'a'"}},
      {"arrays in arrays", file("hidden = " + repeated("[", 8000)), kConfigured, kUsage, {":1:"}},
      {"larger than settings are",
       file(repeated("# nothing\n", 100000)),
       kConfigured,
       kUsage,
       {"1000000 bytes of settings"}},
      {"device without an end",
       file(""),
       {"train", "data", "--out", "out", "--config", "/dev/zero"},
       kUsage,
       {"/dev/zero", "not a regular file"}},
      {"integer of 2^64",
       file("epochs = 18446744073709551616\n"),
       kConfigured,
       kUsage,
       {"settings.toml:1"}},
      {"integer of 2^62",
       file("batch-size = 4611686018427387904\n"),
       kConfigured,
       kUsage,
       {"batch-size: got"}},
      {"infinity", file("beta = inf\n"), kConfigured, kUsage, {"beta: got 'inf'"}},
      {"layers without end",
       file("hidden = [" + repeated("1,", 5000) + "]\n"),
       kConfigured,
       kUsage,
       {"hidden: got '5000 numbers', expected at most 256"}},
      {"key with a line feed",
       file("\"a\\nb\" = 1\n"),
       kConfigured,
       kUsage,
       {"unknown setting 'a?b'"}},
      {"value with a terminal's sequences",
       file("recipe = \"\\u001b[31mvae\\n\"\n"),
       kConfigured,
       kUsage,
       {"?[31mvae?"}},
      {"key of 10000 letters",
       file(repeated("x", 10000) + " = 1\n"),
       kConfigured,
       kUsage,
       {"unknown setting 'xxxx", "...'"}},
      {"letters outside of quotes",
       file("epochs = 1\n\u00e9pochs = 1\n"),
       kConfigured,
       kUsage,
       {"settings.toml:2: "}},
      {"string of several lines",
       file("recipe = \"\"\"\\\n\u00a7\"\"\"\n"),
       kConfigured,
       kUsage,
       {"unknown recipe"}},
      {"no UTF-8",
       file("epochs = \"\xff\xfe\"\n"),
       kConfigured,
       kUsage,
       {"epochs: got", "expected a whole number"}},
  });
}

}  // namespace
}  // namespace elbo

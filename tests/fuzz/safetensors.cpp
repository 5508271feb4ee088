#include "host/io/safetensors.hpp"

#include "tests/fuzz/inputs.hpp"
#include "tests/made_files.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const MemoryFile memory(input);
  const SafetensorsFile file(memory.path());
  std::size_t data = 0;
  for (const TensorView& tensor : file.tensors()) {
    touch(tensor.data);
    data += tensor.data.size();
    std::vector<std::byte> copy(tensor.data.size());
    file.read(tensor.name, tensor.type, tensor.shape, copy);
  }
  if (data > input.size()) throw std::logic_error("tensors that overlap");
}

std::vector<std::string> seeds() {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<TensorView> tensors = {
      {"encoder.weight", TensorType::f32, {2, 3}, std::as_bytes(std::span(values))},
      {"scalar", TensorType::f32, {}, std::as_bytes(std::span(values).first(1))},
      {"none", TensorType::i64, {0, 4}, {}},
      {"bytes", TensorType::u8, {4}, std::as_bytes(std::span(values).first(1))}};
  const std::string sound = unchecked(file_of([&](const auto& path) {
    write_safetensors(path, tensors, {{"format", "test"}});
  }));
  // A DOM that keeps the order of keys looks each of them up among all others.
  std::string keys = "{\"__metadata__\":{";
  for (int i = 0; i < 100000; ++i) keys += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  std::string names = "{";
  for (int i = 0; i < 50000; ++i)
    names += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
             R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  std::string extents;
  for (int i = 0; i < 100000; ++i) extents += "1,";
  return {sound, safetensors_of(keys + "}}"), safetensors_of(names + "}"),
          safetensors_of(
              R"({"a":{"dtype":"U8","shape":[)" + extents + R"(1],"data_offsets":[0,1]}})", "x"),
          safetensors_of(R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}")};
}

}  // namespace

const Target kSafetensors = {"safetensors", 4096, 64, 1 << 17, parse, seeds};

}  // namespace elbo::fuzz

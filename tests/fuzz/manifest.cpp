// The manifest of an entry in the cache of decoded pictures.
#include <stdexcept>

#include "host/data/packed_cache.hpp"
#include "host/io/file_error.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

const std::vector<std::uint8_t> kRows = {1, 2, 3, 4, 5, 6, 7, 8};
const std::vector<std::int32_t> kLabels = {0, 1};

/// An entry with arrays of two rows and the input as its manifest; a damaged entry is not packed
/// again.
void parse(Bytes input) {
  const Scratch scratch;
  const ImageOptions options{.cache = scratch.path()};
  const PackedKey key("fuzz", options);
  const std::filesystem::path entry = scratch.path() / key.name();
  std::filesystem::create_directory(entry);
  write_npy(entry / "train.npy", {2, 2, 2}, std::span(kRows));
  write_npy(entry / "train_labels.npy", {2}, std::span(kLabels));
  scratch.write(key.name() + "/manifest.json", input);
  const auto tables = open_packed(key, "source", options, [](PackedWriter&) -> PackedManifest {
    fail_file("source", "the entry is damaged");
  });
  if (tables.size() != 1 || tables[0].labels != kLabels) throw std::logic_error("other arrays");
}

std::vector<std::string> seeds() {
  const std::string splits = R"("splits":{"train":{"shape":[2,2,2],"labelled":true}})";
  const std::string start = R"({"format":"elbo packed pictures","version":2,)";
  std::string keys = start;
  for (int i = 0; i < 100000; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  return {start + R"("source":"/x","pictures":3,"classes":["a","b"],)" + splits +
              R"(,"left_out":[{"name":"c.png","reason":"empty"}]})",
          start + R"("pictures":2,"splits":[],"left_out":[]})",
          start + R"("pictures":-1,)" + splits + R"(,"left_out":{"name":1}})",
          keys + R"("pictures":2,)" + splits + R"(,"left_out":[]})", std::string(100000, '[')};
}

}  // namespace

const Target kManifest = {"manifest", 4096, 64, 1 << 20, parse, seeds};

}  // namespace elbo::fuzz

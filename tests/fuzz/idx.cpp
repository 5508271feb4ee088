#include "host/io/idx.hpp"

#include "host/io/gzip.hpp"
#include "tests/fuzz/inputs.hpp"
#include "tests/made_files.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const MemoryFile file(input);
  const IdxArray array = open_idx(file.path());
  touch({reinterpret_cast<const std::byte*>(array.data),
         static_cast<std::size_t>(element_count(array.shape))});
}

std::vector<std::string> seeds() {
  const std::vector<std::uint8_t> values = {0, 1, 2, 3, 254, 255};
  const auto written = [&](const Shape& shape) {
    return file_of([&](const auto& path) {
      write_idx(path, shape,
                std::span(values).first(static_cast<std::size_t>(element_count(shape))));
    });
  };
  const std::string images = written({1, 2, 3});
  std::string huge = images;
  huge.replace(4, 12, 12, '\x7f');
  return {images,          written({6}),  written({0, 28, 28}),         huge,
          gzipped(images), gzipped(huge), gzipped(images) + gzipped("")};
}

}  // namespace

const Target kIdx = {"idx", 4096, kLargestInflation, 1 << 17, parse, seeds};

}  // namespace elbo::fuzz

#include "host/io/gzip.hpp"

#include "tests/fuzz/inputs.hpp"
#include "tests/made_files.hpp"

namespace elbo::fuzz {
namespace {

/// In pieces whose size is the first byte.
void parse(Bytes input) {
  if (input.empty()) return;
  std::vector<std::byte> piece(1 + std::to_integer<std::size_t>(input.front()));
  const Bytes data = input.subspan(1);
  GzipReader reader(data, "input");
  std::size_t total = 0;
  for (std::size_t count = piece.size(); count == piece.size(); total += count)
    count = reader.read(piece);
  if (total > kLargestInflation * data.size())
    throw std::logic_error("inflated by more than kLargestInflation");
}

std::vector<std::string> seeds() {
  const std::string all = gzipped("some text, and some text"),
                    zeros = gzipped(std::string(5000, '\0'));
  std::string members;
  for (int i = 0; i < 100; ++i) members += gzipped("");
  return {"\7" + all, "\377" + zeros, "\1" + all + zeros, "\7" + members, "\7" + all + "more"};
}

}  // namespace

const Target kGzip = {"gzip", 4096, 1, 1 << 16, parse, seeds};

}  // namespace elbo::fuzz

#include "host/io/exif.hpp"

#include <stdexcept>

#include "tests/fuzz/inputs.hpp"
#include "tests/pictures.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const int orientation = exif_orientation(input);
  if (orientation < 1 || orientation > 8) throw std::logic_error("no orientation");
}

std::vector<std::string> seeds() {
  return {exif_block(6, false), exif_block(3, true), exif_block(9, true)};
}

}  // namespace

const Target kExif = {"exif", 1024, 0, 1 << 12, parse, seeds};

}  // namespace elbo::fuzz

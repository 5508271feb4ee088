#include "host/io/npy.hpp"

#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

void parse(Bytes input) {
  const MemoryFile file(input);
  const NpyArray array = open_npy(file.path());
  touch({static_cast<const std::byte*>(array.data),
         static_cast<std::size_t>(element_count(array.shape)) * size_of(array.type)});
  if (is_integer(array.type))
    to_integers(array, file.path());
  else
    to_floats(array, file.path());
}

/// The array with a header of a later version, whose length takes four bytes.
std::string of_version(char version, const std::string& npy) {
  std::string changed = npy;
  changed[6] = version;
  return changed.insert(10, 2, '\0');
}

std::vector<std::string> seeds() {
  const std::vector<float> floats = {0.0F, 0.5F, 1.0F, -2.0F, 3.0F, 4.0F};
  const std::vector<std::uint8_t> bytes = {0, 1, 2, 3, 254, 255};
  const std::vector<std::int32_t> integers = {-1, 0, 1, 2, 3, 1 << 30};
  const std::string six = file_of([&](const auto& path) {
    write_npy(path, {2, 3}, std::span(floats));
  });
  std::string dimensions(64 * 1024, ' ');
  for (std::size_t i = 0; i + 1 < dimensions.size(); i += 2) dimensions.replace(i, 2, "1,");
  std::string of_many = std::string("\x93NUMPY\2\0\0\0\1\0", 12) +
                        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + dimensions + "), }";
  of_many[8] = static_cast<char>((of_many.size() - 12) & 0xff);
  return {six,
          of_version(2, six),
          of_version(3, six),
          file_of([&](const auto& path) { write_npy(path, {6}, std::span(bytes)); }),
          file_of([&](const auto& path) {
            write_npy(path, {1, 2, 3}, std::span(integers));
          }),
          file_of([&](const auto& path) {
            write_npy(path, {0, 3}, std::span<const float>());
          }),
          of_many + '\1'};
}

}  // namespace

const Target kNpy = {"npy", 4096, 16, 1 << 16, parse, seeds};

}  // namespace elbo::fuzz

#include "host/data/dataset.hpp"

#include <array>
#include <utility>

#include "host/data/factors.hpp"
#include "host/io/idx.hpp"
#include "host/io/npy.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

constexpr std::array<std::array<const char*, 2>, 6> kNames = {{
    {"train.npy", "train_labels.npy"},
    {"train.npy", "test.npy"},
    {"train.npy", "train-factors.npy"},
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"},
    {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"},
}};

/// Two files that belong together: their kind, the length of the first, and both contents.
void parse(Bytes input) {
  if (input.size() < 3) return;
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(input[i]); };
  const Bytes both = input.subspan(3);
  const std::size_t first = std::min(both.size(), byte(1) | byte(2) << 8);
  const auto& names = kNames[byte(0) % kNames.size()];
  const Scratch scratch;
  scratch.write(names[0], both.first(first));
  scratch.write(names[1], both.subspan(first));
  const Dataset data = Dataset::open(scratch.path());
  const Split& all = data.split("all");
  touch({static_cast<const std::byte*>(all.rows),
         static_cast<std::size_t>(all.row_count * data.dim()) * size_of(data.dtype())});
  if (!all.labels.empty() && std::ssize(all.labels) != all.row_count)
    throw std::logic_error("not one label for each row");
  data.describe();
  find_factors(data, all);
}

std::vector<std::string> seeds() {
  const std::vector<float> floats = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const std::vector<std::uint8_t> bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const std::vector<std::int32_t> integers = {0, 1, 2};
  const std::string rows = file_of([&](const auto& path) {
    write_npy(path, {3, 4}, std::span(floats));
  });
  const std::string labels =
      file_of([&](const auto& path) { write_npy(path, {3}, std::span(integers)); });
  const std::string images = file_of([&](const auto& path) { write_idx(path, {3, 2, 2}, bytes); });
  const std::string idx_labels =
      file_of([&](const auto& path) { write_idx(path, {3}, std::span(bytes).first(3)); });
  std::vector<std::string> all;
  const auto add = [&](char which, const std::string& first, const std::string& second) {
    all.push_back(std::string{which, static_cast<char>(first.size() & 0xff),
                              static_cast<char>(first.size() >> 8)} +
                  first + second);
  };
  add(0, rows, labels);
  add(1, rows, rows);
  add(2, rows, rows);
  add(3, images, idx_labels);
  add(4, images, images);
  add(5, images, images);
  return all;
}

}  // namespace

const Target kDataset = {"dataset", 2048, 1032, 1 << 20, parse, seeds};

}  // namespace elbo::fuzz

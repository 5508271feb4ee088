// The binary batches of CIFAR-10 as a data set.
#include <algorithm>

#include "host/data/dataset.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"
#include "tests/pictures.hpp"

namespace elbo {
namespace {

constexpr size_t kRecord = 3073;

struct Record {
  int label;
  Image image;  // 32 x 32 x 3
};

Record record(int seed, int label) { return {label, scattered_image(32, 32, 3, seed)}; }

/// Returns the records in CIFAR-10's format: label, red plane, green plane, blue plane.
std::string bytes_of(const std::vector<Record>& records) {
  std::string bytes;
  for (const auto& [label, image] : records) {
    bytes += static_cast<char>(label);
    for (size_t colour = 0; colour < 3; ++colour)
      for (size_t i = colour; i < image.pixels.size(); i += 3)
        bytes += static_cast<char>(image.pixels[i]);
  }
  return bytes;
}

class Cifar : public testing::Test {
 protected:
  Dataset open(std::string_view path = "data", ImageOptions images = {}) {
    images.cache = directory_ / "cache";
    return Dataset::open(directory_ / path, {.validation_fraction = 0.0, .images = images});
  }
  void expect_refused(const std::string& bytes, std::initializer_list<std::string_view> words) {
    directory_.write("data/data_batch_2.bin", bytes);
    expect_error<DataError>([&] { open(); }, words);
    EXPECT_FALSE(std::filesystem::exists(directory_ / "cache"));
  }

  TemporaryDirectory directory_;
};

TEST_F(Cifar, ReadsBatchesInOrder) {
  directory_.write("data/data_batch_2.bin", bytes_of({record(3, 0)}));
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 9), record(2, 4)}));
  directory_.write("data/test_batch.bin", bytes_of({record(4, 7)}));
  directory_.write("data/batches.meta.txt", "airplane\n");
  const Dataset data = open();
  EXPECT_EQ(data.sample_shape(), (Shape{32, 32, 3}));
  EXPECT_EQ(data.split("train").labels, (std::vector<int32_t>{9, 4, 0}));
  EXPECT_EQ(data.split("test").labels, (std::vector<int32_t>{7}));
  const auto expect_row = [&](const char* split, int64_t i, const Record& wanted) {
    const auto* rows = static_cast<const uint8_t*>(data.split(split).rows) + i * data.dim();
    EXPECT_TRUE(std::equal(rows, rows + data.dim(), wanted.image.pixels.begin())) << split << i;
  };
  expect_row("train", 0, record(1, 9));
  expect_row("train", 1, record(2, 4));
  expect_row("train", 2, record(3, 0));
  expect_row("test", 0, record(4, 7));
}

TEST_F(Cifar, ReadsSeveralBlocks) {
  std::vector<Record> records;
  for (int i = 0; i < 1100; ++i) records.push_back(record(i, i % 10));
  directory_.write("data/data_batch_1.bin", bytes_of(records));
  const Dataset data = open();
  const auto* row = static_cast<const uint8_t*>(data.split("train").rows);
  for (size_t i = 0; i < records.size(); ++i, row += data.dim()) {
    ASSERT_TRUE(std::equal(row, row + data.dim(), records[i].image.pixels.begin())) << i;
    ASSERT_EQ(data.split("train").labels[i], records[i].label);
  }
}

TEST_F(Cifar, AppliesImageOptions) {
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 9)}));
  const Dataset data = open("data", {.size = 16, .channels = ImageChannels::grey});
  EXPECT_EQ(data.sample_shape(), (Shape{16, 16}));
  const std::vector<uint8_t> wanted = fitted_square(to_grey(record(1, 9).image), 16).pixels;
  EXPECT_TRUE(std::ranges::equal(
      std::span(static_cast<const uint8_t*>(data.split("train").rows), 256), wanted));
}

TEST_F(Cifar, ReadsASingleFile) {
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 9)}));
  EXPECT_EQ(open("data/data_batch_1.bin").split("train").size(), 1);
}

TEST_F(Cifar, DetectsAChangedBatch) {
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 9)}));
  EXPECT_EQ(open().split("train").labels[0], 9);
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 8)}));
  EXPECT_EQ(open().split("train").labels[0], 8);
}

TEST_F(Cifar, RejectsMalformedBatches) {
  directory_.write("data/data_batch_1.bin", bytes_of({record(1, 9)}));
  const std::string whole = bytes_of({record(1, 0), record(2, 9), record(3, 1)});
  expect_refused(whole.substr(1), {"data_batch_2.bin", "9218 bytes", "multiple of 3073"});
  expect_refused("", {"data_batch_2.bin", "0 bytes"});
  std::string labelled = whole;
  labelled[2 * kRecord] = 10;
  expect_refused(labelled, {"data_batch_2.bin", "record 2 has label 10", "0 to 9"});
  labelled[2 * kRecord] = '\xff';
  expect_refused(labelled, {"record 2 has label 255"});
}

}  // namespace
}  // namespace elbo

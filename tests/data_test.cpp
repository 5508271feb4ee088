#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "host/data/dataset.hpp"
#include "host/data/value_range.hpp"
#include "host/io/idx.hpp"
#include "host/io/npy.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

const DatasetOptions kEveryRow{.validation_fraction = 0.0};

std::vector<std::uint8_t> counting_bytes(std::int64_t count, int start = 0) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), static_cast<std::uint8_t>(start));
  return values;
}

void write_images(const fs::path& path, std::int64_t count, const Shape& sample = {2, 3}) {
  Shape shape = sample;
  shape.insert(shape.begin(), count);
  write_idx(path, shape, counting_bytes(element_count(shape)));
}

void write_labels(const fs::path& path, std::int64_t count, int start = 0) {
  write_idx(path, {count}, counting_bytes(count, start));
}

void write_floats(const fs::path& path, const Shape& shape, float start = 0.0F) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  std::iota(values.begin(), values.end(), start);
  write_npy(path, shape, values);
}

std::vector<std::uint8_t> bytes_of(const Split& split, std::int64_t dim) {
  const auto* rows = static_cast<const std::uint8_t*>(split.rows);
  return {rows, rows + split.row_count * dim};
}

// --- formats and names ------------------------------------------------------------------------

TEST(Dataset, ReadsOfficialIdxNames) {
  TemporaryDirectory directory;
  write_images(directory / "train-images-idx3-ubyte", 10);
  write_labels(directory / "train-labels-idx1-ubyte", 10, 100);
  write_images(directory / "t10k-images-idx3-ubyte", 4);
  write_labels(directory / "t10k-labels-idx1-ubyte", 4);
  const Dataset data = Dataset::open(directory.path(), kEveryRow);
  EXPECT_EQ(data.sample_shape(), (Shape{2, 3}));
  EXPECT_EQ(data.dim(), 6);
  EXPECT_EQ(data.dtype(), DType::u8);
  EXPECT_EQ(data.range().minimum, 0.0);
  EXPECT_EQ(data.range().maximum, 59.0);
  EXPECT_EQ(data.split("train").size(), 10);
  EXPECT_EQ(data.split("train").labels[9], 109);
  EXPECT_EQ(data.split("test").size(), 4);
  EXPECT_FALSE(data.has("validation"));
  expect_error<DataError>([&] { data.split("validation"); },
                          {"no split 'validation'", "train, test, all"});

  const Split& all = data.split("all");
  std::vector<std::uint8_t> expected = counting_bytes(60);
  const std::vector<std::uint8_t> test = counting_bytes(24);
  expected.insert(expected.end(), test.begin(), test.end());
  EXPECT_EQ(bytes_of(all, 6), expected);
  EXPECT_EQ(all.labels.size(), 14U);
  EXPECT_EQ(all.labels[10], 0);

  const std::string text = data.describe();
  for (const char* words : {"2x3 u8", "from 0 to 59", "train", "10 rows", "labels 100 to 109"}) {
    EXPECT_NE(text.find(words), std::string::npos) << text;
  }
}

TEST(Dataset, ReadsAnExplicitValidationFile) {
  TemporaryDirectory directory;
  write_images(directory / "train-images.idx3-ubyte", 10);
  write_images(directory / "validation-images.idx3-ubyte", 3);
  write_images(directory / "test-images.idx3-ubyte", 2);
  const Dataset data = Dataset::open(directory.path());
  EXPECT_EQ(data.split("train").size(), 10);
  EXPECT_TRUE(data.split("train").index.empty());
  EXPECT_EQ(data.split("validation").row_count, 3);
  EXPECT_EQ(data.split("all").size(), 15);
  EXPECT_TRUE(data.split("all").labels.empty());
}

TEST(Dataset, PrefersTheRawFile) {
  TemporaryDirectory directory;
  write_images(directory / "train-images-idx3-ubyte", 10);
  directory.write("train-images-idx3-ubyte.gz", "never read");
  EXPECT_EQ(Dataset::open(directory.path(), kEveryRow).split("train").size(), 10);
}

TEST(Dataset, ReadsNpyByName) {
  for (const char* pattern : {"%.npy", "%_images.npy", "%-images.npy", "x_%.npy", "X_%.npy"}) {
    for (const char* validation : {"validation", "valid", "val"}) {
      SCOPED_TRACE(std::string(pattern) + " " + validation);
      TemporaryDirectory directory;
      const auto name = [&](const std::string& split) {
        std::string result = pattern;
        return directory / result.replace(result.find('%'), 1, split);
      };
      write_floats(name("train"), {5, 4});
      write_floats(name(validation), {2, 4}, 100.0F);
      write_floats(name("test"), {3, 4}, -1.0F);
      const Dataset data = Dataset::open(directory.path());
      EXPECT_EQ(data.dtype(), DType::f32);
      EXPECT_EQ(data.sample_shape(), Shape{4});
      EXPECT_EQ(data.split("train").size(), 5);
      EXPECT_EQ(data.split("validation").size(), 2);
      EXPECT_EQ(data.split("test").size(), 3);
      EXPECT_EQ(data.range().minimum, -1.0);
      EXPECT_EQ(data.range().maximum, 107.0);
    }
  }
}

TEST(Dataset, ReadsNpyLabels) {
  for (const char* name : {"train_labels.npy", "train-labels.npy", "y_train.npy"}) {
    SCOPED_TRACE(name);
    TemporaryDirectory directory;
    write_floats(directory / "train.npy", {3, 4});
    write_npy(directory / name, {3}, std::vector<std::int32_t>{7, 8, -1});
    EXPECT_EQ(Dataset::open(directory.path(), kEveryRow).split("train").labels,
              (std::vector<std::int32_t>{7, 8, -1}));
  }
}

TEST(Dataset, ReadsASingleFile) {
  TemporaryDirectory directory;
  write_floats(directory / "faces.npy", {3, 2, 2});
  write_npy(directory / "labels.npy", {3}, std::vector<std::uint8_t>{1, 2, 3});
  const Dataset from_directory = Dataset::open(directory.path(), kEveryRow);
  EXPECT_EQ(from_directory.split("train").size(), 3);
  EXPECT_EQ(from_directory.split("train").labels, (std::vector<std::int32_t>{1, 2, 3}));
  const Split& all = from_directory.split("all");
  EXPECT_EQ(all.rows, from_directory.split("train").rows) << "one file must not be copied";

  const Dataset from_file = Dataset::open(directory / "faces.npy", kEveryRow);
  EXPECT_EQ(from_file.sample_shape(), (Shape{2, 2}));
  EXPECT_TRUE(from_file.split("train").labels.empty());

  write_images(directory / "train-images-idx3-ubyte", 10);
  EXPECT_EQ(Dataset::open(directory / "train-images-idx3-ubyte", kEveryRow).dim(), 6);
  write_floats(directory / "numbers.npy", {5});
  EXPECT_EQ(Dataset::open(directory / "numbers.npy", kEveryRow).sample_shape(), Shape{1});
}

TEST(Dataset, TakesRowsFromMemory) {
  const Dataset floats =
      Dataset::from_rows(std::vector<float>(12, 0.5F), {2, 2}, kEveryRow, {4, 5, 6});
  EXPECT_EQ(floats.split("train").size(), 3);
  EXPECT_EQ(floats.split("train").labels[1], 5);
  EXPECT_EQ(floats.dim(), 4);
  const Dataset bytes = Dataset::from_rows(counting_bytes(12), {3}, {.validation_fraction = 0.25});
  EXPECT_EQ(bytes.dtype(), DType::u8);
  EXPECT_EQ(bytes.split("validation").size(), 1);

  expect_error<DataError>([] { Dataset::from_rows(std::vector<float>(5), {2}); },
                          {"5 values", "samples of 2 values"});
  expect_error<DataError>([] { Dataset::from_rows(std::vector<float>{}, {2}); }, {"no rows"});
  expect_error<DataError>([] { Dataset::from_rows(std::vector<float>(4), {0}); }, {"no elements"});
  expect_error<DataError>([] { Dataset::from_rows(std::vector<float>(4), {2}, {}, {1}); },
                          {"1 labels for 2 rows"});
}

// --- the seeded validation split --------------------------------------------------------------

TEST(ValidationSplit, IsAnAscendingPartition) {
  for (std::int64_t rows : {2, 3, 10, 1000}) {
    const Dataset data = Dataset::from_rows(counting_bytes(rows), {1});
    const Split& train = data.split("train");
    const Split& validation = data.split("validation");
    EXPECT_EQ(validation.size(), std::max<std::int64_t>(1, rows / 10));
    EXPECT_EQ(train.size() + validation.size(), rows);
    EXPECT_TRUE(std::ranges::is_sorted(train.index));
    EXPECT_TRUE(std::ranges::is_sorted(validation.index));
    std::vector<std::uint32_t> both;
    std::ranges::set_union(train.index, validation.index, std::back_inserter(both));
    EXPECT_EQ(static_cast<std::int64_t>(both.size()), rows);
    EXPECT_EQ(data.split("all").size(), rows);
    EXPECT_TRUE(data.split("all").index.empty());
  }
}

TEST(ValidationSplit, IsTheLastRowsIfAsked) {
  const Dataset data = Dataset::from_rows(counting_bytes(10), {1},
                                          {.validation_fraction = 0.3, .validation_last = true});
  EXPECT_EQ(data.split("train").index, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(data.split("validation").index, (std::vector<std::uint32_t>{7, 8, 9}));
}

TEST(ValidationSplit, DependsOnlyOnTheSeed) {
  const auto chosen = [](std::uint64_t seed) {
    const Dataset data =
        Dataset::from_rows(counting_bytes(20), {1}, {.validation_fraction = 0.2, .seed = seed});
    return data.split("validation").index;
  };
  EXPECT_EQ(chosen(1), chosen(1));
  EXPECT_NE(chosen(1), chosen(2));
  // Recorded once. A different result would silently change every user's validation split.
  EXPECT_EQ(chosen(1), (std::vector<std::uint32_t>{4, 7, 12, 18}));
}

TEST(ValidationSplit, IsUniform) {
  constexpr int kRows = 10;
  constexpr int kTrials = 4000;
  std::vector<int> count(kRows);
  for (std::uint64_t seed = 0; seed < kTrials; ++seed) {
    const Dataset data =
        Dataset::from_rows(counting_bytes(kRows), {1}, {.validation_fraction = 0.3, .seed = seed});
    for (std::uint32_t row : data.split("validation").index) ++count[row];
  }
  // Five standard deviations of a binomial with p = 0.3. With ten rows, a fair choice fails with
  // probability < 1e-5.
  const double bound = 5.0 * std::sqrt(kTrials * 0.3 * 0.7);
  for (int row = 0; row < kRows; ++row)
    EXPECT_NEAR(count[static_cast<std::size_t>(row)], kTrials * 0.3, bound) << row;
}

TEST(ValidationSplit, RespectsSizeLimits) {
  const auto open = [](std::int64_t rows, double fraction) {
    return Dataset::from_rows(counting_bytes(rows), {1}, {.validation_fraction = fraction});
  };
  EXPECT_EQ(open(3, 0.99).split("validation").size(), 2);
  EXPECT_EQ(open(100, 1e-9).split("validation").size(), 1);
  EXPECT_EQ(open(10, 0.25).split("validation").size(), 3) << "half rounds up";
  EXPECT_FALSE(open(1, 0.5).has("validation"));
  EXPECT_FALSE(open(10, 0.0).has("validation"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double fraction : {-0.1, 1.0, 7.0, nan}) {
    expect_error<ConfigError>([&] { open(10, fraction); }, {"validation-fraction:", "less than 1"});
  }
}

// --- values -----------------------------------------------------------------------------------

template <class T>
void expect_positions_found(DType dtype) {
  for (std::size_t count : {1U, 2U, 31U, 32U, 33U, 127U, 257U, 1000U, 4099U}) {
    const auto rows = static_cast<std::int64_t>(count);
    std::vector<T> values(count, T{-2});
    values[count / 2] = T{3};
    const ValueRange range = find_value_range(values.data(), dtype, rows, 1, "file");
    EXPECT_EQ(range.minimum, count == 1 ? 3.0 : -2.0);
    EXPECT_EQ(range.maximum, 3.0);
    for (const T bad : {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN(),
                        std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()}) {
      for (std::size_t position : {std::size_t{0}, count / 3, count - 1}) {
        const T kept = std::exchange(values[position], bad);
        expect_error<DataError>([&] { find_value_range(values.data(), dtype, rows, 1, "file"); },
                                {"file: row " + std::to_string(position) + ", element 0",
                                 std::isnan(bad) ? "nan" : "inf"});
        values[position] = kept;
      }
    }
  }
}

TEST(ValueRange, FindsRangeAndEveryNonFiniteValue) {
  expect_positions_found<float>(DType::f32);
  expect_positions_found<double>(DType::f64);
  const std::vector<std::uint8_t> bytes = {200, 3, 255, 7};
  const ValueRange range = find_value_range(bytes.data(), DType::u8, 2, 2, "file");
  EXPECT_EQ(range.minimum, 3.0);
  EXPECT_EQ(range.maximum, 255.0);
}

TEST(ValueRange, AcceptsExtremeFiniteValues) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> values = {kLargest, -kLargest, 0.0F, -0.0F,
                                     std::numeric_limits<float>::denorm_min()};
  const ValueRange range = find_value_range(values.data(), DType::f32, 5, 1, "file");
  EXPECT_EQ(range.minimum, -static_cast<double>(kLargest));
  EXPECT_EQ(range.maximum, static_cast<double>(kLargest));
}

TEST(Dataset, NamesThePositionOfNonFiniteValues) {
  TemporaryDirectory directory;
  std::vector<float> values(12, 1.0F);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  values[9] = std::numeric_limits<float>::infinity();
  write_npy(directory / "train.npy", {3, 2, 2}, values);
  expect_error<DataError>([&] { Dataset::open(directory.path()); },
                          {"train.npy", "row 1, element 3", "nan"});
  values[7] = 0.0F;
  write_npy(directory / "train.npy", {3, 2, 2}, values);
  expect_error<DataError>([&] { Dataset::open(directory.path()); }, {"row 2, element 1", "inf"});
  const Dataset unchecked = Dataset::open(directory.path(), {.check_values = false});
  EXPECT_TRUE(std::isinf(unchecked.range().maximum));
}

// --- bad directories --------------------------------------------------------------------------

struct BadDirectory {
  const char* name;
  void (*fill)(const TemporaryDirectory& directory);
  std::vector<const char*> words;
};

const BadDirectory kBadDirectories[] = {
    {"empty",
     [](const TemporaryDirectory&) {},
     {"empty directory", "expected train-images-idx3-ubyte", "train.npy"}},
    {"nothing recognised",
     [](const TemporaryDirectory& d) { d.write("notes.txt", "hello"); },
     {"no data set recognised", "expected train-images-idx3-ubyte", "train.npy"}},
    {"only labels",
     [](const TemporaryDirectory& d) { write_labels(d / "train-labels-idx1-ubyte", 3); },
     {"no data set recognised"}},
    {"zero rows, idx",
     [](const TemporaryDirectory& d) { write_images(d / "train-images-idx3-ubyte", 0); },
     {"train-images-idx3-ubyte", "no rows"}},
    {"zero rows, npy",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {0, 4});
     },
     {"train.npy", "no rows"}},
    {"zero elements",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {4, 0});
     },
     {"train.npy", "no elements"}},
    {"label count, idx",
     [](const TemporaryDirectory& d) {
       write_images(d / "train-images-idx3-ubyte", 5);
       write_labels(d / "train-labels-idx1-ubyte", 4);
     },
     {"train-labels-idx1-ubyte", "4 labels for the 5 rows of", "train-images-idx3-ubyte"}},
    {"label count, npy",
     [](const TemporaryDirectory& d) {
       write_floats(d / "test.npy", {5, 2});
       write_npy(d / "y_test.npy", {6}, std::vector<std::int32_t>(6));
     },
     {"y_test.npy", "6 labels for the 5 rows of", "test.npy"}},
    {"labels of rank 2",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {5, 2});
       write_npy(d / "y_train.npy", {5, 10}, std::vector<std::uint8_t>(50));
     },
     {"y_train.npy", "5x10", "one per row"}},
    {"float labels",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {5, 2});
       write_floats(d / "y_train.npy", {5});
     },
     {"y_train.npy", "<f4", "expected integers"}},
    {"integer rows",
     [](const TemporaryDirectory& d) {
       write_npy(d / "train.npy", {5, 2}, std::vector<std::int32_t>(10));
     },
     {"train.npy", "<i4", "expected |u1, <f4 or <f8"}},
    {"shapes differ",
     [](const TemporaryDirectory& d) {
       write_images(d / "train-images-idx3-ubyte", 5, {28, 28});
       write_images(d / "t10k-images-idx3-ubyte", 5, {28, 27});
     },
     {"t10k-images-idx3-ubyte", "28x27", "28x28", "train-images-idx3-ubyte"}},
    {"types differ",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {5, 2});
       write_npy(d / "test.npy", {5, 2}, std::vector<std::uint8_t>(10));
     },
     {"test.npy", "u8", "f32", "train.npy"}},
    {"two test files",
     [](const TemporaryDirectory& d) {
       write_images(d / "t10k-images-idx3-ubyte", 5);
       write_images(d / "test-images-idx3-ubyte", 5);
     },
     {"test-images-idx3-ubyte", "t10k-images-idx3-ubyte", "one of the two"}},
    {"several npy files",
     [](const TemporaryDirectory& d) {
       write_floats(d / "a.npy", {5, 2});
       write_floats(d / "b.npy", {5, 2});
     },
     {"several .npy files", "'a.npy'", "'b.npy'", "train.npy"}},
    {"truncated idx",
     [](const TemporaryDirectory& d) {
       write_images(d / "train-images-idx3-ubyte", 5);
       fs::resize_file(d / "train-images-idx3-ubyte", 40);
     },
     {"train-images-idx3-ubyte", "truncated"}},
    {"gzip in name only",
     [](const TemporaryDirectory& d) { d.write("train-images-idx3-ubyte.gz", "not gzip"); },
     {"train-images-idx3-ubyte.gz", "not gzip"}},
    {"bad test file beside a good one",
     [](const TemporaryDirectory& d) {
       write_floats(d / "train.npy", {5, 2});
       d.write("test.npy", "nonsense");
     },
     {"test.npy", "not a .npy file"}},
};

TEST(Dataset, RejectsMalformedDirectories) {
  for (const BadDirectory& bad : kBadDirectories) {
    SCOPED_TRACE(bad.name);
    TemporaryDirectory directory;
    bad.fill(directory);
    for (const char* word : bad.words) {
      expect_error<DataError>([&] { Dataset::open(directory.path()); },
                              {directory.path().string(), word});
    }
  }
}

TEST(Dataset, RejectsInvalidPaths) {
  TemporaryDirectory directory;
  expect_error<DataError>([&] { Dataset::open(directory / "none"); },
                          {"none", "No such file or directory"});
  const fs::path text = directory.write("notes.txt", "hello");
  expect_error<DataError>([&] { Dataset::open(text); }, {"notes.txt", "no data set recognised"});
  expect_error<DataError>([] { Dataset::open("/dev/null"); }, {"neither a directory nor a file"});
  expect_error<DataError>([] { Dataset::open(""); }, {"No such file or directory"});
}

// --- real data --------------------------------------------------------------------------------

TEST(RealData, ReadsMnistAndFreyFaces) {
  const char* root = std::getenv("ELBO_DATA");
  if (root == nullptr || !fs::exists(fs::path(root) / "mnist")) {
    GTEST_SKIP() << "ELBO_DATA is not set to a folder with mnist/ and frey/";
  }
  const Dataset mnist = Dataset::open(fs::path(root) / "mnist");
  EXPECT_EQ(mnist.sample_shape(), (Shape{28, 28}));
  EXPECT_EQ(mnist.split("train").row_count, 60000);
  EXPECT_EQ(mnist.split("train").size(), 54000);
  EXPECT_EQ(mnist.split("validation").size(), 6000);
  EXPECT_EQ(mnist.split("test").size(), 10000);
  EXPECT_EQ(mnist.split("train").labels.front(), 5);
  EXPECT_EQ(mnist.split("test").labels.front(), 7);
  EXPECT_EQ(mnist.range().maximum, 255.0);

  const Dataset frey = Dataset::open(fs::path(root) / "frey", kEveryRow);
  EXPECT_EQ(frey.sample_shape(), (Shape{28, 20}));
  EXPECT_EQ(frey.split("train").size(), 1965);
}

}  // namespace
}  // namespace elbo

// Common code of tests with folders of pictures.
#pragma once

#include <algorithm>

#include "host/data/dataset.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"
#include "tests/pictures.hpp"

namespace elbo {

using Bytes = std::vector<uint8_t>;

/// Counts its notifications.
struct Listener : PackingObserver {
  void on_progress(int64_t now_done, int64_t of) override {
    EXPECT_GE(now_done, done);
    done = now_done;
    total = of;
    ++calls;
  }
  void on_opened(const PackedPictures& pictures) override { packed = pictures; }

  int calls = 0;
  int64_t done = 0, total = 0;
  PackedPictures packed;
};

class ImageFolder : public testing::Test {
 protected:
  void add(std::string_view name, const Image& image) const {
    directory_.write("data/" + std::string(name), png_bytes(image));
  }
  std::filesystem::path data() const { return directory_ / "data"; }
  std::filesystem::path cache() const { return directory_ / "cache"; }

  DatasetOptions options(ImageOptions images = {}) {
    images.cache = cache();
    images.observer = &listener_;
    listener_ = {};
    return {.validation_fraction = 0.0, .images = images};
  }
  Dataset open(const ImageOptions& images = {}) { return Dataset::open(data(), options(images)); }
  /// Opens the data set; returns true if it was packed for that.
  bool packs(const ImageOptions& images = {}) {
    open(images);
    EXPECT_EQ(listener_.calls > 0, listener_.packed.just_packed);
    return listener_.packed.just_packed;
  }
  void expect_refused(const ImageOptions& images, std::initializer_list<std::string_view> words) {
    expect_error<DataError>([&] { open(images); }, words);
    EXPECT_FALSE(std::filesystem::exists(cache()));
  }

  TemporaryDirectory directory_;
  Listener listener_;
};

inline Bytes row(const Dataset& data, const char* split, int64_t i) {
  const auto* rows = static_cast<const uint8_t*>(data.split(split).rows) + i * data.dim();
  return {rows, rows + data.dim()};
}

}  // namespace elbo

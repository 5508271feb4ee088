// Common code of tests of picture files.
#pragma once

#include <gtest/gtest.h>

#include "host/io/picture.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"
#include "tests/pictures.hpp"

namespace elbo {

class Picture : public testing::Test {
 protected:
  Image decode(const std::string& bytes, int64_t least_side = 0) const {
    return decode_picture(directory_.write("picture", bytes), least_side);
  }
  PictureHeader header(const std::string& bytes) const {
    return read_picture_header(directory_.write("picture", bytes));
  }
  /// Expects an error of both that has these words and names no file.
  void expect_refused(const std::string& bytes, std::initializer_list<std::string_view> words) {
    expect_error<DataError>([&] { decode(bytes); }, words);
    try {
      decode(bytes);
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find(directory_.path()), std::string::npos);
    }
  }

  TemporaryDirectory directory_;
};

inline void expect_equal(const Image& got, const Image& wanted) {
  EXPECT_EQ(got.height, wanted.height);
  EXPECT_EQ(got.width, wanted.width);
  EXPECT_EQ(got.channels, wanted.channels);
  EXPECT_EQ(got.pixels, wanted.pixels);
}

}  // namespace elbo

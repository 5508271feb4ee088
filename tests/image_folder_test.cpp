// Folders of pictures as data sets: rows, labels, refused and skipped entries.
#include "tests/image_folder.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
// --- rows -------------------------------------------------------------------------------------

TEST_F(ImageFolder, RowsLabelsAndSplits) {
  const auto picture = [](int seed) { return scattered_image(5, 7, 3, seed); };
  add("train/cat/b.png", picture(1));
  add("train/cat/a.PNG", picture(2));
  add("train/ant/c.png", picture(3));
  add("test/cat/d.png", picture(4));
  add("val/dog/deep/e.png", picture(5));
  const Dataset read = open();
  EXPECT_EQ(read.sample_shape(), (Shape{5, 7, 3}));
  EXPECT_EQ(read.dtype(), DType::u8);
  EXPECT_EQ(read.path(), data());
  ASSERT_EQ(read.split("train").size(), 3);
  EXPECT_EQ(row(read, "train", 0), picture(3).pixels);
  EXPECT_EQ(row(read, "train", 1), picture(2).pixels);
  EXPECT_EQ(row(read, "train", 2), picture(1).pixels);
  EXPECT_EQ(row(read, "validation", 0), picture(5).pixels);
  EXPECT_EQ(row(read, "test", 0), picture(4).pixels);
  EXPECT_EQ(read.split("train").labels, (std::vector<int32_t>{0, 1, 1}));
  EXPECT_EQ(read.split("validation").labels, (std::vector<int32_t>{2}));
  EXPECT_EQ(read.split("test").labels, (std::vector<int32_t>{1}));
  EXPECT_EQ(listener_.done, 5);
  EXPECT_EQ(listener_.total, 5);
}

TEST_F(ImageFolder, GreyPicturesHaveNoChannels) {
  add("a.png", scattered_image(4, 6, 1));
  const Dataset read = open();
  EXPECT_EQ(read.sample_shape(), (Shape{4, 6}));
  EXPECT_EQ(row(read, "train", 0), scattered_image(4, 6, 1).pixels);
  EXPECT_TRUE(read.split("train").labels.empty());
}

TEST_F(ImageFolder, TheContentDecidesAndNotTheName) {
  const Image grey = make_image(8, 8, 1, [](auto, auto, auto) { return 99; });
  directory_.write("data/a.png", jpeg_bytes(grey));
  directory_.write("data/b.jpg", png_bytes(grey));
  const Dataset read = open();
  EXPECT_EQ(row(read, "train", 0), grey.pixels);
  EXPECT_EQ(row(read, "train", 1), grey.pixels);
}

TEST_F(ImageFolder, PicturesOfEverySizeBecomeSquares) {
  add("a.png", scattered_image(40, 30, 3, 1));
  add("b.png", scattered_image(8, 8, 3, 2));
  add("c.png", scattered_image(3, 90, 3, 3));
  const Dataset read = open({.size = 8});
  EXPECT_EQ(read.sample_shape(), (Shape{8, 8, 3}));
  EXPECT_EQ(row(read, "train", 0), fitted_square(scattered_image(40, 30, 3, 1), 8).pixels);
  EXPECT_EQ(row(read, "train", 1), scattered_image(8, 8, 3, 2).pixels);
  EXPECT_EQ(row(read, "train", 2), fitted_square(scattered_image(3, 90, 3, 3), 8).pixels);
}

TEST_F(ImageFolder, ReducedJpegsAreStillLargeEnough) {
  // Two halves of one grey each, of which a quarter of the size is decoded.
  const Image grey = make_image(512, 512, 1, [](auto, auto x, auto) { return x < 256 ? 40 : 200; });
  directory_.write("data/a.jpg", jpeg_bytes(grey));
  const Bytes got = row(open({.size = 64}), "train", 0);
  const Bytes wanted = fitted_square(grey, 64).pixels;
  for (size_t i = 0; i < got.size(); ++i) {
    // Four columns to each side of the step, the filter and the reduction may see it.
    const auto x = static_cast<int>(i % 64);
    if (x >= 28 && x < 36) continue;
    ASSERT_EQ(got[i], wanted[i]) << i;
  }
}

TEST_F(ImageFolder, SizesThatDiffer) {
  add("a/1.png", scattered_image(4, 6, 1));
  add("a/2.png", scattered_image(4, 6, 1));
  add("b/3.png", scattered_image(6, 4, 1));
  expect_refused({}, {data().string(), "a/1.png of 4x6", "b/3.png of 6x4", "--image-size N"});
  expect_refused({.skip_bad = true}, {"--image-size N"});
}

TEST_F(ImageFolder, OrientedPicturesHaveTheSizeTheyAreSeenIn) {
  add("a.png", scattered_image(24, 16, 1));
  directory_.write("data/b.jpg", with_segment(jpeg_bytes(scattered_image(16, 24, 1)), 0xe1,
                                              exif_block(6, false)));
  EXPECT_EQ(open().sample_shape(), (Shape{24, 16}));
}

TEST_F(ImageFolder, ChannelsAsAsked) {
  add("a.png", scattered_image(4, 6, 3, 1));
  add("b.png", scattered_image(4, 6, 3, 2));
  add("c.png", scattered_image(4, 6, 1, 3));
  const Dataset rgb = open({.channels = ImageChannels::rgb});
  EXPECT_EQ(rgb.sample_shape(), (Shape{4, 6, 3}));
  EXPECT_EQ(row(rgb, "train", 0), scattered_image(4, 6, 3, 1).pixels);
  EXPECT_EQ(row(rgb, "train", 2), to_rgb(scattered_image(4, 6, 1, 3)).pixels);
  const Dataset grey = open({.channels = ImageChannels::grey});
  EXPECT_EQ(grey.sample_shape(), (Shape{4, 6}));
  EXPECT_EQ(row(grey, "train", 0), to_grey(scattered_image(4, 6, 3, 1)).pixels);
  EXPECT_EQ(row(grey, "train", 2), scattered_image(4, 6, 1, 3).pixels);
}

TEST_F(ImageFolder, GreyAmongRgbBecomesRgb) {
  add("a.png", scattered_image(4, 6, 1, 1));
  add("b.png", scattered_image(4, 6, 1, 2));
  add("c.png", scattered_image(4, 6, 3, 3));
  const Dataset read = open();
  EXPECT_EQ(read.sample_shape(), (Shape{4, 6, 3}));
  EXPECT_EQ(row(read, "train", 0), to_rgb(scattered_image(4, 6, 1, 1)).pixels);
  EXPECT_EQ(row(read, "train", 1), to_rgb(scattered_image(4, 6, 1, 2)).pixels);
  EXPECT_EQ(row(read, "train", 2), scattered_image(4, 6, 3, 3).pixels);
}

// --- bad pictures -----------------------------------------------------------------------------

TEST_F(ImageFolder, EveryBadPictureIsNamedAndNothingIsLeft) {
  for (int i = 0; i < 30; ++i) add("good" + std::to_string(i) + ".png", scattered_image(4, 4, 1));
  const std::string whole = png_bytes(scattered_image(4, 4, 1));
  directory_.write("data/cut.png", whole.substr(0, whole.size() - 20));
  directory_.write("data/empty.jpg", "");
  directory_.write("data/text.png", "hello");
  fs::create_symlink("none", data() / "link.png");
  expect_refused(
      {},
      {data().string() + ": 4 of 34 pictures cannot be used",
       "cut.png (damaged PNG: ", "empty.jpg (empty)", "link.png (broken symbolic link)",
       "text.png (neither PNG nor JPEG, it starts with 'hello')", "--skip-bad leaves them out"});
  EXPECT_EQ(listener_.done, 34) << "everything is looked at";

  const Dataset read = open({.skip_bad = true});
  EXPECT_EQ(read.split("train").size(), 30);
  for (int64_t i = 0; i < 30; ++i)
    EXPECT_EQ(row(read, "train", i), scattered_image(4, 4, 1).pixels);
  const auto names = [&] {
    std::string text;
    for (const BadPicture& bad : listener_.packed.left_out) text += bad.name + " ";
    return text;
  };
  EXPECT_EQ(names(), "cut.png empty.jpg link.png text.png ");
  EXPECT_EQ(listener_.packed.pictures, 34);
  EXPECT_FALSE(packs({.skip_bad = true}));
  EXPECT_EQ(names(), "cut.png empty.jpg link.png text.png ") << "told again";
}

TEST_F(ImageFolder, TwentyAreNamed) {
  add("good.png", scattered_image(4, 4, 1));
  for (int i = 10; i < 47; ++i) directory_.write("data/" + std::to_string(i) + ".png", "x");
  expect_refused({}, {"37 of 38", "10.png (", "29.png (", ", and 17 more; --skip-bad"});
  try {
    open();
  } catch (const DataError& error) {
    EXPECT_EQ(std::string(error.what()).find("30.png"), std::string::npos);
  }
}

TEST_F(ImageFolder, AllBadIsAnErrorInAnyCase) {
  directory_.write("data/a.png", "");
  directory_.write("data/b.png", "x");
  for (const bool skip_bad : {false, true})
    expect_refused({.skip_bad = skip_bad}, {"none of the 2 pictures", "a.png (empty), b.png ("});
  add("train/c.png", scattered_image(4, 4, 1));
  fs::create_directory(data() / "test");
  fs::rename(data() / "a.png", data() / "test/a.png");
  fs::remove(data() / "b.png");
  expect_refused({.skip_bad = true},
                 {"none of the 1 pictures of split test", "test/a.png (empty)"});
}

TEST_F(ImageFolder, NamesOfAnyKindMakeOneLine) {
  add("good.png", scattered_image(4, 4, 1));
  directory_.write("data/line\nbreak \xff.png", "");
  expect_refused({}, {"line?break \xff.png (empty)"});
  EXPECT_EQ(open({.skip_bad = true}).split("train").size(), 1);
}

TEST_F(ImageFolder, RowsStayWithTheirLabelsWhereSomeAreLeftOut) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::string(i % 4 == 0 ? "a/" : "b/") + std::to_string(100 + i);
    if (i % 3 == 0)
      directory_.write("data/" + name + ".png", "bad");
    else
      add(name + ".png", scattered_image(3, 3, 1, i));
  }
  const Dataset read = open({.skip_bad = true});
  int64_t next = 0;
  for (const int label : {0, 1})
    for (int i = 0; i < 40; ++i) {
      if ((i % 4 == 0) != (label == 0) || i % 3 == 0) continue;
      EXPECT_EQ(row(read, "train", next), scattered_image(3, 3, 1, i).pixels) << i;
      EXPECT_EQ(read.split("train").labels.at(static_cast<size_t>(next)), label) << i;
      ++next;
    }
  EXPECT_EQ(read.split("train").size(), next);
}

TEST_F(ImageFolder, FoldersWithoutPictures) {
  directory_.write("data/readme.txt", "x");
  expect_refused({}, {"no data set recognised", ".png and .jpg pictures"});
}

}  // namespace
}  // namespace elbo

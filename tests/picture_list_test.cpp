// Which files of a directory tree are pictures, of which split and class, in which order.
#include "host/data/picture_list.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class PictureListTest : public testing::Test {
 protected:
  void touch(std::initializer_list<const char*> names) const {
    for (const char* name : names) directory_.write(name, "not looked at");
  }
  void link(const char* target, const char* name) const {
    fs::create_directories((directory_ / name).parent_path());
    fs::create_symlink(target, directory_ / name);
  }
  /// "split label name", and the fault where there is one.
  Names list() const {
    Names lines;
    const PictureList list = list_pictures(directory_.path());
    for (const ListedPicture& picture : list.pictures) {
      std::string line(picture.split);
      if (picture.label >= 0) line += " " + list.classes.at(static_cast<size_t>(picture.label));
      line += " " + picture.name;
      if (!picture.fault.empty()) line += ": " + picture.fault;
      lines.push_back(line);
    }
    return lines;
  }
  void expect_refused(std::initializer_list<std::string_view> words) const {
    expect_error<DataError>([&] { list(); }, words);
  }

  TemporaryDirectory directory_;
};

TEST_F(PictureListTest, PicturesAloneAreTrainWithoutLabels) {
  touch({"b.png", "a.JPG", "c.Jpeg", "notes.txt", "Thumbs.db", ".hidden.png", "png", "d.gif"});
  EXPECT_EQ(list(), (Names{"train a.JPG", "train b.png", "train c.Jpeg"}));
}

TEST_F(PictureListTest, DirectoriesAreClassesAndOrderGoesByPath) {
  touch({"b/2.png", "a/deep/er/1.png", "a/0.png", "a-b/3.png", "a/x.txt", ".git/4.png",
         "b/.thumbs/5.png", "none/readme.md"});
  EXPECT_EQ(list(), (Names{"train a a/0.png", "train a a/deep/er/1.png", "train a-b a-b/3.png",
                           "train b b/2.png"}));
  EXPECT_EQ(list_pictures(directory_.path()).classes, (Names{"a", "a-b", "b"}));
}

TEST_F(PictureListTest, SplitsAndTheirClasses) {
  touch({"test/dog/1.png", "train/cat/2.png", "train/ant/3.png", "Val/cat/4.png", "labels.csv"});
  // Labels count the classes of all splits.
  EXPECT_EQ(list(), (Names{"train ant train/ant/3.png", "train cat train/cat/2.png",
                           "validation cat Val/cat/4.png", "test dog test/dog/1.png"}));
  const PictureList listed = list_pictures(directory_.path());
  EXPECT_EQ(listed.classes, (Names{"ant", "cat", "dog"}));
  EXPECT_EQ(listed.pictures[1].label, 1);
}

TEST_F(PictureListTest, OneSplitMayHaveLabelsAndAnotherNone) {
  touch({"train/cat/1.png", "test/2.png"});
  EXPECT_EQ(list(), (Names{"train cat train/cat/1.png", "test test/2.png"}));
}

TEST_F(PictureListTest, NothingThere) {
  EXPECT_EQ(list(), Names{});
  touch({"a.txt", "train/b.csv", "c/d.npy"});
  EXPECT_EQ(list(), Names{});
}

TEST_F(PictureListTest, PicturesBesideClasses) {
  touch({"cat/1.png", "2.png"});
  expect_refused({directory_.path().string(), "'cat/1.png'", "'2.png'", "one or the other"});
}

TEST_F(PictureListTest, PicturesBesideSplits) {
  touch({"train/1.png", "extra/2.png"});
  expect_refused({"'extra/2.png'", "beside the split 'train'"});
}

TEST_F(PictureListTest, ASplitWithoutPictures) {
  touch({"train/1.png", "test/readme.txt"});
  expect_refused({(directory_ / "test").string(), "no pictures", ".png, .jpg or .jpeg"});
}

TEST_F(PictureListTest, TwoDirectoriesOfOneSplit) {
  touch({"train/1.png", "val/2.png", "validation/3.png"});
  expect_refused({"'val'", "'validation'", "expected one of the two"});
}

TEST_F(PictureListTest, LinksAreFollowed) {
  const TemporaryDirectory elsewhere;
  elsewhere.write("cats/1.png", "");
  elsewhere.write("2.png", "");
  link(elsewhere.path().c_str(), "pets");
  link((elsewhere / "2.png").c_str(), "b/3.png");
  const TemporaryDirectory more;
  more.write("1.png", "");
  link(more.path().c_str(), "b/more");
  EXPECT_EQ(list(), (Names{"train b b/3.png", "train b b/more/1.png", "train pets pets/2.png",
                           "train pets pets/cats/1.png"}));
}

// Links that lead from each of n directories to the next, twice, would make 2^n of one.
TEST_F(PictureListTest, ADirectoryCountsOnce) {
  touch({"a/cats/1.png", "b/2.png"});
  link("../a/cats", "b/more");
  EXPECT_EQ(list(), (Names{"train a a/cats/1.png", "train b b/2.png",
                           "train b/more: the same directory as 'a/cats'"}));
}

TEST_F(PictureListTest, LinksThatLeadNowhere) {
  touch({"a/1.png"});
  link("none", "a/2.png");
  link("/none/at/all", "more");
  link("3.png", "a/3.png");
  link("..", "a/up");
  link(".", "a/here");
  link("../b", "a/sideways");
  link("../a", "b/back");
  EXPECT_EQ(list(), (Names{"train a a/1.png", "train a/2.png: broken symbolic link",
                           "train a/3.png: link in a loop of links",
                           "train a/here: link to a directory that it lies in",
                           "train a/sideways/back: link to a directory that it lies in",
                           "train a/up: link to a directory that it lies in",
                           "train b: the same directory as 'a/sideways'",
                           "train more: broken symbolic link"}));
}

TEST_F(PictureListTest, AMissingSplitIsNoticed) {
  touch({"train/1.png"});
  link("/none/at/all", "test");
  EXPECT_EQ(list(), (Names{"train test: broken symbolic link", "train train/1.png"}));
}

TEST_F(PictureListTest, WhatOnlyLooksLikeAPicture) {
  touch({"a.png"});
  ASSERT_EQ(::mkfifo((directory_ / "b.png").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((directory_ / "c").c_str(), 0600), 0);
  fs::create_directory(directory_ / "d.png");
  EXPECT_EQ(list(), (Names{"train a.png", "train b.png: not a regular file"}));
}

/// Without root's permissions, if the test has them.
class Unprivileged {
 public:
  Unprivileged() : root_(::geteuid() == 0) {
    if (root_) {
      EXPECT_EQ(::seteuid(65534), 0);
    }
  }
  ~Unprivileged() {
    if (root_) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }

 private:
  bool root_;
};

TEST_F(PictureListTest, DirectoriesThatMayNotBeRead) {
  touch({"a/1.png", "b/2.png"});
  fs::permissions(directory_.path(), fs::perms::all);
  fs::permissions(directory_ / "b", fs::perms::none);
  Names found;
  {
    const Unprivileged nobody;
    found = list();
  }
  fs::permissions(directory_ / "b", fs::perms::owner_all);
  EXPECT_EQ(found, (Names{"train a a/1.png", "train b: cannot list: Permission denied"}));
}

TEST_F(PictureListTest, StampsTellSizeAndTimes) {
  const fs::path file = directory_.write("a.png", "12345");
  const FileStamp before = stamp_of(file);
  EXPECT_EQ(before.size, 5);
  EXPECT_EQ(list_pictures(directory_.path()).pictures.at(0).stamp.modified_ns, before.modified_ns);
  // Another content, with the old time: ctime tells.
  const auto time = fs::last_write_time(file);
  directory_.write("a.png", "54321");
  fs::last_write_time(file, time);
  const FileStamp after = stamp_of(file);
  EXPECT_EQ(after.modified_ns, before.modified_ns);
  EXPECT_GT(after.changed_ns, before.changed_ns);
  EXPECT_EQ(stamp_of(directory_ / "none").size, 0);
}

}  // namespace
}  // namespace elbo

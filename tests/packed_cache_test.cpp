// The cache of decoded pictures: conditions for a new entry, and no leftovers.
#include <chrono>
#include <functional>
#include <thread>

#include "host/data/packed_cache.hpp"
#include "host/io/fnv.hpp"
#include "host/io/picture.hpp"
#include "tests/image_folder.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

using PackedCache = ImageFolder;

TEST_F(PackedCache, IsDecodedOnce) {
  add("a.png", scattered_image(9, 7, 1));
  EXPECT_TRUE(packs());
  const fs::path entry = listener_.packed.entry;
  EXPECT_EQ(entry.parent_path(), cache());
  EXPECT_FALSE(packs());
  EXPECT_EQ(listener_.packed.entry, entry);
  // As files that any tool reads.
  const Dataset arrays = Dataset::open(entry, {.validation_fraction = 0.0});
  EXPECT_EQ(row(arrays, "train", 0), scattered_image(9, 7, 1).pixels);
}

TEST_F(PackedCache, WhatChangesPixelsMakesAnotherEntry) {
  add("a.png", scattered_image(9, 7, 1));
  EXPECT_TRUE(packs());
  for (const ImageOptions& other :
       {ImageOptions{.size = 4}, ImageOptions{.size = 5},
        ImageOptions{.channels = ImageChannels::rgb}, ImageOptions{.skip_bad = true}}) {
    EXPECT_TRUE(packs(other));
    EXPECT_FALSE(packs(other));
  }
  EXPECT_FALSE(packs({.threads = 1})) << "changes no pixel";
  fs::rename(data(), directory_ / "moved");
  fs::rename(directory_ / "moved", data());
  EXPECT_FALSE(packs()) << "the place is no part of it";
}

TEST_F(PackedCache, ChangedAddedAndRemovedFilesAreNoticed) {
  add("a.png", scattered_image(9, 7, 1, 1));
  add("b.png", scattered_image(9, 7, 1, 2));
  EXPECT_TRUE(packs());
  add("b.png", scattered_image(9, 7, 1, 3));
  EXPECT_TRUE(packs());
  EXPECT_EQ(row(open(), "train", 1), scattered_image(9, 7, 1, 3).pixels);
  add("c.png", scattered_image(9, 7, 1, 4));
  EXPECT_TRUE(packs());
  fs::remove(data() / "c.png");
  EXPECT_FALSE(packs()) << "as it was";
  fs::rename(data() / "b.png", data() / "d.png");
  EXPECT_TRUE(packs());
  fs::create_directory(data() / "class");
  for (const char* name : {"a.png", "d.png"}) fs::rename(data() / name, data() / "class" / name);
  EXPECT_TRUE(packs());
  directory_.write("data/class/notes.txt", "no picture");
  EXPECT_FALSE(packs());
}

TEST_F(PackedCache, DamagedEntriesAreMadeAnew) {
  add("x/a.png", scattered_image(9, 7, 1, 1));
  add("x/b.png", scattered_image(9, 7, 1, 2));
  EXPECT_TRUE(packs());
  const fs::path entry = listener_.packed.entry;
  const std::string rows = read_bytes(entry / "train.npy");
  const std::string manifest = read_bytes(entry / "manifest.json");
  const auto damage = [&](const char* name, const std::string& bytes) {
    std::ofstream(entry / name, std::ios::binary) << bytes;
  };
  const std::vector<std::function<void()>> damages = {
      [&] { fs::remove(entry / "train.npy"); },
      [&] { fs::remove(entry / "train_labels.npy"); },
      [&] { fs::remove(entry / "manifest.json"); },
      [&] { fs::remove_all(entry), std::ofstream(entry) << "a file"; },
      [&] { damage("train.npy", rows.substr(0, rows.size() - 1)); },
      [&] { damage("train.npy", "x" + rows.substr(1)); },
      [&] { damage("train.npy", read_bytes(entry / "train_labels.npy")); },
      [&] { damage("manifest.json", manifest.substr(0, manifest.size() / 2)); },
      [&] { damage("manifest.json", "[]"); },
      [&] { damage("test.npy", rows); }};
  for (size_t i = 0; i < damages.size(); ++i) {
    SCOPED_TRACE(i);
    damages[i]();
    EXPECT_TRUE(packs());
    EXPECT_EQ(listener_.packed.entry, entry);
    EXPECT_EQ(read_bytes(entry / "train.npy"), rows);
    EXPECT_FALSE(packs());
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(cache()), {}), 1) << "something is left behind";
}

TEST_F(PackedCache, WhatAKilledPackingLeftIsRemovedADayLater) {
  add("a.png", scattered_image(4, 4, 1));
  const auto left_behind = [&](const char* name, std::chrono::hours age) {
    const fs::path file = directory_.write(std::string("cache/") + name + "/train.npy", "part");
    const auto time = fs::file_time_type::clock::now() - age;
    fs::last_write_time(file, time);
    fs::last_write_time(file.parent_path(), time);
    return file.parent_path();
  };
  const fs::path old = left_behind(".packing-1-0", std::chrono::hours(25));
  const fs::path young = left_behind(".packing-1-1", std::chrono::hours(23));
  const fs::path other = left_behind("something", std::chrono::hours(25));
  EXPECT_TRUE(packs());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(PackedCache, ACacheThatCannotBeWritten) {
  add("a.png", scattered_image(4, 4, 1));
  directory_.write("cache", "a file");
  expect_error<DataError>([&] { open(); },
                          {cache().string(), "cannot make the directory", "--image-cache DIR"});
  fs::remove(cache());
  EXPECT_TRUE(packs());
  // One that is complete need not be written to: as root there are no rights to take away, but
  // the directory's time tells.
  const auto time = fs::last_write_time(cache());
  EXPECT_FALSE(packs());
  EXPECT_EQ(fs::last_write_time(cache()), time);
}

TEST_F(PackedCache, FailuresLeaveNoDirectoriesBehind) {
  directory_.write("data/a.png", "");
  DatasetOptions deep = options();
  deep.images.cache = directory_ / "some/where/deep/";
  EXPECT_THROW(Dataset::open(data(), deep), DataError);
  EXPECT_FALSE(fs::exists(directory_ / "some"));
  fs::create_directory(directory_ / "some");
  EXPECT_THROW(Dataset::open(data(), deep), DataError);
  EXPECT_TRUE(fs::is_empty(directory_ / "some"));
}

TEST_F(PackedCache, PackingsAtOnceDoNotMeet) {
  constexpr int kCount = 300;
  for (int i = 0; i < kCount; ++i)
    add(std::to_string(1000 + i) + ".png", scattered_image(16, 16, 3, i));
  const auto pack = [&] {
    const Dataset read = Dataset::open(
        data(), {.validation_fraction = 0.0, .images = {.cache = cache(), .threads = 1}});
    ASSERT_EQ(read.split("train").size(), kCount);
    for (int i = 0; i < kCount; ++i)
      ASSERT_EQ(row(read, "train", i), scattered_image(16, 16, 3, i).pixels);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(pack);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::distance(fs::directory_iterator(cache()), {}), 1) << "something is left behind";
  EXPECT_FALSE(packs());
}

TEST_F(PackedCache, ThousandsArePackedAsEachIsDecoded) {
  // Several blocks, threads and a remainder; sizes that take resizing or none.
  constexpr int kCount = 3000;
  for (int i = 0; i < kCount; ++i) {
    const Image image = scattered_image(5 + i % 7, 5 + i % 5, 3, i);
    directory_.write(
        "data/" + std::to_string(i % 10) + "/" + std::to_string(i) + (i % 2 == 0 ? ".png" : ".jpg"),
        i % 2 == 0 ? png_bytes(image) : jpeg_bytes(image));
  }
  const Dataset read = open({.size = 5, .threads = 4});
  ASSERT_EQ(read.split("train").size(), kCount);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(data()))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  for (int i = 0; i < kCount; ++i) {
    const fs::path& file = files[static_cast<size_t>(i)];
    ASSERT_EQ(row(read, "train", i), fitted_square(decode_picture(file), 5).pixels) << file;
    ASSERT_EQ(std::to_string(read.split("train").labels[static_cast<size_t>(i)]),
              file.parent_path().filename());
  }
  EXPECT_EQ(listener_.total, kCount);
  EXPECT_EQ(listener_.done, kCount);
  const std::string bytes = read_bytes(listener_.packed.entry / "train.npy");
  fs::remove_all(cache());
  open({.size = 5, .threads = 1});
  EXPECT_EQ(read_bytes(listener_.packed.entry / "train.npy"), bytes);
}

TEST(Fnv, IsTheOneThatIsPublished) {
  const auto hash = [](std::string_view text) {
    Fnv128 fnv;
    for (const char c : text) fnv.add_byte(static_cast<uint8_t>(c));
    return fnv.digits();
  };
  // draft-eastlake-fnv, appendix of test vectors.
  EXPECT_EQ(hash(""), "6c62272e07bb014262b821756295c58d");
  EXPECT_EQ(hash("a"), "d228cb696f1a8caf78912b704e4a8964");
  EXPECT_EQ(hash("foobar"), "343e1662793c64bf6f0d3597ba446f18");
}

TEST(PackedKeys, TellPartsApart) {
  const auto name = [](std::initializer_list<std::string_view> parts, const FileStamp& stamp = {}) {
    PackedKey key("images", {});
    for (const std::string_view part : parts) key.add(part);
    key.add(stamp);
    return key.name();
  };
  EXPECT_EQ(name({"ab", "c"}), name({"ab", "c"}));
  EXPECT_NE(name({"ab", "c"}), name({"a", "bc"}));
  EXPECT_NE(name({"ab"}), name({"ab"}, {.size = 1}));
  EXPECT_NE(name({"ab"}, {.modified_ns = 1}), name({"ab"}, {.changed_ns = 1}));
  EXPECT_NE(PackedKey("images", {}).name(), PackedKey("cifar-10", {}).name());
}

}  // namespace
}  // namespace elbo

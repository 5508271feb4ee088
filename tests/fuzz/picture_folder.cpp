#include <stdexcept>

#include "host/data/picture_list.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {
namespace {

namespace fs = std::filesystem;

/// A path that stays within its directory.
bool stays(std::string_view path) {
  return !path.empty() && path.size() < 200 && path.front() != '/' &&
         path.find("..") == std::string_view::npos && path.find('\0') == std::string_view::npos;
}

/// One entry a line: "NAME/" a directory, "NAME>TARGET" a link from the folder to it, else a file.
void parse(Bytes input) {
  const Scratch scratch;
  std::string_view rest = text_of(input);
  std::error_code ignored;
  for (int lines = 0; !rest.empty() && lines < 200; ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t arrow = line.find('>');
    const std::string_view name = line.substr(0, arrow);
    if (!stays(name)) continue;
    const fs::path path = scratch.path() / name;
    if (fs::symlink_status(path, ignored).type() == fs::file_type::symlink) continue;
    fs::create_directories(path.parent_path(), ignored);
    if (arrow == std::string_view::npos) {
      if (!name.ends_with('/')) scratch.write(name, {});
    } else if (const std::string_view target = line.substr(arrow + 1); stays(target)) {
      fs::create_symlink(scratch.path() / target, path, ignored);
    }
  }
  const PictureList list = list_pictures(scratch.path());
  for (const ListedPicture& picture : list.pictures)
    if (picture.label >= std::ssize(list.classes)) throw std::logic_error("a label of no class");
}

std::vector<std::string> seeds() {
  // Each directory has twice as many paths as the previous one, without a loop.
  std::string doubling;
  for (int i = 0; i < 30; ++i) {
    const std::string here = "d" + std::to_string(i), next = "d" + std::to_string(i + 1);
    doubling += here + "/a>" + next + "\n" + here + "/b>" + next + "\n";
  }
  return {"a.png\nb.jpg\nnotes.txt\n",
          "train/cat/1.png\ntrain/dog/2.png\ntest/cat/3.jpeg\n",
          "train/a/1.png\ntrain/a/up>train\nloop.png>loop.png\ntrain/none.png>nothing\n",
          "train/1.png\nval/\nVALID/2.png\n",
          "x\x1b[31m/\n.png/a.png\n",
          doubling + "d30/a.png\n"};
}

}  // namespace

const Target kPictureFolder = {"picture_folder", 2048, 256, 1 << 20, parse, seeds};

}  // namespace elbo::fuzz

// The pictures of a directory tree, in an order that is the same on every machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// When a file was last changed: its content (mtime) or anything of it (ctime), and how long it is.
struct FileStamp {
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
};

/// The stamp of a file, links followed; all 0 where there is none.
FileStamp stamp_of(const std::filesystem::path& file);

struct ListedPicture {
  std::string name;         // path within the folder
  std::string_view split;   // one of kSplitNames
  std::int32_t label = -1;  // an index into `classes`; -1: none
  FileStamp stamp;
  std::string fault;  // what keeps it from being read at all; empty: nothing
};

struct PictureList {
  std::vector<ListedPicture> pictures;  // by split in kSplitNames' order, then by path
  std::vector<std::string> classes;     // sorted
};

/// Looks through `folder`.
///
/// Directories in it that are named for splits hold those; otherwise everything is train.
/// Directories within a split are classes, and what lies deeper belongs to the uppermost.
/// Hidden entries and other files are passed over; links are followed. An entry that cannot be is
/// listed with its fault: broken links, loops of links, unreadable directories, a directory that a
/// split has twice, pictures that are no regular files.
///
/// The list is empty where there is no picture anywhere. Throws DataError where a split holds
/// pictures both in classes and beside them, or none while others do, where two directories are
/// named for one split, or pictures lie beside the splits.
PictureList list_pictures(const std::filesystem::path& folder);

}  // namespace elbo

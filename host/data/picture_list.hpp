// The pictures of a directory tree, in an order that is the same on every machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// Times of the last change of a file's content (mtime) and metadata (ctime), and its size.
struct FileStamp {
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
};

/// The stamp of a file, links followed; all 0 if there is none.
FileStamp stamp_of(const std::filesystem::path& file);

struct ListedPicture {
  std::string name;         // path within the folder
  std::string_view split;   // one of kSplitNames
  std::int32_t label = -1;  // an index into `classes`; -1: none
  FileStamp stamp;
  std::string fault;  // why it cannot be read; empty: it can
};

struct PictureList {
  std::vector<ListedPicture> pictures;  // by split in kSplitNames' order, then by path
  std::vector<std::string> classes;     // sorted
};

/// Looks through `folder`.
///
/// Directories with the names of splits contain these splits; otherwise everything is train.
/// Directories within a split are classes, and deeper entries belong to the uppermost class. Hidden
/// entries and other files are skipped; links are followed. An entry that cannot be read is listed
/// with its fault: broken links, loops of links, unreadable directories, a directory that occurs
/// twice in a split, pictures that are not regular files.
///
/// The list is empty if there is no picture. Throws DataError if a split contains pictures both in
/// classes and outside of them, if some splits have classes and others do not, if two directories
/// name the same split, or if pictures are outside the splits.
PictureList list_pictures(const std::filesystem::path& folder);

}  // namespace elbo

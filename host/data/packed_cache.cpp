#include "host/data/packed_cache.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/mapped_file.hpp"
#include "kernels/core/error.hpp"
#include "kernels/core/user_cache.hpp"

namespace elbo {
namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;  // only for writing: its look-up is linear
using Json = nlohmann::json;
namespace {

constexpr std::string_view kFormat = "elbo packed pictures";
constexpr int kVersion = 2;  // also of how pictures are decoded and resized
constexpr const char* kManifest = "manifest.json";
constexpr std::string_view kTemporary = ".packing-";
constexpr const char* kRemedy = "; --image-cache DIR keeps decoded pictures elsewhere";

[[noreturn]] void fail_cache(const fs::path& cache, std::string_view action, int error) {
  fail_file(cache,
            formatted("cannot {}: {}{}", action, std::generic_category().message(error), kRemedy));
}

/// Directories left by killed processes: nothing in them has changed for a day.
void remove_abandoned(const fs::path& cache) {
  const auto limit = fs::file_time_type::clock::now() - std::chrono::hours(24);
  std::error_code error;
  std::vector<fs::path> abandoned;
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(kTemporary)) continue;
    std::error_code ignored;
    fs::file_time_type last = it->last_write_time(ignored);
    for (const auto& file : fs::directory_iterator(it->path(), ignored)) {
      last = std::max(last, file.last_write_time(ignored));
    }
    if (last < limit) abandoned.push_back(it->path());
  }
  for (const fs::path& directory : abandoned) fs::remove_all(directory, error);
}

/// A new directory in the cache, with a unique name.
fs::path make_temporary(const fs::path& cache) {
  static std::atomic<unsigned> counter{0};
  for (;;) {
    const fs::path directory =
        cache / formatted("{}{}-{}", kTemporary, ::getpid(), counter.fetch_add(1));
    if (::mkdir(directory.c_str(), 0777) == 0) return directory;
    if (errno != EEXIST) fail_cache(cache, "write to it", errno);
  }
}

fs::path cache_of(const ImageOptions& options) {
  if (!options.cache.empty()) return options.cache;
  const fs::path folder = user_cache_folder();
  if (folder.empty()) {
    throw ConfigError("cache: neither XDG_CACHE_HOME nor HOME is set" + std::string(kRemedy));
  }
  return folder;
}

struct Entry {
  std::vector<Table> tables;
  std::int64_t pictures;
  std::vector<BadPicture> left_out;
};

/// Throws DataError or Json::exception if any part of an entry was changed.
Entry read_entry(const fs::path& directory) {
  const fs::path path = directory / kManifest;
  const MappedFile file(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  const Json manifest = Json::parse(text, text + file.bytes().size());
  if (manifest.at("format") != kFormat || manifest.at("version") != kVersion) {
    fail_file(path, "another format");
  }
  Entry entry{read_npy_tables(directory), manifest.at("pictures").get<std::int64_t>(), {}};
  const Json& splits = manifest.at("splits");
  if (entry.tables.size() != splits.size()) fail_file(directory, "files are missing");
  for (const Table& table : entry.tables) {
    const Json& split = splits.at(table.split);
    if (table.dtype != DType::u8 || table.shape != split.at("shape").get<Shape>() ||
        table.labels.empty() == split.at("labelled").get<bool>()) {
      fail_file(directory, "split " + table.split + " does not match the manifest");
    }
  }
  for (const Json& bad : manifest.at("left_out")) {
    entry.left_out.push_back({bad.at("name"), bad.at("reason")});
  }
  return entry;
}

std::optional<Entry> find_entry(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) return std::nullopt;
  try {
    return read_entry(directory);
  } catch (const DataError&) {
  } catch (const Json::exception&) {
  }
  return std::nullopt;
}

}  // namespace

PackedKey::PackedKey(std::string_view kind, const ImageOptions& options) {
  add(kFormat);
  add_number(kVersion);
  add(kind);
  add_number(static_cast<std::uint64_t>(options.size));
  add_number(static_cast<std::uint64_t>(options.channels));
  add_number(options.skip_bad ? 1 : 0);
}

void PackedKey::add(std::string_view text) {
  add_number(text.size());
  for (const char c : text) hash_.add_byte(static_cast<std::uint8_t>(c));
}

void PackedKey::add(const FileStamp& stamp) {
  for (const std::int64_t number : {stamp.size, stamp.modified_ns, stamp.changed_ns}) {
    add_number(static_cast<std::uint64_t>(number));
  }
}

void PackedKey::add_number(std::uint64_t number) {
  for (int i = 0; i < 8; ++i) hash_.add_byte(static_cast<std::uint8_t>(number >> 8 * i));
}

std::string PackedKey::name() const { return hash_.digits(); }

PackedWriter::PackedWriter(const fs::path& cache, const std::string& name)
    : cache_(cache), entry_(cache / name) {
  std::error_code error;
  fs::path there = fs::absolute(cache).lexically_normal();
  if (!there.has_filename()) there = there.parent_path();  // "cache/"
  for (; !fs::exists(there, error) && there.has_relative_path(); there = there.parent_path()) {
    made_.push_back(there);
  }
  fs::create_directories(cache, error);
  if (error) fail_cache(cache, "make the directory", error.value());
  remove_abandoned(cache);
  directory_ = make_temporary(cache);
}

PackedWriter::~PackedWriter() {
  rows_.reset();
  labels_.reset();
  std::error_code ignored;
  if (directory_.empty()) return;
  fs::remove_all(directory_, ignored);
  for (const fs::path& made : made_) {
    if (!fs::remove(made, ignored)) break;  // not empty any more
  }
}

void PackedWriter::require_space(std::int64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(directory_, error);
  if (error || space.available >= static_cast<std::uint64_t>(bytes)) return;
  constexpr std::uint64_t kMega = 1'000'000;
  fail_file(cache_,
            formatted("the pictures take {} MB there, {} MB are free{}",
                      bytes / static_cast<std::int64_t>(kMega), space.available / kMega, kRemedy));
}

void PackedWriter::begin_split(std::string_view split, const Shape& sample_shape, bool labelled) {
  end_split();
  splits_.push_back({split, sample_shape, labelled});
  const std::string name(split);
  rows_.emplace(directory_ / (name + ".npy"), NpyType::u8, sample_shape);
  if (labelled) labels_.emplace(directory_ / (name + "_labels.npy"), NpyType::i32, Shape{});
}

void PackedWriter::append(std::span<const std::uint8_t> rows,
                          std::span<const std::int32_t> labels) {
  ELBO_ASSERT(rows_ && labels_.has_value() != labels.empty());
  rows_->append(std::as_bytes(rows));
  if (labels_) labels_->append(std::as_bytes(labels));
}

void PackedWriter::end_split() {
  if (!rows_) return;
  Shape& shape = splits_.back().shape;
  shape.insert(shape.begin(), rows_->rows());
  ELBO_ASSERT(!labels_ || labels_->rows() == rows_->rows());
  rows_->commit();
  if (labels_) labels_->commit();
  rows_.reset();
  labels_.reset();
}

void PackedWriter::commit(const PackedManifest& manifest) {
  end_split();
  OrderedJson json = {{"format", kFormat},
                      {"version", kVersion},
                      {"source", manifest.source.string()},
                      {"pictures", manifest.pictures},
                      {"classes", manifest.classes},
                      {"splits", OrderedJson::object()},
                      {"left_out", OrderedJson::array()}};
  for (const Split& split : splits_) {
    json["splits"][std::string(split.name)] = {{"shape", split.shape},
                                               {"labelled", split.labelled}};
  }
  for (const BadPicture& bad : manifest.left_out) {
    json["left_out"].push_back({{"name", bad.name}, {"reason", bad.reason}});
  }
  // Names of files need not be UTF-8; JSON must be.
  write_file_atomically(directory_ / kManifest,
                        json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + '\n');

  while (::rename(directory_.c_str(), entry_.c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) {
      fail_cache(entry_, "rename it", errno);
    }
    if (find_entry(entry_)) return;  // an equal entry of another process
    const fs::path damaged = directory_.string() + "-damaged";
    if (::rename(entry_.c_str(), damaged.c_str()) != 0 && errno != ENOENT) {
      fail_cache(entry_, "replace it", errno);
    }
    std::error_code ignored;
    fs::remove_all(damaged, ignored);
  }
  directory_.clear();
}

std::vector<Table> open_packed(const PackedKey& key, const fs::path& source,
                               const ImageOptions& options,
                               const std::function<PackedManifest(PackedWriter&)>& pack) {
  const fs::path cache = cache_of(options);
  const std::string name = key.name();
  std::optional<Entry> entry = find_entry(cache / name);
  const bool found = entry.has_value();
  if (!found) {
    PackedWriter writer(cache, name);
    writer.commit(pack(writer));
    entry = find_entry(cache / name);
    if (!entry) fail_file(cache / name, "cannot be read back");
  }
  for (Table& table : entry->tables) table.source = source.string();
  if (options.observer != nullptr) {
    options.observer->on_opened(
        {cache / name, !found, entry->pictures, std::move(entry->left_out)});
  }
  return std::move(entry->tables);
}

}  // namespace elbo

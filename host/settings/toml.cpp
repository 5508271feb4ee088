#include "host/settings/toml.hpp"

#include <toml++/toml.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "host/io/file_error.hpp"
#include "host/io/mapped_file.hpp"
#include "host/io/text.hpp"

namespace elbo {
namespace {

// toml++ needs the workarounds below; toml11 3.7 would need others: it silently clamps integers and
// reals that are out of range, rejects strings that are not UTF-8 (paths may not be), and overflows
// the stack on 16 KiB of nested arrays.
//
// In toml++ up to 3.4, non-ASCII characters outside of strings and in multi-line strings are
// undefined behaviour (its issues 190 and 295). The parser therefore receives ASCII only: each
// non-ASCII byte is encoded as "%" and two hexadecimal digits. This also admits paths that are not
// UTF-8.
std::string in_ascii(std::string_view text) {
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && c != '%') {
      ascii += c;
    } else {
      constexpr char kDigits[] = "0123456789ABCDEF";
      ascii += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return ascii;
}
std::string from_ascii(std::string_view ascii) {
  std::string text;
  for (size_t i = 0; i < ascii.size(); ++i) {
    int byte = 0;
    const char* digits = ascii.data() + i + 1;
    if (ascii[i] == '%' && i + 2 < ascii.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      text += static_cast<char>(byte);
      i += 2;
    } else {
      text += ascii[i];
    }
  }
  return text;
}

std::string string_in(const toml::node& node) { return from_ascii(**node.as_string()); }

// Does not use the formatter of toml++: up to version 3.4 it drops a newline at the start of a
// string and is undefined for numbers below one in long arrays. Appends to a string because a
// stream hides a failed allocation.
void write(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    if ((c >= 0 && c < ' ') || c == '\x7f') {
      out += {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += '"';
}
void write(std::string& out, int64_t value) { out += std::to_string(value); }
void write(std::string& out, bool value) { out += value ? "true" : "false"; }
void write(std::string& out, double value) {
  const std::string digits = exact_text(value);
  out += digits;
  if (digits.find_first_of(".en") == std::string_view::npos) out += ".0";
}
void write(std::string& out, const toml::node& node);
template <class Values>
void write_list(std::string& out, const Values& values) {
  out += '[';
  const char* separator = "";
  for (const auto& value : values) {
    out += std::exchange(separator, ", ");
    write(out, value);
  }
  out += ']';
}
template <class Number>
void write(std::string& out, const std::vector<Number>& values) {
  write_list(out, values);
}
/// Writes a value of any type, for messages.
void write(std::string& out, const toml::node& node) {
  node.visit([&](const auto& value) {
    if constexpr (toml::is_table<decltype(value)>)
      out += "a table";
    else if constexpr (toml::is_chronological<decltype(value)>)
      out += "a date or time";
    else if constexpr (toml::is_array<decltype(value)>)
      write_list(out, value);
    else if constexpr (toml::is_string<decltype(value)>)
      write(out, from_ascii(*value));
    else
      write(out, *value);
  });
}
template <class T>
std::string written(const T& value) {
  std::string text;
  write(text, value);
  return text;
}

void read_node(std::string_view key, const toml::node& node, std::string& out) {
  if (!node.is_string()) reject_value(key, written(node), "a string in quotes");
  out = string_in(node);
}
void read_node(std::string_view key, const toml::node& node, int64_t& out) {
  if (!node.is_integer()) reject_value(key, written(node), "a whole number");
  out = **node.as_integer();
}
void read_node(std::string_view key, const toml::node& node, double& out) {
  // Does not use node.value<double>(), which returns nothing for an integer that no double equals.
  if (node.is_integer())
    out = static_cast<double>(**node.as_integer());
  else if (node.is_floating_point())
    out = **node.as_floating_point();
  else
    reject_value(key, written(node), "a number");
  if (!std::isfinite(out)) reject_value(key, written(node), "a finite number");
}
void read_node(std::string_view key, const toml::node& node, bool& out) {
  if (!node.is_boolean()) reject_value(key, written(node), "true or false, without quotes");
  out = **node.as_boolean();
}
void read_node(std::string_view key, const toml::node& node, std::vector<double>& out) {
  if (node.is_string()) return read_text(key, string_in(node), out);
  const toml::array* array = node.as_array();
  if (array == nullptr) reject_value(key, written(node), "an array of numbers, like [0.5, 20]");
  out.clear();
  for (const toml::node& item : *array) read_node(key, item, out.emplace_back());
}
void read_node(std::string_view key, const toml::node& node, std::vector<int64_t>& out) {
  if (node.is_string()) return read_text(key, string_in(node), out);
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::integer)) {
    if (array == nullptr || !array->empty())
      reject_value(key, written(node), "an array of whole numbers, like [512, 256]");
  }
  out.clear();
  for (const toml::node& item : *array) out.push_back(**item.as_integer());
}

}  // namespace

struct TomlSettings::Table {
  toml::table values;
  const toml::node& at(std::string_view key) const { return *values.get(in_ascii(key)); }
};

TomlSettings::TomlSettings(std::string_view text, std::string source)
    : source_(std::move(source)), table_(std::make_unique<Table>()) {
  // A text with every setting takes a tenth of this limit. The parser handles nested tables by
  // recursion; the stack has room for about ten times the depth that fits into this limit.
  constexpr size_t kLongest = 1 << 14;
  if (text.size() > kLongest)
    throw ConfigError(in_one_line(source_) + ": " + std::to_string(text.size()) +
                      " bytes of settings, expected at most " + std::to_string(kLongest));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark
  try {
    table_->values = toml::parse(in_ascii(text));
  } catch (const toml::parse_error& error) {
    throw ConfigError(in_one_line(source_ + ":" + std::to_string(error.source().begin.line) + ": " +
                                  std::string(error.description())));
  }
  for (const auto& [key, value] : table_->values) keys_.push_back(from_ascii(key.str()));
}

TomlSettings::~TomlSettings() = default;

void TomlSettings::fail(const char* message) const {
  throw ConfigError(in_one_line(source_) + ": " + message);
}

bool TomlSettings::has(std::string_view key) const {
  return table_->values.contains(in_ascii(key));
}

void TomlSettings::read(std::string_view key, bool& out) const {
  read_node(key, table_->at(key), out);
}
void TomlSettings::read(std::string_view key, int64_t& out) const {
  read_node(key, table_->at(key), out);
}
void TomlSettings::read(std::string_view key, double& out) const {
  read_node(key, table_->at(key), out);
}
void TomlSettings::read(std::string_view key, std::string& out) const {
  read_node(key, table_->at(key), out);
}
void TomlSettings::read(std::string_view key, std::vector<int64_t>& out) const {
  read_node(key, table_->at(key), out);
}
void TomlSettings::read(std::string_view key, std::vector<double>& out) const {
  read_node(key, table_->at(key), out);
}

TomlSettings toml_file(const std::filesystem::path& path) {
  std::optional<MappedFile> file;
  try {
    file.emplace(path);
  } catch (const DataError& error) {
    throw ConfigError(std::string("config: ") + error.what());
  }
  const std::span<const std::byte> bytes = file->bytes();
  return {{reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string()};
}

std::string toml_of(bool value) { return written(value); }
std::string toml_of(int64_t value) { return written(value); }
std::string toml_of(double value) { return written(value); }
std::string toml_of(std::string_view value) { return written(value); }
std::string toml_of(const std::vector<int64_t>& values) { return written(values); }
std::string toml_of(const std::vector<double>& values) { return written(values); }

}  // namespace elbo

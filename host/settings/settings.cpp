#include "host/settings/settings.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "host/io/file_error.hpp"

namespace elbo {

void reject_key(std::string_view key, const std::string& source,
                const std::vector<std::string>& known) {
  throw ConfigError(in_one_line(source) + ": unknown setting " + in_quotes(key) +
                    "; did you mean '" + nearest_name(key, known) + "'?");
}

void refuse_if(bool contradiction, const std::string& one, const std::string& other,
               const std::string& advice) {
  if (contradiction) throw ConfigError(one + " cannot be combined with " + other + ": " + advice);
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  name = name.substr(0, 64);  // a longer name is near to nothing, and takes its time
  std::string best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < name.size(); ++i) {
      size_t diagonal = row[0]++;
      for (size_t j = 0; j < candidate.size(); ++j) {
        const size_t substitution = diagonal + (name[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substitution, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace elbo

#include "host/data/image_options.hpp"

#include <algorithm>
#include <utility>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"

namespace elbo {

std::string enumerate(std::span<const BadPicture> pictures, std::size_t most) {
  std::string text;
  for (const BadPicture& picture : pictures.first(std::min(most, pictures.size()))) {
    text += formatted("{}{} ({})", text.empty() ? "" : ", ", picture.name, picture.reason);
  }
  if (pictures.size() > most) text += formatted(", and {} more", pictures.size() - most);
  return in_one_line(std::move(text));
}

}  // namespace elbo

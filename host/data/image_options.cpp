#include "host/data/image_options.hpp"

#include <algorithm>

namespace elbo {

std::string enumerate(std::span<const BadPicture> pictures, std::size_t most) {
  std::string text;
  for (const BadPicture& picture : pictures.first(std::min(most, pictures.size()))) {
    text += (text.empty() ? "" : ", ") + picture.name + " (" + picture.reason + ")";
  }
  if (pictures.size() > most) text += ", and " + std::to_string(pictures.size() - most) + " more";
  const auto is_control = [](char c) { return (c >= '\0' && c < ' ') || c == '\x7f'; };
  std::ranges::replace_if(text, is_control, '?');
  return text;
}

}  // namespace elbo

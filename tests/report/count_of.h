// How often a text holds another.
#pragma once

#include <string>
#include <string_view>

namespace lathe {

inline size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

}  // namespace lathe

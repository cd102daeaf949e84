#include "os/proc_text.h"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace lathe {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

std::optional<std::string> small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  char piece[4096];
  do {
    file.read(piece, sizeof piece);
    text.append(piece, static_cast<size_t>(file.gcount()));
  } while (file && text.size() < size_t{1} << 20);
  if (file.bad()) return std::nullopt;
  return std::string(trimmed(text));
}

std::optional<std::string> text_field(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == name)
      return std::string(trimmed(line.substr(colon + 1)));
  }
  return std::nullopt;
}

std::optional<int64_t> kib_field(std::string_view text, std::string_view name) {
  const std::optional<std::string> field = text_field(text, name);
  if (!field) return std::nullopt;
  int64_t kib = 0;
  const auto [end, problem] = std::from_chars(field->data(), field->data() + field->size(), kib);
  if (problem != std::errc{} || kib < 0 || kib > INT64_MAX / 1024) return std::nullopt;
  return kib * 1024;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t begin = text.find_first_not_of(kBlank); begin != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kBlank, begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kBlank, end);
  }
  return words;
}

}  // namespace lathe

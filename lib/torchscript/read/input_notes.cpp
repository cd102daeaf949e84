#include "torchscript/read/input_notes.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace lathe {
namespace {

bool is_symbol(std::string_view text) {
  const auto letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  return !text.empty() && !std::isdigit(static_cast<unsigned char>(text[0])) && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), letter);
}

std::string dim_text(const Dim& dim) {
  if (dim.known()) return std::to_string(dim.size);
  std::string symbol = dim.symbol.substr(0, 64);
  std::replace_if(
      symbol.begin(), symbol.end(),
      [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '_'; }, '_');
  return is_symbol(symbol) ? symbol : "?";
}

std::optional<Dim> parse_dim(std::string_view text) {
  if (text == "?") return Dim{};
  if (is_symbol(text)) return Dim::named(std::string(text));
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size < 0 || size > INT32_MAX)
    return std::nullopt;
  return Dim::of(size);
}

std::optional<InputNote> parse_line(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::optional<DType> dtype = dtype_from_name(line.substr(0, space));
  if (!dtype || *dtype == DType::kString) return std::nullopt;
  InputNote note{*dtype, {}};
  for (std::string_view rest = line.substr(space + 1); !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::optional<Dim> dim = parse_dim(rest.substr(0, comma));
    if (!dim || note.dims.size() == kMaxRank || comma + 1 == rest.size()) return std::nullopt;
    note.dims.push_back(*dim);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return note;
}

}  // namespace

std::string input_notes_text(const std::vector<InputNote>& inputs) {
  std::string text;
  for (const InputNote& input : inputs) {
    text += std::string(dtype_name(input.dtype)) + " ";
    for (size_t i = 0; i < input.dims.size(); ++i)
      text += (i == 0 ? "" : ",") + dim_text(input.dims[i]);
    text += "\n";
  }
  return text;
}

std::optional<std::vector<InputNote>> parse_input_notes(std::string_view text) {
  std::vector<InputNote> notes;
  if (text.size() > kMaxInputNotesBytes) return std::nullopt;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::optional<InputNote> note = parse_line(text.substr(0, end));
    if (!note) return std::nullopt;
    notes.push_back(*note);
    text.remove_prefix(end + 1);
  }
  return notes;
}

}  // namespace lathe

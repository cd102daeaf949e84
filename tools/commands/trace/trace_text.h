// A file's text, byte by byte, for the JSON parser.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "os/read_file.h"

namespace lathe {

/// Reads in blocks, counts lines, and refuses what would make the parser grow or go astray: a NUL
/// byte (it takes it for the end), and a string or number of more than 1 MiB.
class TraceText {
 public:
  /// Throws Error (exit 3) when it cannot be read, exit 8 above `max_bytes`.
  TraceText(const std::string& path, int64_t max_bytes);

  bool at_end() const { return at_ == filled_; }
  char current() const { return buffer_[at_]; }
  void advance();
  /// "trace.json:17".
  std::string place() const;

 private:
  void fill();
  void look();

  std::string path_;
  InputFile file_;
  std::array<char, 65536> buffer_;
  size_t at_ = 0;
  size_t filled_ = 0;
  int64_t line_ = 1;
  size_t token_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

/// The iterator that nlohmann's parser wants; all copies share the text's place.
class TraceTextIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  /// Without text: the end.
  explicit TraceTextIterator(TraceText* text = nullptr) : text_(text) {}
  char operator*() const { return text_->current(); }
  TraceTextIterator& operator++() {
    text_->advance();
    return *this;
  }
  TraceTextIterator operator++(int) {
    text_->advance();
    return *this;
  }
  bool operator==(const TraceTextIterator& other) const { return is_end() == other.is_end(); }
  bool operator!=(const TraceTextIterator& other) const { return !(*this == other); }

 private:
  bool is_end() const { return text_ == nullptr || text_->at_end(); }

  TraceText* text_;
};

}  // namespace lathe

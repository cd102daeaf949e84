#include "report/strict_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace lathe {
namespace {

using nlohmann::json;

Error json_error(ExitCode code, std::string id, std::string message, std::string where,
                 std::string hint = {}) {
  return Error(code, std::move(id), {std::move(message), std::move(where), std::move(hint)});
}

std::string line_and_column(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t last = before.rfind('\n');
  const size_t column = last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return std::to_string(lines + 1) + ":" + std::to_string(column + 1);
}

// Counts what the lexer has taken, because nlohmann's events do not say where they are.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* taken) : at_(at), taken_(taken) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*taken_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* taken_;
};

// Builds the document and refuses what nlohmann's own builder lets pass.
class StrictBuilder {
 public:
  StrictBuilder(std::string_view text, std::string_view file, ExitCode code, const size_t& taken)
      : text_(text), file_(file), code_(code), taken_(taken) {}

  json take() { return std::move(root_); }

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& digits) {
    if (digits.find_first_of(".eE") == std::string::npos)
      throw at("json.number", "the integer " + escape_untrusted(digits, 40) + " is beyond 64 bits");
    return put(value);
  }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(json::binary_t&) { throw InternalError("binary value in JSON text"); }
  bool start_object(size_t) { return enter(json::object()); }
  bool start_array(size_t) { return enter(json::array()); }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }
  bool key(std::string& name) {
    json& object = *open_.back();
    if (object.contains(name))
      throw at("json.duplicate_key", "the key \"" + escape_untrusted(name) + "\" appears twice");
    slot_ = &object[name];
    return true;
  }
  bool parse_error(size_t position, const std::string&, const json::exception& problem) {
    // nlohmann writes "[json.exception.…] parse error at line 1, column 2: syntax error …".
    std::string_view what = problem.what();
    for (const std::string_view mark : {"syntax error ", "number overflow", "invalid "}) {
      const size_t found = what.find(mark);
      if (found == std::string_view::npos) continue;
      what.remove_prefix(found);
      break;
    }
    throw json_error(code_, "json.syntax", escape_untrusted(what, 300),
                     place(position == 0 ? 0 : position - 1));
  }

 private:
  template <class T>
  bool put(T&& value) {
    add(json(std::forward<T>(value)));
    return true;
  }
  json* add(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool enter(json container) {
    if (open_.size() >= static_cast<size_t>(kMaxJsonDepth))
      throw over_limit("json.depth",
                       "nested deeper than " + std::to_string(kMaxJsonDepth) + " levels",
                       place(taken_ == 0 ? 0 : taken_ - 1));
    open_.push_back(add(std::move(container)));
    return true;
  }
  bool leave() {
    open_.pop_back();
    return true;
  }
  std::string place(size_t offset) const { return file_ + ":" + line_and_column(text_, offset); }
  Error at(std::string id, std::string message) const {
    return json_error(code_, std::move(id), std::move(message),
                      place(taken_ == 0 ? 0 : taken_ - 1));
  }

  std::string_view text_;
  std::string file_;
  ExitCode code_;
  const size_t& taken_;
  json root_;
  // A container's address holds while it is open: only its own elements are added meanwhile.
  std::vector<json*> open_;
  json* slot_ = nullptr;
};

}  // namespace

json parse_json_strict(std::string_view text, std::string_view file, ExitCode code,
                       size_t max_bytes) {
  const std::string shown = escape_untrusted(file);
  if (text.size() > max_bytes)
    throw over_limit("json.size",
                     "JSON of " + std::to_string(text.size()) + " bytes; at most " +
                         std::to_string(max_bytes >> 20) + " MiB are read",
                     shown);
  // nlohmann takes a NUL for the end of the text.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    throw json_error(code, "json.syntax", "NUL byte in JSON text",
                     shown + ":" + line_and_column(text, nul), "is this UTF-8 text?");
  size_t taken = 0;
  StrictBuilder builder(text, shown, code, taken);
  const char* first = text.data();
  json::sax_parse(CountingIterator(first, &taken), CountingIterator(first + text.size(), &taken),
                  &builder);
  return builder.take();
}

}  // namespace lathe

#include "commands/trace/trace_text.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

constexpr size_t kMaxTokenBytes = 1 << 20;

}  // namespace

TraceText::TraceText(const std::string& path, int64_t max_bytes) : path_(path), file_(path) {
  if (file_.size() > max_bytes)
    throw over_limit("trace.size",
                     fmt::format("a trace of {}; at most {} are read", bytes_text(file_.size()),
                                 bytes_text(max_bytes)),
                     escape_untrusted(path));
  fill();
}

void TraceText::fill() {
  at_ = 0;
  filled_ = file_.read(std::as_writable_bytes(std::span(buffer_)));
  if (filled_ > 0) look();
}

void TraceText::advance() {
  if (buffer_[at_] == '\n') ++line_;
  if (++at_ < filled_)
    look();
  else
    fill();
}

// Notes what the byte that comes next does to the token under way.
void TraceText::look() {
  const char byte = buffer_[at_];
  if (byte == '\0')
    throw bad_input("trace.syntax", "NUL byte in JSON text", place(), "is this a trace?");
  ++token_;
  if (in_string_) {
    if (byte == '"' && !escaped_) in_string_ = false;
    escaped_ = byte == '\\' && !escaped_;
  } else if (byte == '"') {
    in_string_ = true;
    escaped_ = false;
    token_ = 1;
  } else if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t' || byte == ',' ||
             byte == ':' || byte == '{' || byte == '}' || byte == '[' || byte == ']') {
    token_ = 0;
  }
  if (token_ > kMaxTokenBytes)
    throw over_limit("trace.token", "a string or number of more than 1 MiB", place());
}

std::string TraceText::place() const {
  return fmt::format("{}:{}", escape_untrusted(path_), line_);
}

}  // namespace lathe

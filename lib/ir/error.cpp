#include "ir/error.h"

#include <fmt/format.h>

#include <cstdint>

namespace lathe {
namespace {

std::string joined(const ErrorText& text) {
  std::string out = text.where.empty() ? text.message : text.where + ": " + text.message;
  if (!text.hint.empty()) out += " (" + text.hint + ")";
  return out;
}

// Length of a well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
size_t utf8_length(std::string_view text, uint32_t& code_point) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : (lead & 0xf0) == 0xe0       ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || length > text.size()) return 0;
  code_point = length == 1 ? lead : lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3f);
  }
  const bool overlong =
      (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xd800 && code_point < 0xe000;
  if (overlong || surrogate || code_point > 0x10ffff) return 0;
  return length;
}

bool is_unsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace

Error::Error(ExitCode code, std::string id, ErrorText text)
    : std::runtime_error(joined(text)), code_(code), id_(std::move(id)), text_(std::move(text)) {}

Error Error::within(std::string_view where) const {
  ErrorText text = text_;
  text.where = text.where.empty() ? std::string(where) : std::string(where) + ": " + text.where;
  return Error(code_, id_, std::move(text));
}

Error bad_input(std::string id, std::string message, std::string where, std::string hint) {
  return Error(ExitCode::kBadInput, std::move(id),
               {std::move(message), std::move(where), std::move(hint)});
}

Error bad_usage(std::string id, std::string message, std::string where, std::string hint) {
  return Error(ExitCode::kUsage, std::move(id),
               {std::move(message), std::move(where), std::move(hint)});
}

Error over_limit(std::string id, std::string message, std::string where, std::string hint) {
  return Error(ExitCode::kLimit, std::move(id),
               {std::move(message), std::move(where), std::move(hint)});
}

Error bad_output(std::string id, std::string message, std::string where, std::string hint) {
  return Error(ExitCode::kOutput, std::move(id),
               {std::move(message), std::move(where), std::move(hint)});
}

Error bad_environment(std::string id, std::string message, std::string where, std::string hint) {
  return Error(ExitCode::kEnvironment, std::move(id),
               {std::move(message), std::move(where), std::move(hint)});
}

std::string escape_untrusted(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= max_bytes) return out + "…";
    uint32_t code_point = 0;
    const size_t length = utf8_length(text.substr(i), code_point);
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[i++]));
    } else if (is_unsafe(code_point)) {
      out += code_point < 0x100 ? fmt::format("\\x{:02x}", code_point)
                                : fmt::format("\\u{:04x}", code_point);
      i += length;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

}  // namespace lathe

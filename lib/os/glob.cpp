#include "os/glob.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr std::string_view kOpPrefix = "op:";

bool equal_at(std::string_view text, std::string_view segment) {
  for (size_t i = 0; i < segment.size(); ++i)
    if (segment[i] != '?' && segment[i] != text[i]) return false;
  return true;
}

// End of the leftmost occurrence of a segment, npos when there is none. Shift-And: bit i of
// `state` says that segment[0..i] ends at the present byte; 64 positions a machine word, so that
// "?a?a?a…" on "aaaa…" is no slower than any other pair.
size_t find_end(std::string_view text, std::string_view segment) {
  if (segment.empty()) return 0;
  if (segment.size() > text.size()) return std::string_view::npos;
  const size_t words = (segment.size() + 63) / 64;
  std::vector<uint64_t> masks(256 * words, 0);
  for (size_t i = 0; i < segment.size(); ++i) {
    const uint64_t bit = uint64_t{1} << (i % 64);
    if (segment[i] != '?') {
      masks[static_cast<uint8_t>(segment[i]) * words + i / 64] |= bit;
    } else {
      for (size_t c = 0; c < 256; ++c) masks[c * words + i / 64] |= bit;
    }
  }
  std::vector<uint64_t> state(words, 0);
  const uint64_t last_bit = uint64_t{1} << ((segment.size() - 1) % 64);
  for (size_t at = 0; at < text.size(); ++at) {
    const uint64_t* mask = &masks[static_cast<uint8_t>(text[at]) * words];
    uint64_t carry = 1;
    for (size_t w = 0; w < words; ++w) {
      const uint64_t next = state[w] >> 63;
      state[w] = (state[w] << 1 | carry) & mask[w];
      carry = next;
    }
    if (state[words - 1] & last_bit) return at + 1;
  }
  return std::string_view::npos;
}

}  // namespace

Glob::Glob(std::string_view pattern) : pattern_(pattern) {
  if (pattern.empty())
    throw bad_usage("glob.empty", "the pattern is empty", {},
                    "give a name, or a pattern with * in it");
  if (pattern.size() > kMaxGlobBytes)
    throw bad_usage("glob.length", fmt::format("the pattern has {} bytes; at most {} are allowed",
                                               pattern.size(), kMaxGlobBytes));
  size_t begin = 0;
  for (size_t i = 0; i <= pattern.size(); ++i) {
    if (i < pattern.size() && pattern[i] != '*') continue;
    has_star_ |= i < pattern.size();
    // Runs of stars are one star: inner empty segments say nothing.
    if (i > begin || begin == 0 || i == pattern.size())
      segments_.emplace_back(pattern.substr(begin, i - begin));
    begin = i + 1;
  }
}

bool Glob::matches(std::string_view text) const {
  const std::string& first = segments_.front();
  if (!has_star_) return text.size() == first.size() && equal_at(text, first);
  const std::string& last = segments_.back();
  if (text.size() < first.size() + last.size()) return false;
  if (!equal_at(text, first) || !equal_at(text.substr(text.size() - last.size()), last))
    return false;
  text.remove_prefix(first.size());
  text.remove_suffix(last.size());
  // Between stars the leftmost occurrence is always the best one.
  for (size_t i = 1; i + 1 < segments_.size(); ++i) {
    const size_t end = find_end(text, segments_[i]);
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end);
  }
  return true;
}

Selector::Selector(std::string_view text)
    : text_(text),
      by_op_(text.starts_with(kOpPrefix)),
      glob_(by_op_ ? text.substr(kOpPrefix.size()) : text) {}

std::vector<Selector> parse_selectors(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

bool matches_any(const std::vector<Selector>& selectors, std::string_view node_name,
                 std::string_view op_type) {
  return std::any_of(selectors.begin(), selectors.end(), [&](const Selector& selector) {
    return selector.matches(node_name, op_type);
  });
}

void require_matches(const std::vector<Selector>& selectors, const std::vector<NodeLabel>& nodes,
                     std::string_view flag) {
  for (const Selector& selector : selectors) {
    const bool used = std::any_of(nodes.begin(), nodes.end(), [&](const NodeLabel& node) {
      return selector.matches(node.name, node.op_type);
    });
    if (!used)
      throw bad_usage(
          "glob.no_match", fmt::format("{} matches no node", escape_untrusted(selector.text())),
          std::string(flag), "`lathe inspect` lists the nodes; op:Conv selects by type");
  }
}

}  // namespace lathe

// Selection of nodes by GLOB, in time linear in the name (a regular expression on input could take
// for ever or overflow the stack).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

constexpr size_t kMaxGlobBytes = 4096;

/// `*` is any run of bytes, `?` any single byte, everything else itself: brackets, braces and
/// backslashes too, since exported node names are full of them. Case matters.
/// Time O(|text| · |pattern| / 64).
class Glob {
 public:
  /// Throws Error (exit 2) for an empty pattern or one longer than kMaxGlobBytes.
  explicit Glob(std::string_view pattern);
  bool matches(std::string_view text) const;
  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  bool has_star_ = false;
  std::vector<std::string> segments_;  // the parts between stars; the first and last may be empty
};

/// `encoder/*` selects by node name, `op:Conv*` by type.
class Selector {
 public:
  /// Throws Error (exit 2) like Glob.
  explicit Selector(std::string_view text);
  bool matches(std::string_view node_name, std::string_view op_type) const {
    return glob_.matches(by_op_ ? op_type : node_name);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool by_op_;
  Glob glob_;
};

std::vector<Selector> parse_selectors(const std::vector<std::string>& texts);

/// Any of them.
bool matches_any(const std::vector<Selector>& selectors, std::string_view node_name,
                 std::string_view op_type);

struct NodeLabel {
  std::string name;
  std::string op_type;
};

/// Throws Error (exit 2) that names the first selector that no node matches: a misspelt --exclude
/// must not pass silently. `flag` is the flag it came from ("--exclude").
void require_matches(const std::vector<Selector>& selectors, const std::vector<NodeLabel>& nodes,
                     std::string_view flag);

}  // namespace lathe

#include "os/pressure.h"

#include <charconv>

#include "os/proc_text.h"

namespace lathe {

std::optional<int64_t> cpu_pressure_us(const std::string& root) {
  const std::optional<std::string> text = small_file(root + "/proc/pressure/cpu");
  if (!text || !text->starts_with("some ")) return std::nullopt;
  const std::string line = text->substr(0, text->find('\n'));
  const size_t at = line.find(" total=");
  if (at == std::string::npos) return std::nullopt;
  int64_t total = 0;
  const char* first = line.data() + at + 7;
  const auto [end, error] = std::from_chars(first, line.data() + line.size(), total);
  if (error != std::errc() || end == first || total < 0) return std::nullopt;
  return total;
}

}  // namespace lathe

#include "c99/for_core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "ir/error.h"

namespace lathe {
namespace {

// What a directive of the kernels asks; nullopt: of other things than instructions.
std::optional<bool> answer(std::string_view condition, bool has_dsp, bool has_mve) {
  const auto asks = [&](std::string_view what) {
    return condition.find(what) != std::string_view::npos;
  };
  const bool asks_dsp = asks("HAS_DSP");
  const bool asks_mve = asks("HAS_MVE");
  // HAS_DSP is for what the vector unit does not do.
  if (asks_dsp && asks_mve) return has_dsp || has_mve;
  if (asks_mve || asks("__ARM_FEATURE_MVE")) return has_mve;
  if (asks_dsp) return has_dsp && !has_mve;
  if (asks("__ARM_FEATURE_DSP")) return has_dsp;
  return std::nullopt;
}

struct Chain {
  bool is_known = false;  // of #if, #elif, #else, #endif: they go
  bool was_taken = false;
  bool is_left_out = false;  // the branch at hand, or the chain around it
  bool around = false;
};

class Stripper {
 public:
  Stripper(bool has_dsp, bool has_mve) : has_dsp_(has_dsp), has_mve_(has_mve) {}

  std::string run(std::string_view source) {
    for (size_t at = 0; at < source.size();) {
      size_t end = line_end(source, at);
      // A directive goes on behind a backslash.
      while (source[at] == '#' && end >= 2 && source[end - 2] == '\\' && end < source.size())
        end = line_end(source, end);
      take(source.substr(at, end - at));
      at = end;
    }
    return std::move(out_);
  }

 private:
  static size_t line_end(std::string_view source, size_t at) {
    return std::min(source.find('\n', at), source.size() - 1) + 1;
  }

  bool is_left_out() const { return !chains_.empty() && chains_.back().is_left_out; }

  void take(std::string_view line) {
    if (line.starts_with("#if")) {
      const auto known = answer(line, has_dsp_, has_mve_);
      Chain chain;
      chain.around = is_left_out();
      chain.is_known = known.has_value();
      chain.was_taken = known.value_or(false);
      chain.is_left_out = chain.around || !known.value_or(true);
      if (!chain.is_known && !chain.around) out_ += line;
      chains_.push_back(chain);
    } else if (line.starts_with("#el") && !chains_.empty()) {
      Chain& chain = chains_.back();
      if (!chain.is_known) {
        if (!chain.around) out_ += line;
        return;
      }
      const bool is_else = line.starts_with("#else");
      const auto known = is_else ? std::optional(true) : answer(line, has_dsp_, has_mve_);
      if (!known) throw InternalError("c99: a branch that asks of other things");
      chain.is_left_out = chain.around || chain.was_taken || !*known;
      chain.was_taken = chain.was_taken || *known;
    } else if (line.starts_with("#endif") && !chains_.empty()) {
      const Chain chain = chains_.back();
      chains_.pop_back();
      if (!chain.is_known && !chain.around) out_ += line;
    } else if (!is_left_out()) {
      out_ += line;
    }
  }

  bool has_dsp_;
  bool has_mve_;
  std::vector<Chain> chains_;
  std::string out_;
};

}  // namespace

const CodeCore& find_core(std::string_view name) {
  const auto* found = std::ranges::find(kCodeCores, name, &CodeCore::name);
  if (found != std::end(kCodeCores)) return *found;
  throw bad_usage("usage.core", "there is no core '" + escape_untrusted(name, 40) + "'", "--core",
                  fmt::format("cores: {}", fmt::join(code_core_names(), ", ")));
}

std::string for_core(const std::string& source, const CodeCore& core, Rounding rounding) {
  if (core.name == kAnyCore) return source;
  return Stripper(core.has_dsp, core.has_mve && rounding == Rounding::kOrt).run(source);
}

}  // namespace lathe

#include "commands/quantize/fix_hint.h"

#include <algorithm>

#include "quantize/diagnose/diagnose_causes.h"

namespace lathe {
namespace {

constexpr double kWorthExcluding = 0.5;  // of the noise at the outputs: 3 dB
constexpr std::string_view kExclude = "--exclude ";

bool is_exclusion(const std::string& flag) { return flag.starts_with(kExclude); }
bool is_effort(const std::string& flag) { return flag.starts_with("--effort "); }

// "--exclude 'a' --exclude 'b'" in its parts; names are quoted as a shell reads them.
void add_exclusions(const std::string& flags, std::vector<std::string>& parts) {
  size_t start = 0;
  bool quoted = false;
  for (size_t i = 0; i <= flags.size(); ++i) {
    const bool ends = i == flags.size();
    if (!ends && flags[i] == '\'') quoted = !quoted;
    if (!ends && flags[i] == '\\') ++i;  // an apostrophe in a name: '\''
    if (!ends && (quoted || !flags.substr(i).starts_with(" --exclude "))) continue;
    const std::string part = flags.substr(start, i - start);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    start = i + 1;
  }
}

}  // namespace

std::string target_hint(const QuantizeOptions& options, bool has_classes) {
  if (!options.max_drop.empty()) return {};
  const std::string flag = "--max-drop 1%";
  if (!options.eval_command.empty()) return flag;
  if (!has_classes && options.metric.empty()) return flag + " --eval-command CMD";
  return options.eval.empty() ? flag + " --eval DATA" : flag;
}

std::string fix_hint(const std::vector<Diagnosis>& found, const DiagnosisRequest& request,
                     const QuantizeOptions& options, bool has_classes) {
  if (found.empty()) return {};
  const Diagnosis& worst = found[0];
  if (!worst.flag.empty() && !is_exclusion(worst.flag) && !is_effort(worst.flag)) return worst.flag;
  std::vector<std::string> parts;
  double share = 0;
  for (const Diagnosis& diagnosis : found) {
    if (diagnosis.cause == LossCause::kGathered || !(diagnosis.share > 0)) continue;
    share += diagnosis.share;
    add_exclusions(diagnosis.apart, parts);
  }
  // What each makes of the noise at the outputs was not measured.
  if (!request.sensitivity || !(request.sensitivity->noise > 0)) return worst.flag;
  const bool fast = request.effort == "fast";
  std::string flags = fast ? effort_flag(request) : "";
  if (share >= kWorthExcluding)
    for (const std::string& part : parts) flags += (flags.empty() ? "" : " ") + part;
  if (!flags.empty()) return flags;
  const std::string target = target_hint(options, has_classes);
  return target.empty() ? effort_flag(request) : target;
}

}  // namespace lathe

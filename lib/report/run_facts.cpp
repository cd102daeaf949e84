// Facts about this build and this run.
#include <cstdlib>
#include <ctime>

#include "report/report.h"

namespace lathe {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? escape_untrusted(value, 300) : "";
}

}  // namespace

ToolFacts tool_facts(std::string version) {
  ToolFacts tool;
  tool.version = std::move(version);
#ifdef NDEBUG
  tool.build_type = "release";
#else
  tool.build_type = "debug";
#endif
#ifdef __clang__
  tool.compiler = __VERSION__;
#else
  tool.compiler = "GCC " __VERSION__;
#endif
#ifdef __SANITIZE_ADDRESS__
  tool.sanitizers.push_back("address");
#endif
#ifdef __SANITIZE_THREAD__
  tool.sanitizers.push_back("thread");
#endif
  return tool;
}

std::map<std::string, std::string> ci_facts() {
  std::map<std::string, std::string> facts;
  const auto put = [&](const char* key, const char* variable) {
    if (std::string value = environment(variable); !value.empty()) facts[key] = std::move(value);
  };
  if (!environment("GITHUB_ACTIONS").empty()) {
    facts["provider"] = "github";
    put("ref", "GITHUB_REF");
    put("sha", "GITHUB_SHA");
    put("job", "GITHUB_JOB");
  } else if (!environment("GITLAB_CI").empty()) {
    facts["provider"] = "gitlab";
    put("ref", "CI_COMMIT_REF_NAME");
    put("sha", "CI_COMMIT_SHA");
    put("job", "CI_JOB_NAME");
  } else if (!environment("CI").empty()) {
    facts["provider"] = "other";
  }
  return facts;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace lathe

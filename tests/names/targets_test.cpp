#include "names/targets.h"

#include <doctest/doctest.h>

#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

std::string refusal(const std::string& file, TargetKind kind) {
  try {
    check_output_name(file, target_of(kind));
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a target has one name, and extensions that no other has") {
  std::set<std::string_view> names;
  std::set<std::string_view> extensions;
  for (const Target& target : targets()) {
    CAPTURE(target.name);
    CHECK(&target_of(target.kind) == &target);
    CHECK(&find_target(target.name) == &target);
    CHECK(names.insert(target.name).second);
    REQUIRE_FALSE(target.extensions.empty());
    for (const std::string_view extension : target.extensions) {
      CHECK(extensions.insert(extension).second);
      CHECK(target_of_file("folder.x/OUT" + std::string(extension)) == &target);
    }
  }
  CHECK(target_names().size() == names.size());
  CHECK(targets().front().kind == TargetKind::kOnnx);
  CHECK_THROWS_WITH_AS(find_target("natve"), doctest::Contains("natve"), Error);
}

TEST_CASE("a file's name that belongs to another target is refused with the right flag") {
  for (const Target& named : targets())
    for (const Target& asked : targets()) {
      CAPTURE(named.name);
      CAPTURE(asked.name);
      const std::string message =
          refusal("OUT" + std::string(named.extensions.front()), asked.kind);
      CHECK(message.empty() == (named.kind == asked.kind));
      if (message.empty()) continue;
      CHECK(message.find("--target " + std::string(named.name)) != std::string::npos);
      CHECK(message.find(asked.name) != std::string::npos);
    }
  for (const char* file : {"", "OUT", "OUT.bin", "model.onnx.bak", "a.pt/OUT"}) {
    CAPTURE(file);
    CHECK(refusal(file, TargetKind::kNative).empty());
    CHECK(target_of_file(file) == nullptr);
  }
}

}  // namespace lathe

#include "load/scenario.h"

#include "ir/error.h"

namespace lathe {

std::string_view scenario_name(Scenario scenario) {
  static constexpr std::string_view kNames[] = {"single", "multi", "server", "offline"};
  return kNames[static_cast<size_t>(scenario)];
}

std::optional<Scenario> parse_scenario(std::string_view text) {
  for (const Scenario scenario :
       {Scenario::kSingle, Scenario::kMulti, Scenario::kServer, Scenario::kOffline}) {
    if (text == scenario_name(scenario)) return scenario;
  }
  return std::nullopt;
}

}  // namespace lathe

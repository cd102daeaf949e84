#include "load/scenario.h"

#include "ir/error.h"

namespace lathe {

std::string_view scenario_name(Scenario scenario) {
  switch (scenario) {
    case Scenario::kSingle: return "single";
    case Scenario::kMulti: return "multi";
    case Scenario::kServer: return "server";
    case Scenario::kOffline: return "offline";
  }
  throw InternalError("scenario_name: unknown scenario");
}

std::optional<Scenario> parse_scenario(std::string_view text) {
  for (const Scenario scenario :
       {Scenario::kSingle, Scenario::kMulti, Scenario::kServer, Scenario::kOffline}) {
    if (text == scenario_name(scenario)) return scenario;
  }
  return std::nullopt;
}

}  // namespace lathe

// Figures for github-action-benchmark's customSmallerIsBetter and customBiggerIsBetter.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// An array of {name, unit, value, range, extra}. The two directions must be two files.
std::string to_github_action_smaller(const nlohmann::json& report);
std::string to_github_action_bigger(const nlohmann::json& report);

}  // namespace lathe

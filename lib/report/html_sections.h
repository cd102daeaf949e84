// Sections of the report page, each empty when the report has nothing to show in it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

// html_sections.cpp: of every subcommand.
std::string html_gates(const nlohmann::json& report);
std::string html_models(const nlohmann::json& report);
std::string html_quality(const nlohmann::json& report);
std::string html_warnings(const nlohmann::json& report);
std::string html_host(const nlohmann::json& report);
std::string html_run(const nlohmann::json& report);

// html_cases.cpp, html_figures.cpp and html_ops.cpp: of bench.
std::string html_before_after(const nlohmann::json& report);
std::string html_cases(const nlohmann::json& report);
std::string html_comparison(const nlohmann::json& report);
std::string html_figures(const nlohmann::json& report);
std::string html_ops(const nlohmann::json& report);
std::string html_measurement(const nlohmann::json& report);

// html_layers.cpp: of quantize and compile.
std::string html_layers(const nlohmann::json& report);
std::string html_plan(const nlohmann::json& report);
std::string html_verification(const nlohmann::json& report);
std::string html_steps(const nlohmann::json& report);

// html_quantize.cpp: of quantize, what it measured of layers and values; it calls the one below.
std::string html_quantize(const nlohmann::json& report);
std::string html_ranges(const nlohmann::json& report);  // html_quantize_ranges.cpp

// html_prune.cpp: of prune, all its sections; it calls the two below.
std::string html_prune(const nlohmann::json& report);
std::string html_sensitivity(const nlohmann::json& report);  // html_sensitivity.cpp
std::string html_training(const nlohmann::json& report);     // html_training.cpp

// html_prune.cpp: "41.2 M" of a million and more, "70.7 %" or "31.2 dB", and "5.60 points".
std::string count_text(double count);
std::string metric_text(const std::string& metric, double value);
std::string drop_text(const std::string& metric, double drop);

// How figures are shown; "–" with the reason as its title where one is absent.
std::string shown_time(const nlohmann::json& object, const char* key);
std::string shown_bytes(const nlohmann::json& object, const char* key);
std::string shown_number(const nlohmann::json& object, const char* key);
std::string shown_count(const nlohmann::json& object, const char* key);
std::string shown_metric(const nlohmann::json& row, const char* key);

}  // namespace lathe

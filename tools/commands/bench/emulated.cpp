#include "commands/bench/emulated.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/bench/text_parts.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/fields.h"
#include "report/report.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kShownSteps = 5;

// Integers in steps, floats relative to the largest.
double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.numel() == 0) return a.numel() == b.numel() ? 0 : INFINITY;
  const at::Tensor wanted = b.to(at::kDouble);
  const double most = (a.to(at::kDouble) - wanted).abs().max().item<double>();
  if (!at::isFloatingType(b.scalar_type())) return most;
  return most / std::max(wanted.abs().max().item<double>(), 1e-30);
}

EmulatedOutputs compare_outputs(BenchSubject& subject,
                                const std::vector<std::vector<Tensor>>& pool) {
  const Interpreter interpreter(subject.graph());
  EmulatedOutputs outputs;
  for (const std::vector<Tensor>& sample : pool) {
    throw_if_interrupted();
    std::vector<RuntimeValue> inputs;
    for (const Tensor& tensor : sample) inputs.push_back(to_runtime(tensor));
    const std::vector<RuntimeValue> found = subject.engine->run(inputs);
    const std::vector<RuntimeValue> wanted = interpreter.run(inputs, {});
    bool same = true;
    for (size_t i = 0; i < found.size(); ++i) {
      const at::Tensor& expected = wanted[i].tensor;
      const bool is_float = at::isFloatingType(expected.scalar_type());
      const double apart = distance(found[i].tensor, expected);
      double& most = is_float ? outputs.relative_error : outputs.steps;
      most = std::max(most, apart);
      same = same && apart == 0;
    }
    ++outputs.samples;
    outputs.same += same ? 1 : 0;
  }
  return outputs;
}

Comparison exact_comparison(int64_t candidate, int64_t against, double tolerance) {
  Comparison exact;
  const double ratio = static_cast<double>(candidate) / static_cast<double>(against);
  exact.ratio = ratio;
  exact.interval = Interval{ratio, ratio};
  exact.confidence = 1;
  exact.noise_floor = 0;
  exact.tolerance = exact.effective_tolerance = tolerance;
  exact.looks = 1;
  exact.stop_reason = StopReason::kConverged;
  if (ratio > 1 + tolerance) {
    exact.verdict = ComparisonVerdict::kRegressed;
    exact.p_regressed = 0;
  } else if (ratio < 1 - tolerance) {
    exact.verdict = ComparisonVerdict::kImproved;
    exact.p_improved = 0;
  } else {
    exact.verdict = ComparisonVerdict::kPass;
  }
  return exact;
}

std::string share_text(double part, double whole) {
  return fmt::format("{:.1f} %", 100 * part / std::max(whole, 1.0));
}

// What of a model is larger than the device: "does not fit esp32: RAM 1.44 MiB of 320 KiB".
std::string misfit_text(const json& fit) {
  if (text_field(fit, "verdict") != "does_not_fit") return {};
  std::string why;
  for (const json& line : list_field(fit, "lines")) {
    if (text_field(line, "verdict") != "does_not_fit") continue;
    const auto need = number_field(line, "need");
    const auto limit = number_field(line, "limit");
    const bool are_bytes = need && limit && text_field(line, "unit") == "bytes";
    why += fmt::format("{} {} {}", why.empty() ? ":" : ",", text_field(line, "what"),
                       are_bytes ? bytes_cell(*need) + " of " + bytes_cell(*limit)
                                 : escape_untrusted(text_field(line, "text"), 100));
  }
  return fmt::format("  does not fit {}{}\n", escape_untrusted(text_field(fit, "profile"), 60),
                     why);
}

// Integers are the interpreter's or some steps away; floats round in another order.
std::string outputs_text(const json& outputs) {
  if (!outputs.is_object()) return {};
  const auto samples = number_field(outputs, "samples").value_or(0);
  const auto same = number_field(outputs, "same").value_or(0);
  const auto steps = number_field(outputs, "steps").value_or(0);
  const auto error = number_field(outputs, "relative_error").value_or(0);
  if (same == samples || error == 0) {
    std::string text =
        fmt::format("  outputs: {:.0f} of {:.0f} samples exactly the interpreter's", same, samples);
    if (steps > 0) text += fmt::format(", the others at most {:.0f} step(s) away", steps);
    return text + "\n";
  }
  std::string text =
      fmt::format("  outputs: within {:.1e} of the largest number of the interpreter's", error);
  if (steps > 0) text += fmt::format(", integers within {:.0f} step(s)", steps);
  return text + fmt::format(", in {:.0f} samples\n", samples);
}

}  // namespace

void measure_emulated(const BenchRequest& request, Console& console, BenchRun& run) {
  console.detail("comparing with the interpreter");
  run.emulated_outputs = compare_outputs(run.candidate, run.pool);
  if (!run.against || !run.against->engine_facts.emulated) return;
  run.session.comparison =
      exact_comparison(run.candidate.engine_facts.emulated->instructions,
                       run.against->engine_facts.emulated->instructions, request.tolerance);
}

EstimatedLatency emulated_latency(const BenchSubject& subject, const Profile& device) {
  EstimatedLatency estimate;
  const EmulatedFacts& facts = *subject.engine_facts.emulated;
  if (device.cpu.arch != facts.arch)
    estimate.reason = fmt::format("{} is no {}: give the device's --profile",
                                  escape_untrusted(device.name, 60), facts.processor);
  else if (!device.cpu.cycles_per_instruction || !device.cpu.clock_mhz)
    estimate.reason = fmt::format("the profile {} does not say how many cycles an instruction takes",
                                  escape_untrusted(device.name, 60));
  else
    estimate.ns = static_cast<double>(facts.instructions) * *device.cpu.cycles_per_instruction *
                  1e3 / *device.cpu.clock_mhz;
  return estimate;
}

void put_emulated(json& row, const BenchSubject& subject, const Profile& device) {
  const auto& counted = subject.engine_facts.emulated;
  if (!counted) return;
  const int64_t arena = subject.arena_bytes.value_or(0);
  json steps = json::array();
  for (const auto& [step, instructions] : counted->steps)
    steps.push_back({{"step", step}, {"instructions", instructions}});
  json out{{"board", counted->board},
           {"processor", counted->processor},
           {"compiler", counted->compiler},
           {"emulator", counted->emulator},
           {"instructions", counted->instructions},
           {"least_instructions", counted->least_instructions},
           {"steps", std::move(steps)},
           {"ram_bytes", counted->ram_bytes(arena)},
           {"arena_bytes", arena},
           {"arena_touched_bytes", counted->arena_touched_bytes},
           {"stack_bytes", counted->stack_bytes},
           {"input_bytes", counted->input_bytes},
           {"output_bytes", counted->output_bytes},
           {"flash_bytes", counted->flash_bytes()},
           {"flash_code_bytes", counted->flash_code_bytes},
           {"flash_constant_bytes", counted->flash_constant_bytes},
           {"flash_library_bytes", counted->flash_library_bytes}};
  const EstimatedLatency latency = emulated_latency(subject, device);
  std::optional<double> cycles;
  if (latency.ns)
    cycles = static_cast<double>(counted->instructions) * *device.cpu.cycles_per_instruction;
  put_or_reason(out, "estimated_cycles", cycles, latency.reason);
  put_or_reason(out, "estimated_ns", latency.ns, latency.reason);
  row["emulated"] = std::move(out);
}

void refuse_times(const BenchOptions& options, const BenchRequest& request) {
  const auto counts = [](const BenchCase& one) { return is_emulated(one.engine); };
  if (std::ranges::none_of(request.cases, counts)) {
    const std::pair<bool, const char*> of_code[] = {
        {options.code.rounding != CodeOptions().rounding, "--rounding"},
        {!options.code.max_ram.empty(), "--max-ram"},
        {!options.code.fast_ram.empty(), "--fast-ram"}};
    for (const auto& [is_given, flag] : of_code)
      if (is_given)
        throw bad_usage("usage.emulated", "only C code on an emulated board takes it", flag,
                        "give --engine qemu-m4");
    return;
  }
  const std::pair<bool, const char*> timed[] = {{request.load.is_load(), "--scenario"},
                                                {request.duration_ns.has_value(), "--duration"},
                                                {request.frames.has_value(), "--frames"},
                                                {options.profile_ops, "--profile-ops"},
                                                {!options.trace.empty(), "--trace"},
                                                {options.self_check, "--self-check"},
                                                {options.warmup.has_value(), "--warmup"},
                                                {options.iterations > 0, "--iterations"},
                                                {request.searches_batch, "--batch auto"}};
  for (const auto& [is_given, flag] : timed)
    if (is_given)
      throw bad_usage("usage.emulated", "an emulated board counts instructions, not time", flag,
                      "leave it out, or take --engine native");
}

std::string emulated_text(const json& row) {
  const json& counted = field(row, "emulated");
  if (!counted.is_object()) return {};
  const auto bytes = [&](const char* key) { return cell(key, bytes_cell)(counted); };
  std::string text = fmt::format(
      "\n  RAM: arena {} ({} of it written) + stack {}; the caller's inputs {}, outputs {}\n"
      "  flash: code {}, constants {}, C library {}\n",
      bytes("arena_bytes"), bytes("arena_touched_bytes"), bytes("stack_bytes"),
      bytes("input_bytes"), bytes("output_bytes"), bytes("flash_code_bytes"),
      bytes("flash_constant_bytes"), bytes("flash_library_bytes"));
  if (const auto cycles = number_field(counted, "estimated_cycles"))
    text += fmt::format("  estimated: {:.3g} M cycles, {}\n", *cycles / 1e6,
                        cell("estimated_ns", duration_text)(counted));
  else
    text += fmt::format("  time not estimated: {}\n", text_field(counted, "estimated_ns_reason"));
  text += misfit_text(field(row, "fit"));
  text += outputs_text(field(counted, "outputs"));
  std::vector<const json*> steps = rows_of(list_field(counted, "steps"));
  std::ranges::stable_sort(steps, std::greater(), [](const json* step) {
    return number_field(*step, "instructions").value_or(0);
  });
  if (steps.size() > kShownSteps) steps.resize(kShownSteps);
  const double all = number_field(counted, "instructions").value_or(0);
  text += "\n" + columns_table(steps, {{"instructions", cell("instructions", grouped_text)},
                                       {"share",
                                        [&](const json& step) {
                                          return share_text(
                                              number_field(step, "instructions").value_or(0), all);
                                        }},
                                       {"step", [](const json& step) {
                                          return escape_untrusted(text_field(step, "step"), 70);
                                        }}});
  return text + fmt::format("\n  {} ({}), {}", text_field(counted, "processor"),
                            text_field(counted, "board"), text_field(counted, "compiler"));
}

}  // namespace lathe

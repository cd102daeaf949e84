#include "flags/flags.h"

namespace lathe {

namespace {

void add_what(CLI::App& command, PruneOptions& options) {
  command
      .add_option("--sparsity", options.sparsity,
                  "Share to remove: of each group's channels, or of the weights")
      ->type_name("QUANTITY");
  command
      .add_option("--budget", options.budget,
                  "Remove channels until this share is left: macs=50%, params=, bytes= "
                  "(of weights), latency=")
      ->type_name("METRIC=QUANTITY");
  command
      .add_option("--structure", options.structure,
                  "What is removed (default: element with --sparsity, channel with --budget)")
      ->check(CLI::IsMember({"element", "2:4", "block-1x4", "channel", "unit"}));
  command.add_option("--criterion", options.criterion, "How the network would miss a channel")
      ->check(CLI::IsMember({"l1", "l2", "fpgm", "bn-scale", "taylor", "activation", "random"}))
      ->capture_default_str();
  command
      .add_option("--scope", options.scope,
                  "The same share of every layer, or the weakest of all layers together (default: "
                  "layer, with --budget global)")
      ->check(CLI::IsMember({"layer", "global"}));
  command
      .add_option("--round-to", options.round_to,
                  "Keep multiples of so many channels; auto: of the profile's vectors")
      ->type_name("1|auto|N")
      ->capture_default_str();
  add_node_flags(command, options.include, "Prune only these nodes (name or op:TYPE)",
                 options.exclude, "Leave these nodes whole (name or op:TYPE)");
}

void add_quality(CLI::App& command, PruneOptions& options) {
  command
      .add_option("--data", options.data,
                  "Data for repair, criteria and fine-tuning; labels only where said so")
      ->type_name("DATA");
  command
      .add_option("--repair", options.repair,
                  "With --data: fit what is left to what the dense network computed")
      ->check(CLI::IsMember({"auto", "off"}))
      ->capture_default_str();
  command
      .add_option("--samples", options.samples,
                  "Samples of --data at most, for repair and criteria (default 2000)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--eval", options.eval, "Evaluate every stage on this data")
      ->type_name("DATA");
  add_metric_flag(command, options.metric,
                  "Metric of --eval (default: top1 with labels, agreement without)");
  command
      .add_option("--max-drop", options.max_drop,
                  "Most that the metric may fall: a gate (code 4); without --sparsity and --budget "
                  "the ratios are searched for it")
      ->type_name("QUANTITY");
  command.add_option("--latency", options.latency, "Time the dense and the pruned network")
      ->check(CLI::IsMember({"auto", "off"}))
      ->capture_default_str();
  command.add_flag("--sensitivity", options.sensitivity,
                   "Also prune each group by itself and report what that costs (needs --eval)");
  command
      .add_option("--schedule", options.schedule,
                  "one-shot, or polynomial: sparsity grows during fine-tuning "
                  "(polynomial:initial=0%,begin=0%,end=60%,frequency=20,power=3)")
      ->type_name("NAME")
      ->capture_default_str();
}

}  // namespace

void add_prune(CLI::App& app, PruneOptions& options) {
  CLI::App* command =
      app.add_subcommand("prune", "Remove channels, units or weights, and repair what is left");
  command->add_option("model", options.model, "Float model (.onnx, .pt, .tflite)")
      ->required()
      ->type_name("MODEL");
  add_what(*command, options);
  add_quality(*command, options);
  add_training_flags(*command, options.training, "--finetune-epochs");
  add_opset_limit(*command, options.opset);
  add_html_flag(*command, options.common);
  add_model_flags(*command, options.common);
  add_fit_flag(*command, options.common);
  add_common(*command, options.common, true);
}

}  // namespace lathe

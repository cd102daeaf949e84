#include "commands/prune/prune_request.h"

#include <array>

#include "ir/error.h"
#include "os/quantity.h"
#include "prune/prune_plan.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 5> kStructures = {"element", "2:4", "block-1x4", "channel",
                                                         "unit"};
constexpr std::array<std::string_view, 4> kBudgets = {"macs", "params", "bytes", "latency"};

PruneStructure structure_of(const PruneOptions& options) {
  if (options.structure.empty())
    return options.sparsity.empty() ? PruneStructure::kChannel : PruneStructure::kElement;
  for (size_t i = 0; i < kStructures.size(); ++i)
    if (options.structure == kStructures[i]) return static_cast<PruneStructure>(i);
  throw InternalError("the parser let an unknown structure pass");
}

void read_target(const PruneOptions& options, PruneRequest& request) {
  if (!options.max_drop.empty()) request.max_drop = parse_fraction(options.max_drop, "--max-drop");
  if (!options.sparsity.empty() && !options.budget.empty())
    throw bad_usage("usage.target", "--sparsity and --budget exclude each other", "--budget",
                    "give one of them");
  const bool fixed = request.structure == PruneStructure::kTwoOfFour;
  if (!options.sparsity.empty()) {
    request.share = parse_fraction(options.sparsity, "--sparsity");
    if (fixed && request.share != 0.5)
      throw bad_usage("usage.sparsity", "2:4 is a sparsity of 50%", "--sparsity",
                      "leave it out, or use --structure element");
    return;
  }
  if (fixed) {
    request.share = 0.5;
    return;
  }
  if (!options.budget.empty()) {
    const size_t equals = options.budget.find('=');
    request.budget_metric = options.budget.substr(0, equals);
    if (equals == std::string::npos ||
        std::find(kBudgets.begin(), kBudgets.end(), request.budget_metric) == kBudgets.end())
      throw bad_usage("usage.budget", "'" + escape_untrusted(options.budget) + "' is no budget",
                      "--budget",
                      "macs=50%, params=50%, bytes=50% or latency=50%: the share that is left");
    request.target = PruneTarget::kBudget;
    request.share = parse_fraction(options.budget.substr(equals + 1), "--budget");
    if (request.share <= 0)
      throw bad_usage("usage.budget", "nothing can be left of a budget of 0", "--budget",
                      "the share that is left: macs=50%");
    return;
  }
  if (!request.max_drop)
    throw bad_usage("usage.target", "how much should go?", "--sparsity",
                    "add --sparsity 50%, --budget macs=50%, or --max-drop 1% with --eval");
  request.target = PruneTarget::kMaxDrop;
}

void check_target(const PruneOptions& options, const PruneRequest& request) {
  if (request.target != PruneTarget::kSparsity && !request.removes())
    throw bad_usage("usage.structure",
                    std::string(request.target == PruneTarget::kBudget ? "a budget" : "a search") +
                        " needs a structure that removes something; masks leave shapes as they are",
                    "--structure", "use --structure channel or unit, or --sparsity");
  if (request.max_drop && options.eval.empty())
    throw bad_usage("usage.eval", "--max-drop needs data to measure it on", "--max-drop",
                    "add --eval DATA");
  if (request.max_drop && options.metric == "sqnr")
    throw bad_usage("usage.metric", "sqnr has no float value to fall from", "--max-drop",
                    "use another --metric");
  if (options.sensitivity && options.eval.empty())
    throw bad_usage("usage.eval", "--sensitivity needs data to measure it on", "--sensitivity",
                    "add --eval DATA");
  if (options.sensitivity && !request.removes())
    throw bad_usage("usage.structure", "--sensitivity looks at channels and units", "--sensitivity",
                    "use --structure channel or unit");
}

void check_criterion(const PruneOptions& options, const PruneRequest& request) {
  if (!request.removes() && request.criterion != ChannelCriterion::kL1)
    throw bad_usage("usage.criterion", "masks of elements and blocks are by magnitude (l1)",
                    "--criterion",
                    "use --structure channel or unit with --criterion " + options.criterion);
  const bool measured = request.criterion == ChannelCriterion::kActivation ||
                        request.criterion == ChannelCriterion::kTaylor;
  if (measured && options.data.empty())
    throw bad_usage("usage.data", "--criterion " + options.criterion + " needs data", "--data",
                    options.criterion == "taylor" ? "give --data with labels"
                                                  : "give --data DATA, without labels");
}

void read_round_to(const PruneOptions& options, const Profile& profile, PruneRequest& request) {
  if (options.round_to == "auto") {
    request.round_to = vector_width(profile);
    request.round_large_only = true;
  } else {
    request.round_to = parse_integer(options.round_to, "--round-to", 1, 65536);
  }
  if (!request.removes() && options.round_to != "1")
    throw bad_usage("usage.structure", "only channels and units are rounded", "--round-to",
                    "use --structure channel");
}

void check_fine_tuning(const PruneOptions& options, const PruneRequest& request) {
  const TrainingOptions& training = options.training;
  if (training.epochs == 0 && (training.resume || !training.checkpoint.empty()))
    throw bad_usage("usage.checkpoint", "there is no training without --finetune-epochs",
                    training.resume ? "--resume" : "--checkpoint", "add --finetune-epochs N");
  if (options.eval.empty() && !options.metric.empty())
    throw bad_usage("usage.eval", "a metric needs data to measure it on", "--metric",
                    "add --eval DATA");
  if (request.schedule && request.target == PruneTarget::kSparsity &&
      request.schedule->initial > request.share)
    throw bad_usage("usage.schedule", "the schedule starts above --sparsity", "--schedule",
                    "give a smaller initial");
  if (options.training.epochs > 0 && options.data.empty())
    throw bad_usage("usage.data", "fine-tuning needs training data", "--data",
                    "give --data DATA; without labels the dense model teaches");
  if (request.schedule && options.training.epochs == 0)
    throw bad_usage("usage.schedule", "a schedule runs while the network is trained", "--schedule",
                    "add --finetune-epochs N, or use --schedule one-shot");
}

}  // namespace

std::string_view structure_name(PruneStructure structure) {
  return kStructures.at(static_cast<size_t>(structure));
}

PruneRequest prune_request(const PruneOptions& options, const Profile& profile) {
  PruneRequest request;
  request.structure = structure_of(options);
  request.criterion = *criterion_from_name(options.criterion);
  request.samples = options.samples.value_or(2000);
  read_target(options, request);
  // A budget is the whole network's: its weakest channels go, wherever they are.
  const bool whole = request.target == PruneTarget::kBudget && options.scope.empty();
  request.scope = whole || options.scope == "global" ? PruneScope::kGlobal : PruneScope::kLayer;
  check_target(options, request);
  check_criterion(options, request);
  read_round_to(options, profile, request);
  if (options.schedule != "one-shot") request.schedule = parse_schedule(options.schedule);
  check_fine_tuning(options, request);
  request.nodes = {parse_selectors(options.include), parse_selectors(options.exclude)};
  return request;
}

}  // namespace lathe

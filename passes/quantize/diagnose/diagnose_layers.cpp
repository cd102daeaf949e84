#include "quantize/diagnose/diagnose_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "ir/error.h"
#include "quantize/diagnose/diagnose_causes.h"
#include "quantize/diagnose/value_figures.h"

namespace lathe {
namespace {

// Weights or a value with this part of the noise at the outputs are to blame.
constexpr double kBlamedShare = 0.15;
// The same where that is not known: with this part of the noise that arrives at a bad layer.
constexpr double kBlame = 0.25;
// The same for its noise by channel, which counts channels that may not matter.
constexpr double kBlameByChannel = 0.5;

// Noise of a layer that no other layer counts, relative to its signal.
double own_noise(const LayerError& error) {
  return (error.local + (error.output_is_read ? 0.0 : error.own_output)) / error.signal;
}

double own_db(const LayerError& error) { return ratio_db(1, own_noise(error)); }

// The same as a layer behind may see it that makes small channels large again.
double blamed_noise(const LayerError& error) {
  const double by_channel =
      error.by_channel.local + (error.output_is_read ? 0.0 : error.by_channel.own_output);
  return std::max(own_noise(error), by_channel);
}

double arriving_noise(const LayerError& error) {
  return error.network_signal > 0 ? error.network / error.network_signal : 0;
}

// All zero: nothing was lost that one could hear of.
bool is_bad(const LayerError& error) { return error.signal > 0 && own_db(error) < kBadSqnrDb; }

bool receives_bad(const LayerError& error) {
  return error.signal > 0 && ratio_db(1, arriving_noise(error)) < kBadArrivalDb;
}

// Something that was rounded, and the layer that answers for it.
struct Blame {
  size_t layer = 0;
  ValueId value;     // invalid: the layer's weights
  double share = 0;  // of the noise at the outputs
};

class Diagnosing {
 public:
  explicit Diagnosing(const DiagnosisFacts& facts) : facts_(facts), errors_(facts.errors) {
    for (size_t i = 0; i < errors_.size(); ++i) index_[errors_[i].node] = i;
    if (facts.request.sensitivity) collect_blames(*facts.request.sensitivity);
  }

  std::vector<Diagnosis> run() {
    std::vector<Diagnosis> found;
    std::set<size_t> silent;  // causes that no SQNR shows
    for (size_t i = 0; i < errors_.size(); ++i) {
      auto verdict = device_verdict(facts_, errors_[i]);
      if (!verdict) verdict = shape_verdict(facts_, errors_[i]);
      if (!verdict) continue;
      found.push_back(row(i, *verdict));
      silent.insert(i);
    }
    std::vector<std::pair<size_t, std::vector<size_t>>> arrived;  // with the layers before it
    const std::set<size_t> guilty = guilty_layers(arrived);
    const size_t first = found.size();
    for (const size_t i : guilty) {
      if (silent.contains(i)) continue;
      found.push_back(row(i, own_verdict(i)));
      flags_[i] = found.back().flag;
    }
    std::stable_sort(found.begin() + static_cast<std::ptrdiff_t>(first), found.end(),
                     [this](const Diagnosis& a, const Diagnosis& b) {
                       const double shares = share_of(a.node) - share_of(b.node);
                       return shares != 0 ? shares > 0 : a.local_sqnr_db < b.local_sqnr_db;
                     });
    std::vector<Diagnosis> gathered;
    for (const auto& [i, before] : arrived)
      if (!guilty.contains(i) && !silent.contains(i)) gathered.push_back(gathered_row(i, before));
    std::stable_sort(gathered.begin(), gathered.end(),
                     [](const Diagnosis& a, const Diagnosis& b) { return a.sqnr_db < b.sqnr_db; });
    found.insert(found.end(), gathered.begin(), gathered.end());
    return found;
  }

 private:
  void collect_blames(const LayerSensitivity& sensitivity) {
    if (!(sensitivity.noise > 0)) return;
    const auto add = [&](size_t layer, ValueId value, double noise) {
      blames_.push_back({layer, value, noise / sensitivity.noise});
      shares_[layer] += blames_.back().share;
    };
    for (const NodeNoise& node : sensitivity.nodes)
      if (const auto at = index_.find(node.node); at != index_.end() && node.weight > 0)
        add(at->second, {}, node.weight);
    for (const ValueNoise& value : sensitivity.values)
      if (const auto layer = layer_of(value.value); layer && value.noise > 0)
        add(*layer, value.value, value.noise);
    std::stable_sort(blames_.begin(), blames_.end(),
                     [](const Blame& a, const Blame& b) { return a.share > b.share; });
  }

  // The layer that makes a value, else the first that reads it.
  std::optional<size_t> layer_of(ValueId value) const {
    const ValueId made = before_moves(facts_.graph, value);
    for (size_t i = 0; i < errors_.size(); ++i)
      if (fused_output(facts_.graph, errors_[i].node) == made) return i;
    for (size_t i = 0; i < errors_.size(); ++i)
      for (const ValueId input : facts_.graph.node(errors_[i].node).inputs)
        if (input == value) return i;
    return std::nullopt;
  }

  double share_of(NodeId node) const {
    const auto found = shares_.find(index_.at(node));
    return found == shares_.end() ? 0 : found->second;
  }

  std::set<size_t> guilty_layers(std::vector<std::pair<size_t, std::vector<size_t>>>& arrived) {
    std::set<size_t> guilty;
    for (size_t i = 0; i < errors_.size(); ++i) {
      if (is_bad(errors_[i]))
        guilty.insert(i);
      else if (receives_bad(errors_[i]))
        arrived.emplace_back(i, layers_before(errors_[i].node));
    }
    if (!arrived.empty() || !guilty.empty())
      for (const Blame& blame : blames_)
        if (blame.share >= kBlamedShare) guilty.insert(blame.layer);
    for (const auto& [i, before] : arrived) {
      const auto worst = worst_of(before);
      if (!worst || !blames_.empty()) continue;
      const double noise = arriving_noise(errors_[i]);
      if (own_noise(errors_[*worst]) >= kBlame * noise ||
          blamed_noise(errors_[*worst]) >= kBlameByChannel * noise)
        guilty.insert(*worst);
    }
    return guilty;
  }

  // Layers that the node's inputs depend on.
  std::vector<size_t> layers_before(NodeId start) const {
    std::vector<size_t> found;
    std::set<NodeId> seen{start};
    std::vector<NodeId> open{start};
    while (!open.empty()) {
      const NodeId at = open.back();
      open.pop_back();
      for (const ValueId input : facts_.graph.node(at).inputs) {
        const NodeId producer = input.valid() ? facts_.graph.value(input).producer : NodeId{};
        if (!producer.valid() || !seen.insert(producer).second) continue;
        open.push_back(producer);
        if (const auto layer = index_.find(producer); layer != index_.end())
          found.push_back(layer->second);
      }
    }
    return found;
  }

  bool has_layer_behind(NodeId start) const {
    std::set<NodeId> seen{start};
    std::vector<NodeId> open{start};
    while (!open.empty()) {
      const NodeId at = open.back();
      open.pop_back();
      for (const ValueId output : facts_.graph.node(at).outputs) {
        if (!output.valid()) continue;
        for (const NodeId user : facts_.graph.value(output).users) {
          if (index_.contains(user)) return true;
          if (seen.insert(user).second) open.push_back(user);
        }
      }
    }
    return false;
  }

  // What makes most of the noise: at the outputs where that is known, else where it arises.
  double weight_of_guilt(size_t i) const {
    if (blames_.empty()) return errors_[i].signal > 0 ? blamed_noise(errors_[i]) : 0;
    const auto found = shares_.find(i);
    return found == shares_.end() ? 0 : found->second;
  }

  std::optional<size_t> worst_of(const std::vector<size_t>& layers) const {
    std::optional<size_t> worst;
    for (const size_t i : layers) {
      const double guilt = weight_of_guilt(i);
      if (guilt > 0 && (!worst || guilt > weight_of_guilt(*worst))) worst = i;
    }
    return worst;
  }

  Verdict own_verdict(size_t i) const {
    const LayerError& error = errors_[i];
    const bool last = !has_layer_behind(error.node);
    for (const Blame& blame : blames_) {
      if (blame.layer != i || blame.share < kBlamedShare) continue;
      Verdict verdict = blame.value.valid() ? activation_verdict(facts_, error, blame.value, last)
                                            : weight_verdict(facts_, error);
      verdict.text += fmt::format("; {:.0f} % of the noise at the outputs", 100 * blame.share);
      verdict.share = blame.share;
      const std::string whole = exclude_flag(error.name);
      verdict.apart =
          blame.value.valid()
              ? first_of(exclude_value_flags(facts_.graph, facts_.plan, blame.value), whole)
              : whole;
      return verdict;
    }
    const bool alone = own_noise(error) >= blamed_noise(error) || is_bad(error);
    const LayerError::ByChannel& channels = error.by_channel;
    const double weights = alone ? error.weight : channels.weight;
    double activations = alone ? error.input : channels.input;
    if (!error.output_is_read) activations += alone ? error.own_output : channels.own_output;
    Verdict verdict = weights > activations ? weight_verdict(facts_, error)
                                            : activation_verdict(facts_, error, {}, last);
    if (!alone)
      verdict.text += fmt::format("; its channels keep {:.1f} dB in the mean",
                                  ratio_db(1, blamed_noise(error)));
    return verdict;
  }

  Diagnosis row(size_t i, const Verdict& verdict) const {
    const LayerError& error = errors_[i];
    return {
        error.node,   error.name,   error.type, error.network_db(), own_db(error), verdict.cause,
        verdict.text, verdict.flag, {},         verdict.share,      verdict.apart};
  }

  Diagnosis gathered_row(size_t i, const std::vector<size_t>& before) const {
    const auto worst = worst_of(before);
    Verdict verdict{LossCause::kGathered, fmt::format("{:.1f} dB by itself", own_db(errors_[i])),
                    effort_flag(facts_.request)};
    if (!worst) return row(i, verdict);
    const LayerError& culprit = errors_[*worst];
    const std::string name = escape_untrusted(culprit.name, 60);
    const auto flag = flags_.find(*worst);
    if (flag != flags_.end()) {
      verdict.flag = flag->second;
      verdict.text += fmt::format("; what arrives comes mostly from '{}'", name);
    } else {
      verdict.text += fmt::format("; the noise of {} layers before it adds up, most from '{}'",
                                  before.size(), name);
      if (verdict.flag.empty()) verdict.flag = exclude_flag(culprit.name);
    }
    Diagnosis diagnosis = row(i, verdict);
    diagnosis.culprit = culprit.name;
    return diagnosis;
  }

  const DiagnosisFacts& facts_;
  const std::vector<LayerError>& errors_;
  std::map<NodeId, size_t> index_;
  std::vector<Blame> blames_;            // largest first
  std::map<size_t, double> shares_;      // of the noise at the outputs, by layer
  std::map<size_t, std::string> flags_;  // of the layers to blame
};

}  // namespace

std::string_view cause_name(LossCause cause) {
  constexpr std::array<std::string_view, 13> kNames{
      "saturation",          "shape arithmetic",          "gathered noise", "channel range spread",
      "few large weights",   "rounded weights",           "clipped range",  "squeezed values",
      "outlier activations", "activation channel spread", "first layer",    "last layer",
      "rounded activations"};
  return kNames[static_cast<size_t>(cause)];
}

bool any_bad(const std::vector<LayerError>& errors) {
  return std::any_of(errors.begin(), errors.end(),
                     [](const LayerError& error) { return is_bad(error) || receives_bad(error); });
}

std::vector<Diagnosis> diagnose_layers(const Graph& graph, const PrecisionPlan& plan,
                                       const Statistics& statistics,
                                       const std::vector<LayerError>& errors,
                                       const DiagnosisRequest& request) {
  const DiagnosisFacts facts{graph, plan, statistics, errors, request};
  return Diagnosing(facts).run();
}

}  // namespace lathe

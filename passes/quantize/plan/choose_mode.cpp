#include "quantize/plan/choose_mode.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

// Of all weights: with fewer in recurrent layers it is not a recurrent network.
constexpr double kRecurrentShare = 0.1;

struct Work {
  double macs = 0;
  double weights = 0;  // elements
};

struct Shares {
  Work convolutions;
  Work products;
  double recurrent = 0;  // weights, of those of the products
  double tables = 0;     // elements of constants that Gather reads
  bool macs_known = true;
};

bool is_convolution(OpKind kind) { return kind == OpKind::kConv || kind == OpKind::kConvTranspose; }

bool is_recurrent(OpKind kind) {
  return kind == OpKind::kLSTM || kind == OpKind::kGRU || kind == OpKind::kRNN;
}

bool is_product(OpKind kind) {
  return kind == OpKind::kMatMul || kind == OpKind::kGemm || is_recurrent(kind);
}

void add(const Graph& graph, const Node& node, Shares& shares) {
  Work& work = is_convolution(node.kind) ? shares.convolutions : shares.products;
  const MacRule rule = op_row(node.kind).macs;
  if (const auto macs = rule != nullptr ? rule(graph, node) : std::nullopt)
    work.macs += static_cast<double>(*macs);
  else
    shares.macs_known = false;
  for (size_t i = 1; i < node.inputs.size(); ++i)
    if (const Tensor* weight = graph.constant(node.inputs[i])) {
      work.weights += static_cast<double>(weight->numel());
      if (is_recurrent(node.kind)) shares.recurrent += static_cast<double>(weight->numel());
    }
}

// What is not multiplied is none of the shares: embeddings.
std::string tables_text(const Shares& shares) {
  const double all = shares.tables + shares.convolutions.weights + shares.products.weights;
  if (shares.tables < 0.1 * all) return {};
  return fmt::format("; {:.0f} % of all weights are tables that Gather reads",
                     100 * shares.tables / all);
}

}  // namespace

ModeChoice choose_mode(const Graph& graph, const Profile& profile) {
  if (profile.precision.float16 && profile.cpu.int8 == "none")
    return {"float16", "profile " + profile.name + " computes in float16"};
  if (profile.runtime.name != "onnxruntime")
    return {"static", "the runtime of profile " + profile.name + " has no dynamic quantization"};
  Shares shares;
  double inside = 0;  // weights in bodies, of all
  for_each_graph(graph, [&](const Graph& part) {
    const double before = shares.convolutions.weights + shares.products.weights;
    for (const NodeId id : part.node_ids()) {
      const Node& node = part.node(id);
      if (is_convolution(node.kind) || is_product(node.kind)) add(part, node, shares);
      if (const Tensor* table =
              node.kind == OpKind::kGather ? part.constant(node.input(0)) : nullptr;
          table != nullptr && table->dtype() == DType::kFloat32)
        shares.tables += static_cast<double>(table->numel());
    }
    if (&part != &graph) inside += shares.convolutions.weights + shares.products.weights - before;
  });
  const double weights = shares.convolutions.weights + shares.products.weights;
  if (inside > 0.5 * weights)
    return {"dynamic", "most of its weights are inside If, Loop or Scan, where static ends"};
  if (shares.recurrent > kRecurrentShare * weights && shares.products.weights > 0.5 * weights)
    return {"dynamic", fmt::format("{:.0f} % of its multiplied weights are in recurrent layers and "
                                   "matrix products{}",
                                   100 * shares.products.weights / weights, tables_text(shares))};
  const auto of = [&](const Work& work) { return shares.macs_known ? work.macs : work.weights; };
  const char* what = shares.macs_known ? "multiply-adds" : "multiplied weights";
  const double products = of(shares.products);
  const double all = products + of(shares.convolutions);
  if (all <= 0) return {"static", "it has no convolution, matrix product or recurrent layer"};
  if (products > 0.5 * all)
    return {"dynamic",
            fmt::format("{:.0f} % of its {} are in matrix products and recurrent layers{}",
                        100 * products / all, what, tables_text(shares))};
  return {"static",
          fmt::format("{:.0f} % of its {} are in convolutions", 100 * (1 - products / all), what)};
}

}  // namespace lathe

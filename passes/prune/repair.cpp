#include "prune/repair.h"

#include "ir/error.h"
#include "prune/layer_repair.h"

namespace lathe {

std::vector<RepairRow> repair(const Graph& dense, Graph& pruned, const KeptOutputs& kept,
                              const SampleSource& source, const RepairOptions& options) {
  if (source.count == 0)
    throw bad_input("prune.no_samples", "repair needs data", "--data",
                    "at least 1000 samples, without labels");
  std::vector<RepairTarget> layers = find_repair_targets(dense, pruned, kept, options);
  const size_t all = layers.size() + 1;
  const RepairTargets targets(dense, layers, source, options);
  if (options.progress) options.progress(1, all);
  const SampleSource plain = targets.without_carry(source);
  LayerRepair repairer(pruned, targets, plain, options);
  std::vector<RepairRow> rows;
  for (const RepairTarget& layer : layers) {
    rows.push_back(repairer.repair(layer));
    if (options.progress) options.progress(rows.size() + 1, all);
  }
  return rows;
}

}  // namespace lathe

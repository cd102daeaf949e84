#include "commands/prune/size_figures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "model_facts.h"
#include "names/targets.h"
#include "os/deflated_size.h"
#include "os/quantity.h"
#include "os/read_file.h"
#include "os/signals.h"
#include "qdq/activation_buffers.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kMostCompressed = int64_t{1} << 30;
constexpr size_t kPiece = size_t{1} << 20;

// A file that is smaller than its weights holds them elsewhere; only ONNX can.
bool has_external_weights(const ModelFacts& facts) {
  return facts.format == kOnnxFormat && facts.weights_bytes.value_or(0) > facts.file_bytes;
}

class Compressor {
 public:
  explicit Compressor(Progress& progress) : progress_(progress) {}

  void add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      throw_if_interrupted();
      const std::span<const std::byte> piece = bytes.first(std::min(bytes.size(), kPiece));
      size_.add(piece);
      done_ += static_cast<int64_t>(piece.size());
      progress_.update(done_ >> 20);
      bytes = bytes.subspan(piece.size());
    }
  }
  int64_t finish() { return size_.finish(); }

 private:
  Progress& progress_;
  DeflatedSize size_;
  int64_t done_ = 0;
};

int64_t compressed_size(const std::string& path, const Graph* external, int64_t total,
                        Progress& progress) {
  progress.start("compressing", total >> 20, "MiB");
  Compressor compressor(progress);
  InputFile file(path);
  std::vector<std::byte> piece(kPiece);
  while (const size_t count = file.read(piece)) compressor.add(std::span(piece).first(count));
  if (external != nullptr)
    for_each_graph(*external, [&](const Graph& inner) {
      for (const ValueId id : inner.value_ids())
        if (const Tensor* tensor = inner.constant(id)) compressor.add(tensor->bytes());
    });
  progress.finish();
  return compressor.finish();
}

json figures_json(const SizeFigures& figures) {
  json out{{"file_bytes", figures.file_bytes}, {"weights_bytes", figures.weights_bytes}};
  put_or_reason(out, "params", figures.params, "not counted");
  put_or_reason(out, "macs", figures.macs, "a shape is not known");
  put_or_reason(out, "compressed_bytes", figures.compressed_bytes, figures.compressed_reason);
  put_or_reason(out, "arena_bytes", figures.arena_bytes, "too many values to plan");
  return out;
}

std::string count_text(int64_t count) {
  if (count >= 10'000'000) return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
  if (count >= 10'000) return fmt::format("{:.1f} k", static_cast<double>(count) / 1e3);
  return std::to_string(count);
}

std::vector<std::string> row(const std::string& name, const std::optional<int64_t>& before,
                             const std::optional<int64_t>& after, std::string (*text)(int64_t)) {
  const auto cell = [&](const std::optional<int64_t>& value) {
    return value ? text(*value) : std::string("not known");
  };
  std::string left = "-";
  if (before && after && *before > 0)
    left =
        fmt::format("{:.1f} %", 100 * static_cast<double>(*after) / static_cast<double>(*before));
  return {name, cell(before), cell(after), std::move(left)};
}

}  // namespace

SizeFigures size_figures(const std::string& path, const ModelFacts& facts, const Graph& graph,
                         const Profile& profile, Console& console) {
  SizeFigures figures;
  figures.params = facts.params;
  figures.macs = facts.macs;
  figures.weights_bytes = facts.weights_bytes.value_or(0);
  const bool external = has_external_weights(facts);
  figures.file_bytes = facts.file_bytes + (external ? figures.weights_bytes : 0);
  figures.arena_bytes =
      planned_arena_bytes(activation_buffers(graph), profile.memory.arena_alignment);
  if (figures.file_bytes > kMostCompressed)
    figures.compressed_reason = "more than 1 GiB: not compressed, to save time";
  else
    figures.compressed_bytes =
        compressed_size(path, external ? &graph : nullptr, figures.file_bytes, console.progress());
  return figures;
}

json sizes_json(const SizeFigures& before, const SizeFigures& after) {
  return {{"before", figures_json(before)}, {"after", figures_json(after)}};
}

std::vector<std::vector<std::string>> sizes_table(const SizeFigures& before,
                                                  const SizeFigures& after) {
  return {{"", "before", "after", "left"},
          row("parameters", before.params, after.params, count_text),
          row("MACs", before.macs, after.macs, count_text),
          row("file", before.file_bytes, after.file_bytes, bytes_text),
          row("file, compressed", before.compressed_bytes, after.compressed_bytes, bytes_text),
          row("weights", before.weights_bytes, after.weights_bytes, bytes_text),
          row("activation memory", before.arena_bytes, after.arena_bytes, bytes_text)};
}

}  // namespace lathe

// What lathe prune leaves in the weights when their shapes stay: exact counts of zeros.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "pruning.h"
#include "report_schema.h"

namespace lathe {
namespace {

using nlohmann::json;
using Weights = std::map<std::string, StoredWeight>;

int64_t count_of(const StoredWeight& weight) { return static_cast<int64_t>(weight.values.size()); }

// One output's input channels at one tap; convolutions are [O, I, taps], the Gemm is [O, I].
struct Row {
  std::vector<float> values;
};

std::vector<Row> rows_of(const StoredWeight& weight) {
  const int64_t inputs = weight.dims[1];
  const int64_t taps = count_of(weight) / weight.dims[0] / inputs;
  std::vector<Row> rows;
  for (int64_t o = 0; o < weight.dims[0]; ++o)
    for (int64_t t = 0; t < taps; ++t) {
      Row row;
      for (int64_t i = 0; i < inputs; ++i)
        row.values.push_back(weight.values[static_cast<size_t>((o * inputs + i) * taps + t)]);
      rows.push_back(std::move(row));
    }
  return rows;
}

// Blocks of four from the first input channel on; a shorter last one counts.
struct Blocks {
  int64_t all = 0;
  int64_t zero = 0;
  int64_t partly = 0;  // some zeros, but not only
};

Blocks blocks_of(const StoredWeight& weight) {
  Blocks blocks;
  for (const Row& row : rows_of(weight))
    for (size_t begin = 0; begin < row.values.size(); begin += 4) {
      const size_t end = std::min(begin + 4, row.values.size());
      size_t zeros = 0;
      for (size_t i = begin; i < end; ++i) zeros += row.values[i] == 0.0f ? 1 : 0;
      ++blocks.all;
      if (zeros == end - begin)
        ++blocks.zero;
      else if (zeros > 0)
        ++blocks.partly;
    }
  return blocks;
}

// What stays is the original bit for bit.
void check_rest_is_untouched(const Weights& before, const Weights& after) {
  for (const auto& [node, weight] : after) {
    CAPTURE(node);
    const std::vector<float>& dense = before.at(node).values;
    REQUIRE(dense.size() == weight.values.size());
    for (size_t i = 0; i < dense.size(); ++i)
      if (weight.values[i] != 0.0f && weight.values[i] != dense[i]) FAIL("element ", i);
  }
}

}  // namespace

TEST_CASE("element sparsity leaves exactly the stated number of zeros in every weight") {
  const PruneFiles files;
  const Weights dense = stored_weights(kGlyphs);
  for (const int64_t percent : {30, 50, 70}) {
    CAPTURE(percent);
    const json report = files.pruned(
        "p.onnx", {"--structure", "element", "--sparsity", std::to_string(percent) + "%"});
    const Weights weights = stored_weights(files.at("p.onnx"));
    REQUIRE(weights.size() == 15);
    REQUIRE(report["plan"]["weights"].size() == 15);
    for (const json& row : report["plan"]["weights"]) {
      const std::string node = row["node"];
      CAPTURE(node);
      const StoredWeight& weight = weights.at(node);
      CHECK(weight.zeros() == count_of(weight) * percent / 100);
      CHECK(row["zeros"] == weight.zeros());
      CHECK(row["elements"] == count_of(weight));
      float largest_gone = 0;
      float smallest_left = INFINITY;
      for (size_t i = 0; i < weight.values.size(); ++i) {
        const float size = std::abs(dense.at(node).values[i]);
        if (weight.values[i] == 0.0f)
          largest_gone = std::max(largest_gone, size);
        else
          smallest_left = std::min(smallest_left, size);
      }
      CHECK(largest_gone <= smallest_left);
    }
    check_rest_is_untouched(dense, weights);
    CHECK(report["sizes"]["after"]["macs"] == report["sizes"]["before"]["macs"]);
    CHECK(report["sizes"]["after"]["compressed_bytes"] <
          report["sizes"]["before"]["compressed_bytes"]);
  }
}

TEST_CASE("--scope global counts the zeros of all weights together") {
  const PruneFiles files;
  for (const int64_t percent : {30, 50, 70}) {
    CAPTURE(percent);
    files.pruned("p.onnx", {"--sparsity", std::to_string(percent) + "%", "--scope", "global"});
    int64_t zeros = 0;
    int64_t elements = 0;
    bool alike = true;
    for (const auto& [node, weight] : stored_weights(files.at("p.onnx"))) {
      zeros += weight.zeros();
      elements += count_of(weight);
      alike = alike && weight.zeros() == count_of(weight) * percent / 100;
    }
    CHECK(zeros == elements * percent / 100);
    CHECK_FALSE(alike);
  }
}

TEST_CASE("2:4 holds in every group of four") {
  const PruneFiles files;
  files.pruned("p.onnx", {"--structure", "2:4"});
  const Weights weights = stored_weights(files.at("p.onnx"));
  check_rest_is_untouched(stored_weights(kGlyphs), weights);
  for (const auto& [node, weight] : weights) {
    CAPTURE(node);
    // Depthwise and first convolutions read one channel: no group to take two of.
    CHECK(weight.zeros() == (weight.dims[1] % 4 == 0 ? count_of(weight) / 2 : 0));
    for (const Row& row : rows_of(weight))
      for (size_t begin = 0; begin + 4 <= row.values.size(); begin += 4)
        if (std::count(&row.values[begin], &row.values[begin] + 4, 0.0f) != 2)
          FAIL("a group with another number of zeros");
  }
}

TEST_CASE("block-1x4 empties exactly the stated number of whole blocks") {
  const PruneFiles files;
  for (const char* scope : {"layer", "global"}) {
    for (const int64_t percent : {50, 70}) {
      CAPTURE(scope);
      CAPTURE(percent);
      files.pruned("p.onnx", {"--structure", "block-1x4", "--scope", scope, "--sparsity",
                              std::to_string(percent) + "%"});
      Blocks all;
      for (const auto& [node, weight] : stored_weights(files.at("p.onnx"))) {
        CAPTURE(node);
        const Blocks blocks = blocks_of(weight);
        CHECK(blocks.partly == 0);
        if (scope == std::string("layer")) CHECK(blocks.zero == blocks.all * percent / 100);
        all.all += blocks.all;
        all.zero += blocks.zero;
      }
      if (scope == std::string("global")) CHECK(all.zero == all.all * percent / 100);
    }
  }
}

TEST_CASE("masks of a masked network are the same, and repair keeps them") {
  const PruneFiles files;
  const std::string data = files.draw("tune", 40, false);
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{
           {"--structure", "element", "--sparsity", "50%"},
           {"--structure", "element", "--sparsity", "50%", "--scope", "global"},
           {"--structure", "2:4"},
           {"--structure", "block-1x4", "--sparsity", "50%"}}) {
    CAPTURE(way[1]);
    files.pruned("a.onnx", way);
    const Weights first = stored_weights(files.at("a.onnx"));
    std::vector<std::string> words{files.at("a.onnx")};
    words.insert(words.end(), way.begin(), way.end());
    words.push_back("--force");
    REQUIRE(files.prune("b.onnx", words).exit_code == 0);
    CHECK((content_of(files.at("a.onnx")) == content_of(files.at("b.onnx"))));

    std::vector<std::string> repaired = way;
    repaired.insert(repaired.end(), {"--data", data});
    const json report = files.pruned("c.onnx", repaired);
    CHECK(report["repair"].size() > 0);
    for (const auto& [node, weight] : stored_weights(files.at("c.onnx"))) {
      CAPTURE(node);
      const std::vector<float>& masked = first.at(node).values;
      for (size_t i = 0; i < masked.size(); ++i)
        if (masked[i] == 0.0f && weight.values[i] != 0.0f) FAIL("repair filled element ", i);
    }
  }
}

TEST_CASE("no layer is emptied") {
  const PruneFiles files;
  const json report = files.pruned("p.onnx", {"--structure", "channel", "--sparsity", "100%"});
  for (const json& group : report["plan"]["groups"]) CHECK(group["kept"] > 0);
  const json global =
      files.pruned("q.onnx", {"--structure", "channel", "--sparsity", "95%", "--scope", "global"});
  for (const json& group : global["plan"]["groups"]) CHECK(group["kept"] > 0);
}

}  // namespace lathe

// NonMaxSuppression.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct Box {
  float y0, x0, y1, x1, area;
};

Box read_box(const float* b, bool center) {
  Box box{};
  if (center) {
    box = {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2, 0};
  } else {
    box = {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3]),
           0};
  }
  box.area = (box.y1 - box.y0) * (box.x1 - box.x0);
  return box;
}

bool overlaps(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (!(height > 0 && width > 0) || a.area <= 0 || b.area <= 0) return false;
  const float both = height * width;
  return both / (a.area + b.area - both) > threshold;
}

float float_input(const EvaluateCall& call, size_t index, float fallback) {
  if (!call.has(index) || call.input(index).numel() == 0) return fallback;
  call.require(call.input(index).numel() == 1, fmt::format("input {} must hold one number", index));
  return call.input(index).item<float>();
}

std::vector<at::Tensor> non_max_suppression(const EvaluateCall& call) {
  const at::Tensor boxes = call.input(0).to(at::kFloat).contiguous();
  const at::Tensor scores = call.input(1).to(at::kFloat).contiguous();
  call.require(boxes.dim() == 3 && scores.dim() == 3 && boxes.size(2) == 4 &&
                   boxes.size(0) == scores.size(0) && boxes.size(1) == scores.size(2),
               "boxes must be [batch, boxes, 4] and scores [batch, classes, boxes]");
  const int64_t per_class = call.has(2) && call.input(2).numel() != 0 ? call.int_value(2) : 0;
  const float iou_threshold = float_input(call, 3, 0);
  const bool scored = call.has(4) && call.input(4).numel() != 0;
  const float score_threshold = float_input(call, 4, 0);
  call.require(iou_threshold >= 0 && iou_threshold <= 1, "iou_threshold must be in 0..1");
  const int64_t center = call.attributes().int_or("center_point_box", 0);
  call.require(center == 0 || center == 1, "center_point_box must be 0 or 1");
  const int64_t count = boxes.size(1);
  std::vector<int64_t> selected;
  std::vector<Box> image(static_cast<size_t>(count));
  std::vector<int64_t> order;
  std::vector<int64_t> kept;
  // Without boxes, batch and classes cost no memory, and so have no bound.
  for (int64_t n = 0; n < boxes.size(0) && count > 0; ++n) {
    for (int64_t i = 0; i < count; ++i)
      image[static_cast<size_t>(i)] =
          read_box(boxes.data_ptr<float>() + (n * count + i) * 4, center == 1);
    for (int64_t c = 0; c < scores.size(1); ++c) {
      const float* score = scores.data_ptr<float>() + (n * scores.size(1) + c) * count;
      order.clear();
      for (int64_t i = 0; i < count; ++i)
        if (scored ? score[i] > score_threshold : score[i] == score[i]) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      kept.clear();
      for (const int64_t candidate : order) {
        if (static_cast<int64_t>(kept.size()) >= per_class) break;
        const Box& box = image[static_cast<size_t>(candidate)];
        if (std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
              return overlaps(box, image[static_cast<size_t>(k)], iou_threshold);
            }))
          continue;
        kept.push_back(candidate);
        selected.insert(selected.end(), {n, c, candidate});
      }
    }
  }
  const auto rows = static_cast<int64_t>(selected.size() / 3);
  return {at::tensor(selected, at::kLong).reshape({rows, 3})};
}

constexpr std::array kDetectionOps{EvaluateRow{OpKind::kNonMaxSuppression, non_max_suppression}};

}  // namespace

std::span<const EvaluateRow> detection_ops() { return kDetectionOps; }

}  // namespace lathe

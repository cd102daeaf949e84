#include "kernels/recurrent.h"

#include <algorithm>
#include <cstring>

#include "kernels/dynamic_range.h"
#include "kernels/quantize_run.h"

namespace lathe {
namespace {

class Recurrence {
 public:
  Recurrence(const PackedRecurrence& weights, const RecurrentRun& run, RecurrentScratch& scratch)
      : w_(weights),
        run_(run),
        scratch_(scratch),
        width_(gates_of(weights.rules.cell) * weights.padded) {}

  void run() {
    start(run_.initial_hidden, scratch_.hidden);
    start(run_.initial_cell, scratch_.cell);
    for (int64_t first = 0; first < run_.time; first += scratch_.steps) {
      const int64_t steps = std::min(scratch_.steps, run_.time - first);
      project(first, steps);
      for (int64_t t = 0; t < steps; ++t) step(first + t, gates(t));
    }
    finish(scratch_.hidden, run_.last_hidden);
    finish(scratch_.cell, run_.last_cell);
  }

 private:
  static float* row(std::vector<FloatLine>& lines, int64_t at, int64_t pitch) {
    return lines.data()->x + at * pitch;
  }
  float* gates(int64_t step) { return row(scratch_.gates, step * run_.batch, width_); }
  float* hidden(int64_t b) { return row(scratch_.hidden, b, w_.padded); }
  float* cell(int64_t b) { return row(scratch_.cell, b, w_.padded); }

  int64_t length(int64_t b) const {
    return run_.lengths == nullptr ? run_.time : std::clamp<int64_t>(run_.lengths[b], 0, run_.time);
  }
  /// Where step number `t` of a direction is in time. A sequence is reversed within its length.
  int64_t moment(int64_t t, int64_t b) const {
    if (!run_.backwards) return t;
    return t < length(b) ? length(b) - 1 - t : t;
  }

  void start(const SequenceRows<const float>& from, std::vector<FloatLine>& to) {
    if (to.empty()) return;
    std::memset(to.data()->x, 0, to.size() * sizeof(FloatLine));
    if (from.first == nullptr) return;
    for (int64_t b = 0; b < run_.batch; ++b)
      std::memcpy(row(to, b, w_.padded), from.first + b * from.batch_pitch, bytes_of_state());
  }
  void finish(std::vector<FloatLine>& from, const SequenceRows<float>& to) {
    if (to.first == nullptr) return;
    for (int64_t b = 0; b < run_.batch; ++b)
      std::memcpy(to.first + b * to.batch_pitch, row(from, b, w_.padded), bytes_of_state());
  }
  size_t bytes_of_state() const { return static_cast<size_t>(w_.hidden) * sizeof(float); }

  template <class T>
  void gather(int64_t first, int64_t steps, const SequenceRows<T>& from, std::vector<T*>& to) {
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t b = 0; b < run_.batch; ++b)
        to[static_cast<size_t>(t * run_.batch + b)] =
            from.first + moment(first + t, b) * from.time_pitch + b * from.batch_pitch;
  }

  // Products of the inputs of some steps.
  void project(int64_t first, int64_t steps) {
    if (w_.is_integer) {
      gather(first, steps, run_.input_bytes, scratch_.byte_rows);
      ByteRows rows;
      rows.rows = scratch_.byte_rows.data();
      rows.count = steps * run_.batch;
      rows.zero_point = run_.input_zero_point;
      rows.output = gates(0);
      rows.output_pitch = width_;
      rows.scale = &run_.input_scale;
      rows.factor = w_.input_scale.data();
      rows.bias = w_.bias.data();
      multiply_bytes(w_.input_bytes, rows, 0, byte_panels(w_.input_bytes));
      return;
    }
    gather(first, steps, run_.input, scratch_.rows);
    multiply_rows(w_.input,
                  {scratch_.rows.data(), steps * run_.batch, w_.bias.data(), 0, gates(0), width_});
  }

  void step(int64_t t, float* sums) {
    DynamicScale scale;
    if (w_.is_integer) scale = quantize_state();
    for (int64_t b = 0; b < run_.batch;) {
      if (t >= length(b)) {
        if (run_.output.first != nullptr) std::memset(output(t, b), 0, bytes_of_state());
        ++b;
        continue;
      }
      int64_t end = b + 1;
      while (end < run_.batch && t < length(end)) ++end;
      advance(b, end, sums, scale);
      backwards_panels_ = !backwards_panels_;
      for (; b < end; ++b)
        if (run_.output.first != nullptr)
          std::memcpy(output(moment(t, b), b), hidden(b), bytes_of_state());
    }
  }
  float* output(int64_t moment, int64_t b) {
    return run_.output.first + moment * run_.output.time_pitch + b * run_.output.batch_pitch;
  }

  DynamicScale quantize_state() {
    DynamicRange range;
    for (int64_t b = 0; b < run_.batch; ++b) range = joined(range, range_of(hidden(b), w_.hidden));
    const DynamicScale scale = dynamic_scale(range);
    for (int64_t b = 0; b < run_.batch; ++b)
      quantize_run(hidden(b), scratch_.bytes.data() + b * w_.hidden, ElementType::kUInt8, w_.hidden,
                   {&scale.scale, &scale.zero_point, 0});
    return scale;
  }

  // Sequences `begin` to `end` - 1 by one step.
  void advance(int64_t begin, int64_t end, float* sums, const DynamicScale& scale) {
    const CellRules& rules = w_.rules;
    const int64_t n = w_.padded;
    const int64_t count = end - begin;
    sums += begin * width_;
    const auto multiply_state = [&](const PackedMatrix& matrix, const float* initial,
                                    int64_t initial_pitch, float* to) {
      for (int64_t b = begin; b < end; ++b) scratch_.rows[static_cast<size_t>(b)] = hidden(b);
      multiply_rows(matrix,
                    {scratch_.rows.data() + begin, count, initial, initial_pitch, to, width_},
                    backwards_panels_);
    };
    if (rules.cell == RecurrentCell::kGru && rules.linear_before_reset) {
      float* back = row(scratch_.reset, 0, width_);
      multiply_state(w_.feedback, w_.feedback_bias.data(), 0, back);
      for (int64_t b = 0; b < count; ++b)
        gru_linear_cell(rules, n, sums + b * width_, back + b * width_, hidden(begin + b));
      return;
    }
    if (w_.is_integer)
      multiply_bytes_of_state(begin, count, sums, scale);
    else
      multiply_state(w_.feedback, sums, width_, sums);
    if (rules.cell == RecurrentCell::kGru) {
      for (int64_t b = 0; b < count; ++b) {
        float* reset = row(scratch_.reset, b, n);
        gru_gates(rules, n, sums + b * width_, hidden(begin + b), reset);
        scratch_.rows[static_cast<size_t>(b)] = reset;
      }
      float* candidate = sums + 2 * n;
      multiply_rows(w_.candidate,
                    {scratch_.rows.data(), count, candidate, width_, candidate, width_});
    }
    for (int64_t b = 0; b < count; ++b) {
      float* of_row = sums + b * width_;
      switch (rules.cell) {
        case RecurrentCell::kRnn: rnn_cell(rules, n, of_row, hidden(begin + b)); break;
        case RecurrentCell::kGru: gru_state(rules, n, of_row, hidden(begin + b)); break;
        case RecurrentCell::kLstm:
          lstm_cell(rules, n, of_row, w_.peepholes.empty() ? nullptr : w_.peepholes.data(),
                    cell(begin + b), hidden(begin + b));
          break;
      }
    }
  }

  void multiply_bytes_of_state(int64_t begin, int64_t count, float* sums,
                               const DynamicScale& scale) {
    for (int64_t b = 0; b < count; ++b)
      scratch_.byte_rows[static_cast<size_t>(b)] = scratch_.bytes.data() + (begin + b) * w_.hidden;
    ByteRows rows;
    rows.rows = scratch_.byte_rows.data();
    rows.count = count;
    rows.zero_point = scale.zero_point;
    rows.output = sums;
    rows.output_pitch = width_;
    rows.scale = &scale.scale;
    rows.factor = w_.feedback_scale.data();
    rows.bias = sums;
    rows.bias_pitch = width_;
    multiply_bytes(w_.feedback_bytes, rows, 0, byte_panels(w_.feedback_bytes));
  }

  const PackedRecurrence& w_;
  const RecurrentRun& run_;
  RecurrentScratch& scratch_;
  int64_t width_;
  bool backwards_panels_ = false;
};

}  // namespace

void run_recurrence(const PackedRecurrence& weights, const RecurrentRun& run,
                    RecurrentScratch& scratch) {
  Recurrence(weights, run, scratch).run();
}

}  // namespace lathe

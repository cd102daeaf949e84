#include "commands/bench/subject.h"

#include <fmt/format.h>

#include "commands/bench/batch.h"
#include "commands/bench/remote.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "ir/memory_plan.h"
#include "model_facts.h"
#include "profile_device.h"
#include "qdq/activation_buffers.h"
#include "statistics/clock.h"
#include "tracing/op_profile_cost.h"
#include "tracing/trace.h"

namespace lathe {
namespace {

std::string input_text(const Value& value) {
  return fmt::format("{} {} {}", escape_untrusted(value.name), dtype_name(value.type.dtype),
                     value.type.dims ? dims_text(*value.type.dims) : "?");
}

bool are_compatible(const ValueType& a, const ValueType& b) {
  if (a.dtype != b.dtype) return false;
  if (!a.dims || !b.dims) return true;
  if (a.dims->size() != b.dims->size()) return false;
  for (size_t i = 0; i < a.dims->size(); ++i) {
    const Dim& x = (*a.dims)[i];
    const Dim& y = (*b.dims)[i];
    if (x.known() && y.known() && x.size != y.size) return false;
  }
  return true;
}

}  // namespace

HeapPadding pad_heap(size_t bytes) {
  if (bytes == 0) return nullptr;
  auto padding = std::make_unique<std::byte[]>(bytes);
  padding[bytes - 1] = std::byte{1};
  return padding;
}

std::optional<double> integer_coverage(const Graph& graph, const Profile& profile) {
  int64_t total = 0;
  int64_t integer = 0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const OpKind kind = inner.node(id).kind;
      if (kind == OpKind::kQuantizeLinear || kind == OpKind::kDequantizeLinear ||
          kind == OpKind::kDynamicQuantizeLinear)
        continue;
      ++total;
      if (!allowed_configs(profile, kind).empty() || profile.precision.pass_through.contains(kind))
        ++integer;
    }
  });
  if (total == 0) return std::nullopt;
  return static_cast<double>(integer) / static_cast<double>(total);
}

void plan_arena(BenchSubject& subject, std::span<const Shape> shapes, const Profile& profile) {
  try {
    const Graph& graph = subject.graph();
    subject.arena_bytes =
        plan_memory(
            activation_buffers(shapes.empty() ? graph : with_input_shapes(graph, shapes)).requests,
            profile.memory.arena_alignment)
            .arena_bytes;
    subject.arena_reason.clear();
  } catch (const Error& error) {
    subject.arena_bytes.reset();
    subject.arena_reason = error.text().message;
  }
}

EstimatedLatency simulate(const BenchSubject& subject, const Profile& profile) {
  EstimatedLatency unknown;
  unknown.reason = "a compiled plan is not simulated; give the model that it was made of";
  if (subject.plan) return unknown;
  const Graph& graph = subject.graph();
  const std::vector<Shape>& shapes = subject.input_shapes;
  return estimate_latency(shapes.empty() ? graph : with_input_shapes(graph, shapes),
                          profile_rates(profile));
}

BenchSubject load_subject(const std::string& path, const std::string& engine,
                          const std::optional<int64_t>& batch, const Profile& profile,
                          const BenchOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  BenchSubject subject;
  subject.path = path;
  const bool reset = reset_peak_resident();
  subject.peak_method = reset ? "VmHWM of the process, reset before the model was loaded"
                              : "VmHWM of the whole life of the process";
  int64_t start = now_ns();
  RunnableModel opened = open_runnable(path, common, console);
  subject.model = std::move(opened.model);
  subject.plan = std::move(opened.plan);
  subject.load_ns = now_ns() - start;
  subject.phases.push_back({std::string(kTraceLoad), start, subject.load_ns});
  subject.facts = model_facts(path, subject.model);
  if (!subject.plan) subject.coverage = integer_coverage(subject.model.graph, profile);
  try {
    if (batch) subject.batched = with_batch(subject.model.graph, *batch);
  } catch (const Error& error) {
    throw error.within(path);
  }
  if (subject.facts.weights_bytes.value_or(0) > subject.facts.file_bytes)
    subject.size_reason = "weights lie in other files than the model's; gate 'weights' instead";
  else
    subject.size_bytes = subject.facts.file_bytes;
  plan_arena(subject, {}, profile);
  start = now_ns();
  try {
    Model executed = subject.model;
    if (subject.batched) executed.graph = *subject.batched;
    subject.engine = make_engine(engine, path, executed, subject.plan, profile, common,
                                 options.code);
  } catch (const Error& error) {
    throw error.within(path);
  }
  subject.compile_ns = now_ns() - start;
  subject.phases.push_back({std::string(kTracePrepare), start, subject.compile_ns});
  return subject;
}

void run_first(BenchSubject& subject, const std::vector<std::vector<Tensor>>& samples, bool alone) {
  try {
    const int64_t prepare = now_ns();
    // Plans for these shapes are made here.
    subject.engine->prepare(samples);
    const int64_t start = now_ns();
    subject.compile_ns += start - prepare;
    subject.engine->execute(0);
    subject.first_inference_ns = now_ns() - start;
    subject.phases.push_back({"first inference", start, subject.first_inference_ns});
  } catch (const Error& error) {
    throw error.within(subject.path);
  }
  subject.engine_facts = subject.engine->facts();
  if (subject.engine_facts.arena_bytes) {
    subject.arena_bytes = subject.engine_facts.arena_bytes;
    subject.arena_reason.clear();
  }
  for (const Tensor& input : samples.front()) subject.input_shapes.push_back(input.shape());
  subject.resident = resident_bytes();
  subject.peak = peak_resident_bytes();
  if (!alone && subject.peak_method.starts_with("VmHWM of the whole"))
    subject.peak = {std::nullopt,
                    "the kernel does not reset the high-water mark, and another "
                    "model was loaded before"};
  take_remote_facts(subject);
}

std::vector<size_t> input_positions(const Graph& from, const Graph& to) {
  const std::vector<ValueId>& given = from.inputs();
  const std::vector<ValueId>& wanted = to.inputs();
  if (given.size() != wanted.size())
    throw bad_input("compare.interface",
                    fmt::format("the models have {} and {} inputs", given.size(), wanted.size()));
  std::vector<size_t> by_name;
  std::vector<size_t> by_position;
  for (const ValueId id : wanted) {
    by_position.push_back(by_position.size());
    for (size_t i = 0; i < given.size(); ++i)
      if (from.value(given[i]).name == to.value(id).name) by_name.push_back(i);
  }
  const std::vector<size_t>& positions = by_name.size() == wanted.size() ? by_name : by_position;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Value& a = from.value(given[positions[i]]);
    const Value& b = to.value(wanted[i]);
    if (!are_compatible(a.type, b.type))
      throw bad_input(
          "compare.interface",
          fmt::format("the models' inputs differ: {} and {}", input_text(a), input_text(b)), {},
          "--against takes a model with the same inputs");
  }
  return positions;
}

int64_t items_of(const std::vector<Tensor>& sample, const Graph& graph) {
  if (sample.empty() || sample[0].rank() < 2 || graph.outputs().empty()) return 1;
  const int64_t items = sample[0].shape()[0];
  const ValueType& output = graph.value(graph.outputs()[0]).type;
  if (output.dims &&
      (output.dims->empty() || ((*output.dims)[0].known() && (*output.dims)[0].size != items)))
    return 1;
  return std::max<int64_t>(1, items);
}

}  // namespace lathe

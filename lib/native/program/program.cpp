#include "program/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>

#include "ir/error.h"
#include "ir/listed.h"
#include "kernels/instructions.h"
#include "program/flush_denormals.h"
#include "program/openmp_threads.h"

namespace lathe {
namespace {

constexpr size_t kPage = 4096;

std::byte* allocate(int64_t bytes) {
  const size_t rounded = (static_cast<size_t>(bytes) + kPage) / kPage * kPage;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPage, rounded));
  if (memory == nullptr)
    throw over_limit("native.memory",
                     fmt::format("out of memory: a native plan takes {} bytes", bytes));
  return memory;
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// A step that writes no element. Kernels are not asked: many divide by sizes.
class BoundNothing : public BoundStep {
 public:
  void run(const ProgramMemory&) override {}
  std::string_view implementation() const override { return "nothing"; }
};

bool writes_nothing(const PlanStep& step, const NativePlan& plan) {
  if (std::holds_alternative<FallbackStep>(step.kind)) return false;
  const std::vector<ViewId> writes = views_of(step).writes;
  return std::all_of(writes.begin(), writes.end(), [&](ViewId id) {
    return element_count(plan.views[static_cast<size_t>(id.index)].shape) == 0;
  });
}

struct Bind {
  const BindContext& context;
  const Program::BindFallback& bind_fallback;

  std::unique_ptr<BoundStep> operator()(const ProductStep& s) { return bind_product(s, context); }
  std::unique_ptr<BoundStep> operator()(const DepthwiseStep& s) {
    return bind_depthwise(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const FloatConvStep& s) {
    return bind_float_conv(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const FloatMatMulStep& s) {
    return bind_float_matmul(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const ElementwiseProgramStep& s) {
    return bind_elementwise(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const LookupStep& s) { return bind_lookup(s, context); }
  std::unique_ptr<BoundStep> operator()(const ConvertStep& s) { return bind_convert(s, context); }
  std::unique_ptr<BoundStep> operator()(const CopyStep& s) { return bind_copy(s, context); }
  std::unique_ptr<BoundStep> operator()(const CastStep& s) { return bind_cast(s, context); }
  std::unique_ptr<BoundStep> operator()(const GatherStep& s) { return bind_gather(s, context); }
  std::unique_ptr<BoundStep> operator()(const FillStep& s) { return bind_fill(s, context); }
  std::unique_ptr<BoundStep> operator()(const PoolStep& s) { return bind_pool(s, context); }
  std::unique_ptr<BoundStep> operator()(const SoftmaxStep& s) { return bind_softmax(s, context); }
  std::unique_ptr<BoundStep> operator()(const LayerNormStep& s) {
    return bind_layer_norm(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const ReduceStep& s) { return bind_reduce(s, context); }
  std::unique_ptr<BoundStep> operator()(const ResizeStep& s) { return bind_resize(s, context); }
  std::unique_ptr<BoundStep> operator()(const RecurrentStep& s) {
    return bind_recurrent(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const DynamicQuantizeStep& s) {
    return bind_dynamic_quantize(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const IntegerMatMulStep& s) {
    return bind_integer_matmul(s, context);
  }
  std::unique_ptr<BoundStep> operator()(const FallbackStep& s) { return bind_fallback(s, context); }
};

/// Without somebody to make the steps of fallback partitions there must be none.
void require_no_fallback(const NativePlan& plan) {
  constexpr size_t kMostNamed = 3;
  std::vector<std::string> names;
  for (const PlanStep& step : plan.steps)
    if (std::holds_alternative<FallbackStep>(step.kind))
      names.push_back(step.nodes.empty() ? "" : escape_untrusted(step.nodes.front()));
  if (names.empty()) return;
  throw bad_environment("native.fallback", "the plan has nodes that only lathe itself can run",
                        listed(names, kMostNamed), "lathe bench --engine native runs it");
}

}  // namespace

bool has_integer_tiles() { return instructions().tiles; }

struct Program::Memory {
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  using Pages = std::unique_ptr<std::byte[], Free>;
  Pages arena;
  Pages scratch;
};

ViewAddress BindContext::address(ViewId id) const {
  if (!id.valid()) return {};
  const PlanView& v = view(id);
  return {v.block, v.offset * (dtype_bits(v.dtype) / 8)};
}

PackedKey BindContext::packed_key(ViewId weights, int64_t part, std::string layout) const {
  const ViewAddress at = address(weights);
  return {plan.blocks[static_cast<size_t>(at.block)].offset + at.bytes, part, std::move(layout)};
}

bool BindContext::is_fixed(ViewId id) const {
  const BlockPlace place = plan.blocks[static_cast<size_t>(view(id).block)].place;
  return place == BlockPlace::kArena || place == BlockPlace::kConstant;
}

Program::Program(NativePlan plan, const ProgramOptions& options, const BindFallback& bind_fallback)
    : plan_(std::move(plan)), options_(options), memory_(std::make_unique<Memory>()) {
  if (!bind_fallback) require_no_fallback(plan_);
  if (!options_.packed) options_.packed = std::make_shared<PackedWeights>();
  memory_->arena.reset(allocate(plan_.arena_bytes));
  for (const PlanBlock& block : plan_.blocks) {
    std::byte* base = nullptr;
    if (block.place == BlockPlace::kArena) base = memory_->arena.get() + block.offset;
    // Only read, too.
    if (block.place == BlockPlace::kConstant)
      base = const_cast<std::byte*>(plan_.constants.data()) + block.offset;
    blocks_.blocks.push_back(base);
  }
  const auto bound = [&](const PlanStep& step, const StepChoice& choice) {
    if (writes_nothing(step, plan_)) return std::shared_ptr<BoundStep>(new BoundNothing);
    BindContext context = bind_context(choice.implementation);
    if (choice.threads > 0) context.threads = std::min(choice.threads, options.threads);
    return std::shared_ptr<BoundStep>(std::visit(Bind{context, bind_fallback}, step.kind));
  };
  std::vector<BoundStep*> all;
  for (const PlanStep& step : plan_.steps) {
    steps_.push_back(bound(step, step.choice));
    all.push_back(steps_.back().get());
    // One step's weights are there twice, not all.
    plan_.constants.give_back();
  }
  // What LibTorch computes may depend on the number of its threads.
  const bool may_leave_pool =
      options.threads > 1 && !options.keeps_pool && options.alternatives.empty() &&
      std::none_of(plan_.steps.begin(), plan_.steps.end(), [](const PlanStep& step) {
        return std::holds_alternative<FallbackStep>(step.kind);
      });
  for (size_t i = 0; may_leave_pool && i < steps_.size(); ++i) {
    lone_steps_.push_back(steps_[i]);
    if (!steps_[i]->uses_pool()) continue;
    lone_steps_[i] = bound(plan_.steps[i], {plan_.steps[i].choice.implementation, 1});
    all.push_back(lone_steps_[i].get());
  }
  for (const auto& [step, choices] : options.alternatives) {
    alternatives_[step].push_back(steps_.at(step));
    for (const StepChoice& choice : choices) {
      alternatives_[step].push_back(bound(plan_.steps[step], choice));
      all.push_back(alternatives_[step].back().get());
    }
  }
  size_t scratch = 0;
  for (const BoundStep* step : all) {
    scratch = std::max(scratch, step->scratch_bytes());
    if (step->uses_pool()) modes_.resize(static_cast<size_t>(options.threads));
  }
  memory_->scratch.reset(allocate(static_cast<int64_t>(scratch)));
  for (BoundStep* step : all) step->set_scratch(memory_->scratch.get());
}

Program::~Program() = default;

BindContext Program::bind_context(std::string_view implementation) const {
  const ProgramOptions& o = options_;
  return {plan_, blocks_, o.threads, o.isa, o.onednn_products, *o.packed, implementation};
}

std::vector<std::string> Program::implementations(size_t step) const {
  std::vector<std::string> names;
  if (writes_nothing(plan_.steps.at(step), plan_)) return names;
  const BindContext context = bind_context({});
  const auto add = [&](const auto& kind) {
    for (std::string& name : onednn_implementations(kind, context))
      names.push_back(std::move(name));
  };
  const StepKind& kind = plan_.steps.at(step).kind;
  if (const auto* product = std::get_if<ProductStep>(&kind)) {
    names.emplace_back(kOwnProduct);
    add(*product);
  } else if (const auto* depthwise = std::get_if<DepthwiseStep>(&kind)) {
    names.emplace_back(kOwnDepthwise);
    add(*depthwise);
  } else if (const auto* conv = std::get_if<FloatConvStep>(&kind)) {
    add(*conv);
  } else if (const auto* matmul = std::get_if<FloatMatMulStep>(&kind)) {
    add(*matmul);
  }
  return names;
}

void Program::choose(size_t step, size_t alternative) {
  steps_.at(step) = alternatives_.at(step).at(alternative);
}

void Program::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                  const StepObserver& observer) {
  for (size_t i = 0; i < plan_.blocks.size(); ++i) {
    const PlanBlock& block = plan_.blocks[i];
    const auto index = static_cast<size_t>(block.offset);
    // Views of inputs are only read.
    if (block.place == BlockPlace::kInput)
      blocks_.blocks[i] = static_cast<std::byte*>(const_cast<void*>(inputs[index]));
    else if (block.place == BlockPlace::kOutput)
      blocks_.blocks[i] = static_cast<std::byte*>(outputs[index]);
  }
  const bool alone = pool_worth_.alone();
  const OpenMpThreads threads(alone ? 1 : options_.threads);
  const int64_t start = now_ns();
  if (alone)
    run_steps(lone_steps_, std::span(modes_).first(std::min<size_t>(modes_.size(), 1)), observer);
  else
    run_steps(steps_, modes_, observer);
  if (!lone_steps_.empty()) pool_worth_.ran(now_ns() - start);
}

void Program::run_steps(const Steps& steps, std::span<unsigned> modes,
                        const StepObserver& observer) {
  const FlushDenormalsInPool flush(modes);
  if (!observer) {
    for (const std::shared_ptr<BoundStep>& step : steps) step->run(blocks_);
    return;
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t start = now_ns();
    steps[i]->run(blocks_);
    observer(i, now_ns() - start);
  }
}

}  // namespace lathe

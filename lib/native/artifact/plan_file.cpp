#include "artifact/plan_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "artifact/packed_section.h"
#include "artifact/plan_archive.h"
#include "artifact/plan_fields.h"
#include "artifact/sections.h"
#include "ir/error.h"

namespace lathe {

void fields(auto& a, Is<PlanPort> auto& s) { a(s.name, s.dtype, s.has_shape, s.shape); }

void fields(auto& a, Is<PlanExecution> auto& s) {
  a(s.threads, s.affinity, s.batch_default, s.batch_max, s.queue_delay_us);
}

void fields(auto& a, Is<PlanMetadata> auto& s) {
  a(s.producer, s.source_sha256, s.profile, s.fingerprint, s.tuned_threads, s.lost_batch,
    s.execution, s.inputs, s.outputs);
}

namespace {

using Bytes = std::span<const std::byte>;

std::string_view text_of(const std::vector<int64_t>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int64_t)};
}

[[noreturn]] void refuse(std::string message) {
  throw bad_input("plan.invalid", std::move(message), {},
                  "the plan is damaged, or no lathe made it");
}

std::vector<int64_t> numbers_of(Bytes bytes) {
  if (bytes.size() % sizeof(int64_t) != 0) refuse("the plan has part of a number");
  std::vector<int64_t> numbers(bytes.size() / sizeof(int64_t));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

void check_ports(const NativePlan& plan, const std::vector<PlanValue>& values,
                 const std::vector<PlanPort>& ports, std::string_view what) {
  if (values.size() != ports.size())
    refuse(fmt::format("the plan describes another number of {}s", what));
  for (size_t i = 0; i < ports.size(); ++i) {
    const PlanPort& port = ports[i];
    if (static_cast<int>(port.dtype) >= kDTypeCount)
      refuse(fmt::format("{} {} has an unknown type", what, i));
    if (!values[i].view.valid()) {
      if (port.has_shape) refuse(fmt::format("{} {} has a shape that nobody knows", what, i));
      continue;
    }
    const PlanView& view = plan.views[static_cast<size_t>(values[i].view.index)];
    if (!port.has_shape || port.shape != view.shape ||
        dtype_bits(port.dtype) != dtype_bits(view.dtype))
      refuse(fmt::format("{} {} is described otherwise than it is", what, i));
  }
}

void check_execution(const PlanExecution& execution) {
  const auto within = [](int64_t value, int64_t least, int64_t most) {
    return value >= least && value <= most;
  };
  if (!within(execution.threads, 0, kMostPlanThreads) || execution.affinity > CpuAffinity::kBig ||
      !within(execution.batch_default, 1, kMostPlanBatch) ||
      !within(execution.batch_max, execution.batch_default, kMostPlanBatch) ||
      !within(execution.queue_delay_us, 0, kMostQueueDelayUs))
    refuse("the plan asks for an execution that cannot be");
}

void check_partitions(const PlanFile& file) {
  for (const PlanStep& step : file.plan.steps)
    if (const auto* partition = std::get_if<FallbackStep>(&step.kind))
      if (static_cast<size_t>(partition->partition) >= file.partitions.size())
        refuse("a step's nodes are missing");
}

}  // namespace

void describe_ports(PlanFile& file) {
  const NativePlan& plan = file.plan;
  const auto describe = [&](const std::vector<PlanValue>& values) {
    std::vector<PlanPort> ports;
    for (const PlanValue& value : values) {
      if (!value.view.valid()) {
        ports.push_back(
            {plan.slots[static_cast<size_t>(value.slot)].name, DType::kUndefined, false, {}});
        continue;
      }
      const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
      ports.push_back({view.name, view.dtype, true, view.shape});
    }
    return ports;
  };
  file.metadata.inputs = describe(plan.inputs);
  file.metadata.outputs = describe(plan.outputs);
}

std::string tuning_warning(const PlanMetadata& metadata, std::string_view fingerprint,
                           int threads) {
  if (metadata.fingerprint.empty()) return {};
  if (metadata.fingerprint != fingerprint)
    return "the plan was tuned on another machine; steps run as they do by default";
  if (metadata.tuned_threads == threads) return {};
  return fmt::format("the plan was tuned for {} threads, here are {}", metadata.tuned_threads,
                     threads);
}

std::string keep_own_choices(PlanFile& file, std::string_view fingerprint, int threads) {
  const PlanMetadata& metadata = file.metadata;
  // Choices without a fingerprint are nobody's.
  if (metadata.fingerprint.empty() || metadata.fingerprint != fingerprint)
    for (PlanStep& step : file.plan.steps) step.choice = {};
  return tuning_warning(metadata, fingerprint, threads);
}

std::string write_plan_file(const PlanFile& file) {
  PlanWriter metadata;
  metadata(file.metadata);
  PlanWriter plan;
  plan(file.plan);
  PlanWriter partitions;
  partitions(file.partitions);
  std::vector<Section> sections{{SectionKind::kMetadata, metadata.bytes},
                                {SectionKind::kSteps, plan.bytes},
                                {SectionKind::kNumbers, text_of(plan.numbers)}};
  if (!file.batch_two.empty())
    sections.push_back({SectionKind::kBatchTwo, text_of(file.batch_two)});
  if (!file.partitions.empty()) sections.push_back({SectionKind::kFallback, partitions.bytes});
  const std::span<const std::byte> constants = file.plan.constants.bytes();
  sections.push_back({SectionKind::kConstants,
                      {reinterpret_cast<const char*>(constants.data()), constants.size()}});
  const PackedSection packed = write_packed_section(file.packing_key, file.packed);
  if (!file.packed.empty()) {
    sections.push_back({SectionKind::kPackedTable, packed.table});
    sections.push_back({SectionKind::kPacked, packed.bytes});
  }
  return join_sections(sections);
}

PlanFile read_plan_file(Bytes bytes) {
  // Where a mapping would be: on a page's border.
  constexpr std::align_val_t kPage{4096};
  const std::shared_ptr<std::byte[]> copy(
      new (kPage) std::byte[std::max<size_t>(bytes.size(), 1)],
      [](std::byte* made) { ::operator delete[](made, kPage); });
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return read_plan_file({copy.get(), bytes.size()}, copy);
}

PlanFile read_plan_file(Bytes bytes, std::shared_ptr<const void> keeper) {
  const auto sections = split_sections(bytes);
  const auto required = [&](SectionKind kind) {
    const auto found = sections.find(kind);
    if (found == sections.end())
      refuse(fmt::format("the plan has no section {}", static_cast<uint32_t>(kind)));
    return found->second;
  };
  PlanFile file;
  PlanReader metadata(required(SectionKind::kMetadata));
  metadata(file.metadata);
  metadata.end();
  const std::vector<int64_t> numbers = numbers_of(required(SectionKind::kNumbers));
  PlanReader plan(required(SectionKind::kSteps), numbers);
  plan(file.plan);
  plan.end();
  if (sections.contains(SectionKind::kBatchTwo)) {
    file.batch_two = numbers_of(sections.at(SectionKind::kBatchTwo));
    if (file.batch_two.empty() || file.batch_two.size() != numbers.size())
      refuse("the plan has another number of numbers for batch 2");
  }
  if (sections.contains(SectionKind::kFallback)) {
    PlanReader partitions(sections.at(SectionKind::kFallback));
    partitions(file.partitions);
    partitions.end();
  }
  file.plan.constants = PlanConstants(required(SectionKind::kConstants), keeper);
  if (sections.contains(SectionKind::kPackedTable))
    file.packed = read_packed_section(sections.at(SectionKind::kPackedTable),
                                      required(SectionKind::kPacked), keeper, file.packing_key);
  verify_plan(file.plan);
  check_ports(file.plan, file.plan.inputs, file.metadata.inputs, "input");
  check_ports(file.plan, file.plan.outputs, file.metadata.outputs, "output");
  check_partitions(file);
  check_execution(file.metadata.execution);
  return file;
}

}  // namespace lathe

#include "onednn/onednn_step.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "onednn/onednn_api.h"
#include "program/openmp_threads.h"

namespace lathe {
namespace {

bool is_reference(std::string_view name) { return name.starts_with("ref"); }

// What making one primitive takes at most: objects, and pages for its code.
constexpr size_t kObjectBytes = size_t{4} << 20;
constexpr size_t kCodeBytes = size_t{64} << 20;

// oneDNN 2.6 makes a primitive behind a promise whose future its cache holds. An exception on the
// way breaks the promise: in a destructor, where saying so takes memory again (std::terminate), and
// what is left in the cache answers for that primitive from then on. So what may be needed is asked
// for, and given back, beforehand.
void require_memory() {
  void* const objects = ::operator new(kObjectBytes);
  void* const code =
      ::mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code != MAP_FAILED) ::munmap(code, kCodeBytes);
  ::operator delete(objects);
  if (code == MAP_FAILED) throw std::bad_alloc();
}

}  // namespace

const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::desc onednn_desc(const PlanView& view, size_t rank) {
  dnnl::memory::dims dims(view.shape.begin(), view.shape.end());
  dnnl::memory::dims strides(view.strides.begin(), view.strides.end());
  dims.insert(dims.begin(), rank - dims.size(), 1);
  strides.insert(strides.begin(), rank - strides.size(), 1);
  // oneDNN 3.7 multiplies wrong numbers where such a dimension has a small stride.
  for (size_t i = 0; i + 2 < rank; ++i)
    if (dims[i] == 1) strides[i] = span_elements(view);
  return {dims, dnnl::memory::data_type::f32, strides};
}

PlanView dense_image(const PlanView& view) {
  PlanView image = view;
  std::vector<int64_t> order{0};
  for (size_t i = 2; i < view.shape.size(); ++i) order.push_back(static_cast<int64_t>(i));
  order.push_back(1);
  image.strides = dense_strides(view.shape, order);
  return image;
}

dnnl::memory::desc onednn_image(const PlanView& view, dnnl::memory::data_type type) {
  PlanView image = dense_image(view);
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (view.shape[i] > 1) image.strides[i] = view.strides[i];
  return {dnnl::memory::dims(image.shape.begin(), image.shape.end()), type,
          dnnl::memory::dims(image.strides.begin(), image.strides.end())};
}

dnnl::memory packed_weights(const dnnl::memory::desc& from, ViewId weights,
                            const dnnl::memory::desc& to, const BindContext& context) {
  std::byte* values = context.address(weights).in(context.memory);
  // All of it decides about the bytes; equal texts are equal layouts.
  const std::string layout = layout_of(from) + layout_of(to);
  const auto packed = context.packed.get(
      context.packed_key(weights, 0, layout), to.get_size(), [&](std::byte* made) {
        dnnl::memory source(from, onednn_engine(), values);
        dnnl::memory result(to, onednn_engine(), made);
        dnnl::stream stream(onednn_engine());
        const dnnl::reorder::primitive_desc desc(source, result);
        make_primitive(desc).execute(stream, {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, result}});
        stream.wait();
      });
  // Only read.
  return {to, onednn_engine(), const_cast<std::byte*>(packed.get())};
}

std::string onednn_build() {
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("oneDNN {}.{}.{} {} {}", version.major, version.minor, version.patch,
                     version.hash, static_cast<int>(dnnl::get_effective_cpu_isa()));
}

bool select_implementation(dnnl::primitive_desc& desc, std::string_view name) {
  if (!name.empty())
    while (name != desc.impl_info_str())
      if (!desc.next_impl()) return false;
  return !is_reference(desc.impl_info_str());
}

std::vector<std::string> implementation_names(dnnl::primitive_desc& desc) {
  std::vector<std::string> names;
  do {
    std::string name = desc.impl_info_str();
    if (!is_reference(name) && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  } while (desc.next_impl());
  return names;
}

dnnl::primitive make_primitive(const dnnl::primitive_desc_base& desc) {
  require_memory();
  return dnnl::primitive(desc.get());
}

OnednnStep::OnednnStep(const dnnl::primitive_desc_base& desc, int threads)
    : primitive_(make_primitive(desc)),
      stream_(onednn_engine()),
      implementation_(desc.impl_info_str()),
      scratch_desc_(desc.scratchpad_desc()),
      threads_(threads) {}

void OnednnStep::add(int argument, dnnl::memory memory) {
  memories_.push_back(std::move(memory));
  arguments_.push_back({argument, memories_.back().get()});
}

void OnednnStep::add(int argument, const dnnl::memory::desc& desc, ViewAddress address,
                     const BindContext& context, bool fixed) {
  void* data = fixed ? address.in(context.memory) : nullptr;
  if (!fixed) moving_.push_back({arguments_.size(), address});
  add(argument, dnnl::memory(desc, onednn_engine(), data));
}

void OnednnStep::set_scratch(std::byte* bytes) {
  if (scratch_desc_.get_size() == 0) return;
  add(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratch_desc_, onednn_engine(), bytes));
}

void OnednnStep::run(const ProgramMemory& memory) {
  for (const Moving& moving : moving_)
    dnnl_memory_set_data_handle(arguments_[moving.argument].memory, moving.address.in(memory));
  const OpenMpThreads threads(threads_);
  dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()),
                         arguments_.data());
}

}  // namespace lathe

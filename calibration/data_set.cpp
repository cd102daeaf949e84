#include "calibration/data_set.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "calibration/array.h"
#include "calibration/data_file.h"
#include "calibration/idx.h"
#include "calibration/image_file.h"
#include "calibration/npz.h"
#include "calibration/open_data.h"
#include "calibration/random_data.h"
#include "ir/error.h"
#include "report/nearest_name.h"

namespace lathe {

struct DataSet::State {
  std::vector<ModelInput> inputs;
  std::vector<ReadSample> readers;  // one a model input
  ReadSample label;
  std::function<std::string(int64_t)> name;
  std::vector<std::pair<std::string, std::string>> carry;
  std::vector<std::string> warnings;
  std::string where;
  int64_t first = 0;
  int64_t count = 0;
  bool allow_non_finite = false;

  int64_t source_index(size_t index) const {
    if (index >= static_cast<size_t>(count))
      throw InternalError(fmt::format("sample {} of {}", index, count));
    return first + static_cast<int64_t>(index);
  }
};

namespace {

DataFormat format_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return DataFormat::kImages;
  const DataFile file = DataFile::open(path);
  if (path.ends_with(".csv")) return DataFormat::kCsv;
  std::string head(static_cast<size_t>(std::min<uint64_t>(16, file.size())), '\0');
  file.read(0, std::as_writable_bytes(std::span(head)));
  if (path.ends_with(".npz") || head.starts_with("PK\x03\x04")) return DataFormat::kNpz;
  if (path.ends_with(".npy") || head.starts_with("\x93NUMPY")) return DataFormat::kNpy;
  if (path.ends_with(".wav") || head.starts_with("RIFF")) return DataFormat::kWav;
  if (looks_like_image(head)) return DataFormat::kImages;
  if (looks_like_idx(head)) return DataFormat::kIdx;
  throw bad_input("data.format", "the kind of data is not known", shown_path(path),
                  "npz, npy, idx, csv, wav, a folder of pictures, or a data spec (.json)");
}

// What a carried input starts from.
Tensor first_state(const ModelInput& input, const DataOptions& options) {
  if (const auto it = options.initial.find(input.name); it != options.initial.end())
    return it->second;
  const Shape shape = shape_with_ones(input.dims);
  const int64_t bytes = dtype_bytes(input.dtype, element_count(shape));
  if (bytes > kMaxArrayBytes)
    throw over_limit("data.array_size",
                     fmt::format("the input {} of {} bytes", escape_untrusted(input.name), bytes));
  return Tensor::from_bytes(input.dtype, shape, std::vector<std::byte>(static_cast<size_t>(bytes)));
}

Tensor constant(const ModelInput& input, double value, const std::string& where) {
  const Shape shape = shape_with_ones(input.dims);
  if (dtype_bytes(DType::kFloat64, element_count(shape)) > kMaxArrayBytes)
    throw over_limit("data.array_size", fmt::format("the input {}", escape_untrusted(input.name)),
                     where);
  return tensor_from_doubles(input.dtype, shape,
                             std::vector<double>(static_cast<size_t>(element_count(shape)), value),
                             where);
}

Error unknown_input(const std::string& name, const std::vector<ModelInput>& inputs,
                    std::string_view key, const std::string& where) {
  std::vector<std::string> names;
  for (const ModelInput& input : inputs) names.push_back(input.name);
  return bad_input("data.input", fmt::format("the model has no input {}", escape_untrusted(name)),
                   fmt::format("{}: /{}", where, key), escape_untrusted(name_hint(name, names)));
}

bool has_input(const std::vector<ModelInput>& inputs, std::string_view name) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [&](const ModelInput& i) { return i.name == name; });
}

using Carry = std::vector<std::pair<std::string, std::string>>;

bool is_carried(const Carry& carry, const std::string& input) {
  return std::any_of(carry.begin(), carry.end(),
                     [&](const auto& pair) { return pair.second == input; });
}

// What the model carries and the data neither carry nor describe.
DataSpec with_model_carry(DataSpec spec, const Carry& carry) {
  for (const auto& pair : carry)
    if (!is_carried(spec.carry, pair.second) && !spec.inputs.contains(pair.second))
      spec.carry.push_back(pair);
  return spec;
}

// What a plain archive has an array of is not carried: every feed brings its own.
Carry without_arrays(Carry carry, const std::string& path) {
  std::vector<std::string> names;
  for (const auto& [output, input] : carry) names.push_back(input);
  for (const std::string& given : npz_arrays_among(path, names))
    std::erase_if(carry, [&](const auto& pair) { return pair.second == given; });
  return carry;
}

// The spec of each model input; nullopt for carried ones.
std::vector<std::optional<InputSpec>> assign(const DataSpec& spec,
                                             const std::vector<ModelInput>& inputs,
                                             const std::string& where) {
  for (const auto& [name, ignored] : spec.inputs)
    if (name != "*" && !has_input(inputs, name)) throw unknown_input(name, inputs, "inputs", where);
  for (const auto& [output, name] : spec.carry)
    if (!has_input(inputs, name)) throw unknown_input(name, inputs, "carry", where);
  const auto check_dtype = [&](const InputSpec& input, const ModelInput& model) {
    if (input.dtype && *input.dtype != model.dtype)
      throw bad_input(
          "data.dtype",
          fmt::format("the spec makes {}, the model's input {} wants {}", dtype_name(*input.dtype),
                      escape_untrusted(model.name), dtype_name(model.dtype)),
          where);
  };
  std::vector<std::optional<InputSpec>> assigned(inputs.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = inputs[i].name;
    const auto found = spec.inputs.find(name);
    const bool carried = is_carried(spec.carry, name);
    if (carried && found != spec.inputs.end())
      throw bad_input("data.carry",
                      fmt::format("the input {} is carried and described", escape_untrusted(name)),
                      where);
    if (carried) continue;
    if (found != spec.inputs.end())
      assigned[i] = found->second;
    else
      open.push_back(i);
  }
  const auto star = spec.inputs.find("*");
  if (star != spec.inputs.end() && open.size() != 1)
    throw bad_input("data.input",
                    fmt::format("\"*\" stands for one input, {} are left", open.size()),
                    where + ": /inputs", "describe every input by its name");
  for (const size_t i : open) {
    const bool by_name = spec.format == DataFormat::kNpz || open.size() == 1;
    if (star == spec.inputs.end() && !by_name)
      throw bad_input("data.input",
                      fmt::format("nothing says where the input {} comes from",
                                  escape_untrusted(inputs[i].name)),
                      where, "a data spec describes every input, or carries it");
    assigned[i] = star != spec.inputs.end() ? star->second : InputSpec{};
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (assigned[i]) check_dtype(*assigned[i], inputs[i]);
  return assigned;
}

OpenedData open_format(const OpenRequest& request) {
  switch (request.spec.format) {
    case DataFormat::kNpz:
    case DataFormat::kNpy:
    case DataFormat::kIdx: return open_array_data(request);
    case DataFormat::kCsv: return open_csv_data(request);
    case DataFormat::kWav: return open_wav_data(request);
    case DataFormat::kImages: return open_image_data(request);
  }
  throw InternalError("a data format without reader");
}

DataSet::State open_spec(const DataSpec& spec, bool plain, const std::vector<ModelInput>& inputs,
                         const DataOptions& options, const std::string& where) {
  const auto assigned = assign(spec, inputs, where);
  OpenRequest request{spec, plain, options.follow_links, {}};
  for (size_t i = 0; i < inputs.size(); ++i)
    if (assigned[i] && !assigned[i]->value) request.inputs.push_back({inputs[i], *assigned[i]});
  if (request.inputs.empty())
    throw bad_input("data.input", "no input of the model takes data: all are constant or carried",
                    where);
  OpenedData opened = open_format(request);

  DataSet::State state;
  size_t next = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (assigned[i] && !assigned[i]->value) {
      state.readers.push_back(std::move(opened.inputs[next++]));
      continue;
    }
    const Tensor fixed = assigned[i] ? constant(inputs[i], *assigned[i]->value, where)
                                     : first_state(inputs[i], options);
    state.readers.push_back([fixed](int64_t) { return fixed; });
  }
  state.label = std::move(opened.label);
  state.name = std::move(opened.name);
  state.carry = spec.carry;
  state.warnings = std::move(opened.warnings);
  state.first = spec.skip;
  state.count = opened.count - std::min(opened.count, spec.skip);
  if (spec.limit) state.count = std::min(state.count, *spec.limit);
  if (state.count == 0)
    throw bad_input(
        "data.empty",
        spec.skip > 0 ? fmt::format("{} of {} samples are skipped", spec.skip, opened.count)
                      : std::string("the data set is empty"),
        where, spec.skip > 0 ? "lower \"skip\" in the data spec" : "give at least one sample");
  return state;
}

DataSet::State open_random(const std::vector<ModelInput>& inputs, const DataOptions& options) {
  DataSet::State state;
  state.carry = options.carry;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_carried(state.carry, inputs[i].name)) {
      state.readers.push_back([fixed = first_state(inputs[i], options)](int64_t) { return fixed; });
      continue;
    }
    const Shape shape = random_shape(inputs[i]);
    const uint64_t lane = static_cast<uint64_t>(i) << 40;
    state.readers.push_back(
        [shape, lane, dtype = inputs[i].dtype, seed = options.seed](int64_t sample) {
          return random_tensor(dtype, shape, seed, lane + static_cast<uint64_t>(sample));
        });
  }
  state.name = [](int64_t sample) { return fmt::format("random sample {}", sample); };
  state.count = std::max<int64_t>(1, options.random_samples);
  return state;
}

}  // namespace

size_t DataSet::size() const { return static_cast<size_t>(state_->count); }

DataSet DataSet::first(int64_t count) const {
  State fewer = *state_;
  fewer.count = std::min(fewer.count, std::max<int64_t>(1, count));
  return DataSet(std::make_shared<const State>(std::move(fewer)));
}

std::vector<Tensor> DataSet::sample(size_t index) const {
  const int64_t source = state_->source_index(index);
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < state_->readers.size(); ++i) {
    tensors.push_back(state_->readers[i](source));
    if (!state_->allow_non_finite)
      check_finite(tensors.back(),
                   fmt::format("{}: {}: input {}", state_->where, state_->name(source),
                               escape_untrusted(state_->inputs[i].name)));
  }
  return tensors;
}

bool DataSet::has_labels() const { return static_cast<bool>(state_->label); }

Tensor DataSet::label(size_t index) const {
  return has_labels() ? state_->label(state_->source_index(index)) : Tensor();
}

std::vector<int64_t> DataSet::class_labels(size_t index) const {
  const Tensor stored = label(index);
  if (!stored.defined()) return {};
  const auto refuse = [&](const std::string& what) {
    return bad_input("data.label", what, fmt::format("{}: {}", state_->where, sample_name(index)));
  };
  std::vector<int64_t> labels;
  if (is_floating(stored.dtype())) {
    for (const double value : stored.to_double()) {
      if (value != std::nearbyint(value) || std::abs(value) > 1e15)
        throw refuse(fmt::format("the label {} is no class", value));
      labels.push_back(static_cast<int64_t>(value));
    }
  } else {
    labels = stored.to_int64();
  }
  if (labels.size() == 1 && labels[0] < 0)
    throw refuse(fmt::format("the label {} is no class", labels[0]));
  return labels;
}

std::string DataSet::sample_name(size_t index) const {
  return state_->name(state_->source_index(index));
}

const std::vector<std::pair<std::string, std::string>>& DataSet::carry() const {
  return state_->carry;
}

const std::vector<std::string>& DataSet::warnings() const { return state_->warnings; }

DataSet open_data_set(const std::string& data, const std::vector<ModelInput>& inputs,
                      const DataOptions& options) {
  if (inputs.empty()) throw bad_input("data.input", "the model has no inputs", shown_path(data));
  DataSet::State state;
  if (data == "random") {
    state = open_random(inputs, options);
  } else if (data.ends_with(".json")) {
    state = open_spec(with_model_carry(load_data_spec(data), options.carry), false, inputs, options,
                      shown_path(data));
  } else {
    DataSpec spec;
    spec.path = data;
    spec.format = format_of(data);
    spec.batch = options.free_batch == FreeBatch::kOneFeed;
    const bool is_archive = spec.format == DataFormat::kNpz && !options.carry.empty();
    const Carry carry = is_archive ? without_arrays(options.carry, data) : options.carry;
    state = open_spec(with_model_carry(std::move(spec), carry), true, inputs, options,
                      shown_path(data));
  }
  if (options.limit > 0) state.count = std::min(state.count, options.limit);
  state.inputs = inputs;
  state.where = shown_path(data);
  state.allow_non_finite = options.allow_non_finite;
  DataSet set(std::make_shared<const DataSet::State>(std::move(state)));
  const std::vector<Tensor> first = set.sample(0);
  for (size_t i = 0; i < inputs.size(); ++i)
    check_fits(first[i].shape(), inputs[i], shown_path(data));
  return set;
}

}  // namespace lathe

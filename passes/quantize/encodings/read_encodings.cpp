#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ir/error.h"
#include "ir/quantization.h"
#include "quantize/encodings/encodings.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e30;
constexpr const char* kForms =
    "expected AIMET's encodings (0.6.1, 1.0.0) or ONNX Runtime's tensor overrides";

class Place {
 public:
  Place(std::string file, const std::string& name)
      : where_(file + ": " + escape_untrusted(name, 60)) {}

  [[noreturn]] void refuse(const char* id, const std::string& what,
                           const std::string& hint = {}) const {
    throw bad_input(id, what, where_, hint);
  }

  double number(const json& row, const char* key) const {
    const auto it = row.find(key);
    if (it == row.end() || !it->is_number())
      refuse("encodings.malformed", fmt::format("'{}' is missing, or no number", key));
    const double value = it->get<double>();
    if (!(std::fabs(value) <= kLargest))
      refuse("encodings.range", fmt::format("'{}' is out of range", key));
    return value;
  }

  // A list of numbers, or one.
  std::vector<double> numbers(const json& row, const char* key) const {
    const auto it = row.find(key);
    if (it == row.end()) refuse("encodings.malformed", fmt::format("'{}' is missing", key));
    std::vector<double> values;
    for (const json& item : it->is_array() ? *it : json::array({*it})) {
      if (!item.is_number() || !(std::fabs(item.get<double>()) <= kLargest))
        refuse("encodings.malformed", fmt::format("'{}' holds what is no number", key));
      values.push_back(item.get<double>());
    }
    return values;
  }

  int bits(const json& row, const char* key) const {
    const double bits = number(row, key);
    if (bits != 8 && bits != 16)
      refuse("encodings.bits", fmt::format("{} bits; 8 and 16 are known", bits),
             "take the tensor out of the file, and leave its node in float by --exclude");
    return static_cast<int>(bits);
  }

  // A file that says a range twice has to mean the same; symmetric grids may leave out an end.
  void require_same(const json& row, const char* low_key, const char* high_key,
                    const Encoding& encoding, int bits) const {
    constexpr double kMostSteps = 2;
    if (!row.contains(low_key) || !row.contains(high_key)) return;
    const double low = number(row, low_key);
    const double high = number(row, high_key);
    if (!(low <= high)) refuse("encodings.range", fmt::format("{} is above {}", low_key, high_key));
    const auto zero = static_cast<double>(encoding.zero);
    const double least = -zero * encoding.scale;
    const double most = (std::ldexp(1.0, bits) - 1 - zero) * encoding.scale;
    if (std::max(std::fabs(low - least), std::fabs(high - most)) > kMostSteps * encoding.scale)
      refuse("encodings.range",
             fmt::format("{} and {} say {:.6g} to {:.6g}, the scale gives {:.6g} to {:.6g}", low_key,
                         high_key, low, high, least, most),
             "leave out what is old");
  }

  Encoding checked(double scale, double zero, int bits) const {
    if (!(scale > 0) || !(scale <= kLargest))
      refuse("encodings.range",
             fmt::format("a scale of {}: its range is empty or inverted", scale));
    if (zero != std::nearbyint(zero) || zero < 0 || zero > std::ldexp(1.0, bits) - 1)
      refuse("encodings.zero", fmt::format("zero lies at {}, outside of {} bits", zero, bits));
    return {scale, static_cast<int64_t>(zero)};
  }

 private:
  std::string where_;
};

void require_integers(const json& row, const Place& place) {
  const auto it = row.find("dtype");
  if (it == row.end() || !it->is_string()) return;
  const std::string dtype = it->get<std::string>();
  if (dtype != "int" && dtype != "INT")
    place.refuse("encodings.dtype",
                 "dtype '" + escape_untrusted(dtype, 20) + "': only integers are encoded here",
                 "take the tensor out of the file, and leave its node in float by --exclude");
}

// 0.6.1: {name: [{bitwidth, scale, offset, min, max, …} a channel]}.
void read_old_aimet(const json& tensors, const std::string& file, Encodings& out) {
  for (const auto& [name, rows] : tensors.items()) {
    const Place place(file, name);
    if (!rows.is_array() || rows.empty())
      place.refuse("encodings.malformed", "expected a list of encodings");
    TensorEncoding tensor;
    for (const json& row : rows) {
      if (!row.is_object()) place.refuse("encodings.malformed", "expected an object");
      require_integers(row, place);
      tensor.bits = place.bits(row, "bitwidth");
      tensor.channels.push_back(
          place.checked(place.number(row, "scale"), -place.number(row, "offset"), tensor.bits));
      place.require_same(row, "min", "max", tensor.channels.back(), tensor.bits);
    }
    out.insert_or_assign(name, std::move(tensor));
  }
}

// 1.0.0: [{name, bw, dtype, scale: […], offset: […], …}].
void read_new_aimet(const json& tensors, const std::string& file, Encodings& out) {
  for (const json& row : tensors) {
    const auto name = row.is_object() ? row.find("name") : row.end();
    if (!row.is_object() || name == row.end() || !name->is_string())
      throw bad_input("encodings.malformed", "an encoding has no name", file);
    const Place place(file, name->get<std::string>());
    require_integers(row, place);
    TensorEncoding tensor;
    tensor.bits = place.bits(row, "bw");
    const std::vector<double> scales = place.numbers(row, "scale");
    const std::vector<double> offsets = place.numbers(row, "offset");
    if (scales.empty() || scales.size() != offsets.size())
      place.refuse("encodings.malformed", "'scale' and 'offset' differ in length");
    for (size_t i = 0; i < scales.size(); ++i)
      tensor.channels.push_back(place.checked(scales[i], -offsets[i], tensor.bits));
    out.insert_or_assign(name->get<std::string>(), std::move(tensor));
  }
}

struct IntegerType {
  int bits;
  bool is_signed;
};

std::optional<IntegerType> type_of(const std::string& name) {
  if (name == "QUInt8") return IntegerType{8, false};
  if (name == "QInt8") return IntegerType{8, true};
  if (name == "QUInt16") return IntegerType{16, false};
  if (name == "QInt16") return IntegerType{16, true};
  return std::nullopt;
}

// {name: [{quant_type, scale, zero_point | rmin, rmax, …} a channel]}.
void read_overrides(const json& tensors, const std::string& file, Encodings& out) {
  for (const auto& [name, rows] : tensors.items()) {
    const Place place(file, name);
    if (!rows.is_array() || rows.empty())
      place.refuse("encodings.malformed", std::string("expected a list; ") + kForms);
    TensorEncoding tensor;
    for (const json& row : rows) {
      if (!row.is_object()) place.refuse("encodings.malformed", "expected an object");
      const std::string type = row.value("quant_type", std::string("QUInt8"));
      const auto integer = type_of(type);
      if (!integer)
        place.refuse("encodings.dtype", "quant_type '" + escape_untrusted(type, 20) +
                                            "': QUInt8, QInt8, QUInt16 and QInt16 are known");
      tensor.bits = integer->bits;
      tensor.is_signed = integer->is_signed;
      const double least = integer->is_signed ? -std::ldexp(1.0, integer->bits - 1) : 0;
      if (row.contains("scale")) {
        tensor.channels.push_back(place.checked(
            place.number(row, "scale"), place.number(row, "zero_point") - least, tensor.bits));
        place.require_same(row, "rmin", "rmax", tensor.channels.back(), tensor.bits);
        continue;
      }
      const double low = place.number(row, "rmin");
      const double high = place.number(row, "rmax");
      if (!(low < high)) place.refuse("encodings.range", "rmin is not below rmax");
      const double most = least + std::ldexp(1.0, integer->bits) - 1;
      const bool symmetric = row.value("symmetric", false);
      const ScaleZeroPoint chosen =
          symmetric ? choose_symmetric(std::max(std::fabs(low), std::fabs(high)),
                                       static_cast<int32_t>(most))
                    : choose_asymmetric(low, high, static_cast<int32_t>(least),
                                        static_cast<int32_t>(most));
      tensor.channels.push_back(
          place.checked(static_cast<double>(chosen.scale), chosen.zero_point - least, tensor.bits));
    }
    out.insert_or_assign(name, std::move(tensor));
  }
}

}  // namespace

std::optional<EncodingsFormat> encodings_format(std::string_view name) {
  if (name == "aimet") return EncodingsFormat::kAimet;
  if (name == "onnxruntime") return EncodingsFormat::kOnnxRuntime;
  return std::nullopt;
}

Encodings read_encodings(std::string_view text, const std::string& file) {
  const std::string place = escape_untrusted(file);
  const json root = parse_json_strict(text, file, ExitCode::kBadInput, kMostEncodingsBytes);
  if (!root.is_object() || root.empty())
    throw bad_input("encodings.malformed", std::string("no encodings: ") + kForms, place);
  Encodings encodings;
  if (!root.contains("activation_encodings") && !root.contains("param_encodings")) {
    read_overrides(root, place, encodings);
    return encodings;
  }
  for (const char* key : {"activation_encodings", "param_encodings"}) {
    const auto it = root.find(key);
    if (it == root.end()) continue;
    if (it->is_object())
      read_old_aimet(*it, place, encodings);
    else if (it->is_array())
      read_new_aimet(*it, place, encodings);
    else
      throw bad_input("encodings.malformed", fmt::format("'{}': {}", key, kForms), place);
  }
  return encodings;
}

}  // namespace lathe

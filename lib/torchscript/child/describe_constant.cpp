#include "torchscript/child/describe_constant.h"

#include <ATen/native/quantized/PackedParams.h>

#include "ir/error.h"
#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

DType dtype_of(c10::ScalarType type, const std::string& where) {
  switch (type) {
    case c10::kFloat: return DType::kFloat32;
    case c10::kDouble: return DType::kFloat64;
    case c10::kHalf: return DType::kFloat16;
    case c10::kBFloat16: return DType::kBFloat16;
    case c10::kByte:
    case c10::kQUInt8: return DType::kUInt8;
    case c10::kChar:
    case c10::kQInt8: return DType::kInt8;
    case c10::kShort: return DType::kInt16;
    case c10::kInt:
    case c10::kQInt32: return DType::kInt32;
    case c10::kLong: return DType::kInt64;
    case c10::kBool: return DType::kBool;
    case c10::kComplexFloat: return DType::kComplex64;
    case c10::kComplexDouble: return DType::kComplex128;
    default:
      throw bad_input("torchscript.dtype",
                      std::string("a tensor of type ") + c10::toString(type) + " is not read",
                      where, "convert it to float32 before saving the module");
  }
}

// The dense tensor's bytes, kept alive by the tensor itself.
Tensor plain_tensor(const at::Tensor& dense, const std::string& where) {
  const auto holder = std::make_shared<at::Tensor>(dense);
  return Tensor::from_owner(
      dtype_of(dense.scalar_type(), where), dense.sizes().vec(), holder,
      {static_cast<const std::byte*>(dense.numel() == 0 ? nullptr : dense.data_ptr()),
       static_cast<size_t>(dense.numel()) * dense.element_size()});
}

TorchTensor describe_tensor(const at::Tensor& value, const std::string& where) {
  if (value.layout() != c10::kStrided)
    throw bad_input("torchscript.layout", "a sparse or opaque tensor is not read", where,
                    "convert it with to_dense() before saving the module");
  if (!value.device().is_cpu())
    throw bad_input("torchscript.device", "a tensor lives on device " + value.device().str(), where,
                    "move the module to the CPU before saving it: module.cpu()");
  at::Tensor resolved = value.detach();
  if (resolved.is_conj() || resolved.is_neg()) resolved = resolved.resolve_conj().resolve_neg();
  TorchTensor out;
  if (!resolved.is_quantized()) {
    out.tensor = plain_tensor(resolved.contiguous(), where);
    return out;
  }
  out.quantized = true;
  out.tensor = plain_tensor(resolved.int_repr().contiguous(), where);
  switch (resolved.qscheme()) {
    case c10::kPerTensorAffine:
    case c10::kPerTensorSymmetric:
      out.scales = {resolved.q_scale()};
      out.zero_points = {resolved.q_zero_point()};
      return out;
    case c10::kPerChannelAffine:
    case c10::kPerChannelSymmetric: {
      const at::Tensor scales = resolved.q_per_channel_scales().to(c10::kDouble).contiguous();
      const at::Tensor points = resolved.q_per_channel_zero_points().to(c10::kLong).contiguous();
      out.scales.assign(scales.data_ptr<double>(), scales.data_ptr<double>() + scales.numel());
      out.zero_points.assign(points.data_ptr<int64_t>(),
                             points.data_ptr<int64_t>() + points.numel());
      out.axis = resolved.q_per_channel_axis();
      return out;
    }
    default:
      throw bad_input("torchscript.qscheme",
                      "a tensor quantized with float zero points is not read", where,
                      "quantize per tensor or per channel with integer zero points");
  }
}

template <class Params>
void describe_packed_weights(Params& params, TorchPackedParams& out, const std::string& where) {
  auto [weight, bias] = params.unpack();
  out.weight = describe_tensor(weight, where);
  if (bias && bias->defined()) out.bias = describe_tensor(*bias, where);
}

template <int kDims>
TorchPackedParams describe_packed_conv(ConvPackedParamsBase<kDims>& params,
                                       const std::string& where) {
  TorchPackedParams out;
  describe_packed_weights(params, out, where);
  out.stride = params.stride().vec();
  out.padding = params.padding().vec();
  out.output_padding = params.output_padding().vec();
  out.dilation = params.dilation().vec();
  out.groups = params.groups();
  out.transposed = params.transpose();
  return out;
}

TorchConstant describe_object(const c10::IValue& value, const std::string& path,
                              const std::string& where) {
  TorchConstant out;
  const c10::ClassTypePtr type = value.toObjectRef().type();
  const std::string name = type->name() ? type->name()->qualifiedName() : "an unnamed class";
  if (!type->is_module() && name.starts_with("__torch__.torch.classes.")) {
    out.kind = TorchConstant::Kind::kPacked;
    if (name.ends_with(".LinearPackedParamsBase")) {
      out.packed.emplace();
      out.packed->linear = true;
      describe_packed_weights(*value.toCustomClass<LinearPackedParamsBase>(), *out.packed, where);
    } else if (name.ends_with(".Conv2dPackedParamsBase")) {
      out.packed = describe_packed_conv(*value.toCustomClass<ConvPackedParamsBase<2>>(), where);
    } else if (name.ends_with(".Conv3dPackedParamsBase")) {
      out.packed = describe_packed_conv(*value.toCustomClass<ConvPackedParamsBase<3>>(), where);
    } else {
      throw bad_input(
          "torchscript.class",
          "objects of class " + name.substr(std::string("__torch__.").size()) + " are not read",
          where, "export the float module instead");
    }
    return out;
  }
  out.kind = TorchConstant::Kind::kObject;
  out.text = path;
  return out;
}

TorchConstant describe(const c10::IValue& value, const std::string& path, const std::string& where,
                       DescriptionBudget& budget, int depth) {
  budget.charge();
  if (depth > kMaxDescriptionDepth)
    throw over_limit("torchscript.depth", "values are nested too deeply", where);
  using Kind = TorchConstant::Kind;
  TorchConstant out;
  const auto add = [&](const c10::IValue& item, const std::string& key) {
    out.items.push_back(describe(item, path + "." + key, where, budget, depth + 1));
  };
  if (value.isNone()) {
    out.kind = Kind::kNone;
  } else if (value.isTensor()) {
    if (!value.toTensor().defined()) return out;
    out.kind = Kind::kTensor;
    out.tensor = describe_tensor(value.toTensor(), where);
  } else if (value.isBool()) {
    out.kind = Kind::kBool;
    out.integer = value.toBool() ? 1 : 0;
  } else if (value.isInt()) {
    out.kind = Kind::kInt;
    out.integer = value.toInt();
  } else if (value.isDouble()) {
    out.kind = Kind::kFloat;
    out.real = value.toDouble();
  } else if (value.isString()) {
    out.kind = Kind::kString;
    out.text = value.toStringRef();
  } else if (value.isDevice()) {
    out.kind = Kind::kString;
    out.text = value.toDevice().str();
  } else if (value.isTuple()) {
    out.kind = Kind::kTuple;
    int index = 0;
    for (const c10::IValue& item : value.toTupleRef().elements())
      add(item, std::to_string(index++));
  } else if (value.isList()) {
    out.kind = Kind::kList;
    int index = 0;
    for (const c10::IValue& item : value.toListRef()) add(item, std::to_string(index++));
  } else if (value.isGenericDict()) {
    out.kind = Kind::kDict;
    int index = 0;
    for (const auto& entry : value.toGenericDict()) {
      add(entry.key(), "key" + std::to_string(index));
      add(entry.value(), std::to_string(index++));
    }
  } else if (value.isObject()) {
    return describe_object(value, path, where);
  } else if (value.isEnum()) {
    return describe(value.toEnumHolder()->value(), path, where, budget, depth + 1);
  } else {
    throw bad_input("torchscript.value", "a value of type " + value.tagKind() + " is not read",
                    where);
  }
  return out;
}

}  // namespace

void DescriptionBudget::charge() {
  if (--left_ < 0)
    throw over_limit("torchscript.size", "the module holds more than half a million values");
}

TorchType describe_type(const c10::Type& type) {
  using Kind = TorchType::Kind;
  TorchType out;
  const auto holds = [&](Kind kind) {
    out.kind = kind;
    for (const auto& inner : type.containedTypes()) out.contained.push_back(describe_type(*inner));
    return out;
  };
  switch (type.kind()) {
    case c10::TypeKind::TensorType: out.kind = Kind::kTensor; return out;
    // Numbers of flags: dtypes, layouts, memory formats, quantization schemes.
    case c10::TypeKind::ScalarTypeType:
    case c10::TypeKind::LayoutType:
    case c10::TypeKind::QSchemeType:
    case c10::TypeKind::MemoryFormatType:
    case c10::TypeKind::IntType: out.kind = Kind::kInt; return out;
    case c10::TypeKind::FloatType: out.kind = Kind::kFloat; return out;
    case c10::TypeKind::BoolType: out.kind = Kind::kBool; return out;
    case c10::TypeKind::StringType: out.kind = Kind::kString; return out;
    case c10::TypeKind::NoneType: out.kind = Kind::kNone; return out;
    case c10::TypeKind::DeviceObjType: out.kind = Kind::kDevice; return out;
    case c10::TypeKind::ListType: return holds(Kind::kList);
    case c10::TypeKind::TupleType: return holds(Kind::kTuple);
    case c10::TypeKind::OptionalType: return holds(Kind::kOptional);
    case c10::TypeKind::DictType: return holds(Kind::kDict);
    case c10::TypeKind::ClassType: {
      out.kind = Kind::kObject;
      const auto& name = type.expectRef<c10::ClassType>().name();
      out.name = name ? name->qualifiedName() : "";
      return out;
    }
    default:
      out.kind = Kind::kOther;
      out.name = type.annotation_str();
      return out;
  }
}

TorchConstant describe_constant(const c10::IValue& value, const std::string& path,
                                const std::string& where, DescriptionBudget& budget) {
  return describe(value, path, where, budget, 0);
}

}  // namespace lathe

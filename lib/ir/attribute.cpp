#include "ir/attribute.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

template <class T>
const T* typed(const Attributes& attributes, std::string_view name) {
  const Attribute* found = attributes.find(name);
  if (found == nullptr) return nullptr;
  const T* value = std::get_if<T>(found);
  if (value == nullptr)
    throw bad_input("node.attribute_type",
                    fmt::format("attribute '{}' has the wrong type", escape_untrusted(name)));
  return value;
}

template <class T>
T value_or(const Attributes& attributes, std::string_view name, T fallback) {
  const T* value = typed<T>(attributes, name);
  return value != nullptr ? *value : std::move(fallback);
}

template <class T>
const T& required(const Attributes& attributes, std::string_view name) {
  const T* value = typed<T>(attributes, name);
  if (value == nullptr)
    throw bad_input("node.attribute_missing", fmt::format("attribute '{}' is missing", name));
  return *value;
}

bool same(const Attribute& a, const Attribute& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& left) {
        using T = std::decay_t<decltype(left)>;
        const T& right = std::get<T>(b);
        if constexpr (std::is_same_v<T, Tensor>)
          return left.identical(right);
        else
          return left == right;
      },
      a);
}

}  // namespace

const Attribute* Attributes::find(std::string_view name) const {
  const auto it = map_.find(name);
  return it == map_.end() ? nullptr : &it->second;
}

void Attributes::erase(std::string_view name) {
  if (const auto it = map_.find(name); it != map_.end()) map_.erase(it);
}

int64_t Attributes::int_or(std::string_view name, int64_t fallback) const {
  return value_or<int64_t>(*this, name, fallback);
}

float Attributes::float_or(std::string_view name, float fallback) const {
  return value_or<float>(*this, name, fallback);
}

std::string Attributes::string_or(std::string_view name, std::string fallback) const {
  return value_or<std::string>(*this, name, std::move(fallback));
}

std::vector<int64_t> Attributes::ints_or(std::string_view name,
                                         std::vector<int64_t> fallback) const {
  return value_or<std::vector<int64_t>>(*this, name, std::move(fallback));
}

std::vector<float> Attributes::floats_or(std::string_view name, std::vector<float> fallback) const {
  return value_or<std::vector<float>>(*this, name, std::move(fallback));
}

std::vector<std::string> Attributes::strings_or(std::string_view name,
                                                std::vector<std::string> fallback) const {
  return value_or<std::vector<std::string>>(*this, name, std::move(fallback));
}

int64_t Attributes::required_int(std::string_view name) const {
  return required<int64_t>(*this, name);
}

std::vector<int64_t> Attributes::required_ints(std::string_view name) const {
  return required<std::vector<int64_t>>(*this, name);
}

std::string Attributes::required_string(std::string_view name) const {
  return required<std::string>(*this, name);
}

const Tensor* Attributes::tensor(std::string_view name) const { return typed<Tensor>(*this, name); }

bool Attributes::identical(const Attributes& other) const {
  if (map_.size() != other.map_.size()) return false;
  for (auto a = map_.begin(), b = other.map_.begin(); a != map_.end(); ++a, ++b)
    if (a->first != b->first || !same(a->second, b->second)) return false;
  return true;
}

}  // namespace lathe

// What can be done with all fields of a plan. Numbers are little-endian and as wide as in memory;
// lists and texts begin with their length in 32 bits.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "ir/error.h"

namespace lathe {

static_assert(std::endian::native == std::endian::little);

template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// Goes through values of any type to what Derived does with scalars, texts, lists and variants.
template <class Derived>
class PlanArchive {
 public:
  template <class... T>
  void operator()(T&... values) {
    (one(values), ...);
  }
  void batch(auto& value) {
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>)
      self().number(value);
    else
      self().list(value, [&](auto& element) { self().number(element); });
  }

 private:
  Derived& self() { return static_cast<Derived&>(*this); }

  template <class T>
  void one(T& value) {
    if constexpr (Scalar<std::remove_const_t<T>>)
      self().scalar(value);
    else
      compound(value);
  }
  template <class T>
  void compound(T& value) {
    fields(self(), value);
  }
  void compound(std::string& value) { self().text(value); }
  void compound(const std::string& value) { self().text(value); }
  template <class T>
  void compound(std::vector<T>& value) {
    self().list(value, [&](auto& element) { one(element); });
  }
  template <class T>
  void compound(const std::vector<T>& value) {
    self().list(value, [&](auto& element) { one(element); });
  }
  template <class... T>
  void compound(std::variant<T...>& value) {
    self().alternative(value);
    std::visit([&](auto& held) { one(held); }, value);
  }
  template <class... T>
  void compound(const std::variant<T...>& value) {
    self().alternative(value);
    std::visit([&](auto& held) { one(held); }, value);
  }
};

/// Bytes of all fields; numbers of the batch apart from them.
class PlanWriter : public PlanArchive<PlanWriter> {
 public:
  std::string bytes;
  std::vector<int64_t> numbers;

  void number(int64_t value) { numbers.push_back(value); }
  template <class T>
  void scalar(const T& value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    scalar(static_cast<uint32_t>(value.size()));
    bytes += value;
  }
  void list(const auto& values, auto&& each) {
    scalar(static_cast<uint32_t>(values.size()));
    for (const auto& value : values) each(value);
  }
  void alternative(const auto& value) { scalar(static_cast<uint8_t>(value.index())); }
};

/// Throws Error (exit 3, "plan.invalid") when the bytes or numbers are not what a plan has. Memory
/// grows with the bytes that are there, not with the lengths that they claim.
class PlanReader : public PlanArchive<PlanReader> {
 public:
  PlanReader(std::span<const std::byte> bytes, std::span<const int64_t> numbers = {})
      : bytes_(bytes), numbers_(numbers) {}

  void number(int64_t& value) {
    if (numbers_.empty()) fail();
    value = numbers_.front();
    numbers_ = numbers_.subspan(1);
  }
  template <class T>
  void scalar(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      scalar(byte);
      if (byte > 1) fail();
      value = byte != 0;
    } else {
      std::memcpy(&value, take(sizeof value).data(), sizeof value);
    }
  }
  void text(std::string& value) {
    uint32_t size = 0;
    scalar(size);
    const auto taken = take(size);
    value.assign(reinterpret_cast<const char*>(taken.data()), taken.size());
  }
  template <class T>
  void list(std::vector<T>& values, auto&& each) {
    uint32_t size = 0;
    scalar(size);
    values.clear();
    for (uint32_t i = 0; i < size; ++i) each(values.emplace_back());
  }
  template <class... T>
  void alternative(std::variant<T...>& value) {
    uint8_t index = 0;
    scalar(index);
    if (index >= sizeof...(T)) fail();
    using Make = void (*)(std::variant<T...>&);
    constexpr Make kMake[] = {[](std::variant<T...>& v) { v.template emplace<T>(); }...};
    kMake[index](value);
  }
  /// Nothing may be left.
  void end() const {
    if (!bytes_.empty() || !numbers_.empty()) fail();
  }

 private:
  [[noreturn]] static void fail() {
    throw bad_input("plan.invalid", "the parts of the plan do not fit together", {},
                    "the plan is damaged, or no lathe made it");
  }
  std::span<const std::byte> take(size_t count) {
    if (count > bytes_.size()) fail();
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  std::span<const std::byte> bytes_;
  std::span<const int64_t> numbers_;
};

/// Gives a plan other numbers of the batch: as many as it has.
class PlanNumbers : public PlanArchive<PlanNumbers> {
 public:
  explicit PlanNumbers(std::span<const int64_t> numbers) : numbers_(numbers) {}

  void number(int64_t& value) {
    if (next_ == numbers_.size()) throw InternalError("plan file: too few numbers");
    value = numbers_[next_++];
  }
  void scalar(auto&) {}
  void text(std::string&) {}
  void list(auto& values, auto&& each) {
    for (auto& value : values) each(value);
  }
  void alternative(auto&) {}

 private:
  std::span<const int64_t> numbers_;
  size_t next_ = 0;
};

}  // namespace lathe

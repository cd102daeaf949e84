// The constants of a plan: bytes of its own while it is built, later shared with the plans of other
// batches and with a mapped file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace lathe {

class PlanConstants {
 public:
  PlanConstants() = default;
  /// `bytes` stay where they are and as they are while `keeper` lives.
  PlanConstants(std::span<const std::byte> bytes, std::shared_ptr<const void> keeper)
      : shared_(bytes), keeper_(std::move(keeper)) {}

  /// How memory of the bytes is given back that comes back when it is read; they are shared.
  using GiveBack = void (*)(std::span<const std::byte>);
  void on_give_back(GiveBack how) { give_back_ = how; }
  /// The bytes were read and are hardly read again: packed copies serve.
  void give_back() const {
    if (keeper_ && give_back_ != nullptr) give_back_(shared_);
  }

  std::span<const std::byte> bytes() const { return keeper_ ? shared_ : std::span(own_); }
  const std::byte* data() const { return bytes().data(); }
  size_t size() const { return bytes().size(); }

  /// To be changed; what is shared is copied first.
  std::vector<std::byte>& own() {
    if (keeper_) own_.assign(shared_.begin(), shared_.end());
    keeper_.reset();
    give_back_ = nullptr;
    return own_;
  }

  /// Copies have the same bytes in the same place from now on.
  void share() {
    if (keeper_) return;
    const auto kept = std::make_shared<const std::vector<std::byte>>(std::move(own_));
    shared_ = *kept;
    keeper_ = kept;
    own_.clear();
  }

  bool operator==(const PlanConstants& other) const {
    return std::ranges::equal(bytes(), other.bytes());
  }

 private:
  std::vector<std::byte> own_;
  std::span<const std::byte> shared_;
  std::shared_ptr<const void> keeper_;  // null: own_
  GiveBack give_back_ = nullptr;
};

}  // namespace lathe

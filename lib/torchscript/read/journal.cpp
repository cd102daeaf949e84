#include "torchscript/read/journal.h"

#include <utility>

namespace lathe {

void Journal::stamp(const AbstractValue& value) {
  if (value.cell && value.cell->born == 0) value.cell->born = tick();
  if (!value.items || value.items->born != 0) return;
  value.items->born = tick();
  for (const AbstractValue& item : value.items->items) stamp(item);
}

void Journal::record(const std::shared_ptr<TensorCell>& cell) {
  if (!frames_.empty() && cell->born <= frames_.back().opened)
    frames_.back().cells.try_emplace(cell, *cell);
}

void Journal::record(const std::shared_ptr<ItemsCell>& list) {
  if (!frames_.empty() && list->born <= frames_.back().opened)
    frames_.back().lists.try_emplace(list, list->items);
}

void Journal::set_attribute(const std::string& path, AbstractValue value) {
  AbstractValue& held = attributes_[path];
  if (!frames_.empty()) frames_.back().attributes.try_emplace(path, held);
  held = std::move(value);
}

void Journal::open() {
  frames_.emplace_back();
  frames_.back().opened = tick();
}

void Journal::keep() {
  const JournalFrame inner = std::move(frames_.back());
  frames_.pop_back();
  if (frames_.empty()) return;
  JournalFrame& outer = frames_.back();
  for (const auto& [cell, before] : inner.cells)
    if (cell->born <= outer.opened) outer.cells.try_emplace(cell, before);
  for (const auto& [list, before] : inner.lists)
    if (list->born <= outer.opened) outer.lists.try_emplace(list, before);
  for (const auto& [path, before] : inner.attributes) outer.attributes.try_emplace(path, before);
}

JournalFrame Journal::take_back() {
  JournalFrame frame = std::move(frames_.back());
  frames_.pop_back();
  for (auto& [cell, content] : frame.cells) std::swap(*cell, content);
  for (auto& [list, content] : frame.lists) std::swap(list->items, content);
  for (auto& [path, content] : frame.attributes) std::swap(attributes_[path], content);
  return frame;
}

}  // namespace lathe

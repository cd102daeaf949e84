// What a plan reads or writes: one array each, as lathe_run takes them.
#pragma once

#include <cstddef>
#include <vector>

namespace lathe {

struct Arrays {
  std::vector<std::vector<char>> memory;
  std::vector<void*> addresses;
  std::vector<size_t> bytes;

  void add(size_t size) {
    memory.emplace_back(size);
    addresses.push_back(memory.back().data());
    bytes.push_back(size);
  }
};

}  // namespace lathe

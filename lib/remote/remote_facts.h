// What another machine tells of the process that runs a model there.
#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// -1 where it does not tell.
struct RemoteFacts {
  int64_t load_ns = 0;
  int64_t resident_bytes = -1;
  int64_t peak_bytes = -1;
  double degrees = -1;  // Celsius
  std::string warning;
};

}  // namespace lathe

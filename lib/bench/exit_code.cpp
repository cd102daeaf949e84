#include "bench/exit_code.h"

#include <algorithm>

namespace lathe {

ExitCode resolve_exit_code(std::span<const ExitCode> codes) {
  constexpr ExitCode kOrder[] = {
      ExitCode::kInternal,    ExitCode::kLimit,      ExitCode::kOutput,      ExitCode::kBadInput,
      ExitCode::kEnvironment, ExitCode::kTerminated, ExitCode::kInterrupted, ExitCode::kUsage,
      ExitCode::kBatchFailed, ExitCode::kGateMissed, ExitCode::kInconclusive};
  for (const ExitCode code : kOrder) {
    if (std::find(codes.begin(), codes.end(), code) != codes.end()) return code;
  }
  return ExitCode::kDone;
}

}  // namespace lathe

#include "heavy/step_progress.h"

#include <utility>

namespace lathe {

std::function<void(size_t done, size_t all)> step_progress(Console& console, std::string label,
                                                           std::string unit) {
  return [&console, label = std::move(label), unit = std::move(unit), started = false](
             size_t done, size_t all) mutable {
    if (!started) console.progress().start(label, static_cast<int64_t>(all), unit);
    started = true;
    console.progress().update(static_cast<int64_t>(done));
    if (done == all) console.progress().finish();
  };
}

}  // namespace lathe

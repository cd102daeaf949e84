#include "layers/per_channel.h"

namespace lathe {

bool is_per_channel(const Tensor& constant, int64_t rank, int64_t axis, int64_t channels,
                    bool one_for_all) {
  if (one_for_all && constant.numel() == 1) return constant.rank() <= rank;
  const Shape& shape = constant.shape();
  const int64_t first = rank - constant.rank();  // axis of the result that shape[0] stands for
  if (first < 0 || axis < first || axis >= rank) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != (first + static_cast<int64_t>(i) == axis ? channels : 1)) return false;
  return true;
}

}  // namespace lathe

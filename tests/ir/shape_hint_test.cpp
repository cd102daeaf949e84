#include "ir/shape_hint.h"

#include <doctest/doctest.h>

namespace lathe {

TEST_CASE("what to type for a shape that is not known") {
  const auto hint = [&](Dims dims) {
    Value value;
    value.name = "x";
    value.type = tensor_type(DType::kFloat32, std::move(dims));
    return input_shape_hint(value);
  };
  CHECK(hint({Dim::named("batch"), Dim::named("sequence")}) == "fix it: --input-shape x=1x64");
  CHECK(hint({Dim::of(2), Dim::of(3), Dim::named("h"), Dim::of(96)}) ==
        "fix it: --input-shape x=2x3x224x96");
  Value open;
  open.name = "image";
  CHECK(input_shape_hint(open) == "fix it: --input-shape image=1x3x224x224");
}

}  // namespace lathe

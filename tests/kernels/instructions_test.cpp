#include <doctest/doctest.h>

#include "kernels/instructions.h"
#include "kernels/integer_product.h"

namespace lathe {
namespace {

TEST_CASE("a limit takes away what processors of that name lack, and gives nothing") {
  const Instructions all{true, true, true, true, true};
  CHECK(limited(all, "SSE41") == Instructions{});
  CHECK(limited(all, "AVX") == Instructions{});
  CHECK(limited(all, "AVX2") == Instructions{.avx2 = true});
  CHECK(limited(all, "AVX2_VNNI") == Instructions{.avx2 = true});
  CHECK(limited(all, "AVX512_CORE") == Instructions{.avx2 = true, .avx512 = true});
  for (const char* name : {"AVX512_CORE_VNNI", "AVX512_CORE_BF16"})
    CHECK(limited(all, name) == Instructions{.avx2 = true, .avx512 = true, .vnni = true});
  for (const char* name : {"AVX512_CORE_AMX", "ALL", "DEFAULT", "", "what"})
    CHECK(limited(all, name) == all);
  const Instructions few{.avx2 = true};
  for (const char* name : {"AVX512_CORE_AMX", "AVX512_CORE", "AVX2"})
    CHECK(limited(few, name) == few);
}

TEST_CASE("kernels are chosen by the instructions that are allowed") {
  const Instructions& has = instructions();
  const KernelIsa best = has.i8mm           ? KernelIsa::kNeonI8mm
                         : has.dot_products ? KernelIsa::kNeonDot
                         : has.neon         ? KernelIsa::kNeon
                         : has.vnni         ? KernelIsa::kAvx512Vnni
                         : has.avx2         ? KernelIsa::kAvx2
                                            : KernelIsa::kScalar;
  CHECK(best_kernel_isa() == best);
  CHECK(usable_kernel_isas().front() == KernelIsa::kScalar);
}

}  // namespace
}  // namespace lathe

# Applied to every target of our own.
add_library(lathe_warnings INTERFACE)
target_compile_options(lathe_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion
  -Wno-sign-conversion -Wno-missing-field-initializers
  # GCC 12 reports string concatenation falsely (GCC bug 105651).
  -Wno-restrict
  # GCC 13 and later report copies of vectors falsely, too (GCC bug 107852).
  "$<$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>"
  $<$<BOOL:${LATHE_WERROR}>:-Werror>)
# Floating-point contraction would make results depend on the compiler's choice of fused operations.
target_compile_options(lathe_warnings INTERFACE -ffp-contract=off)
target_compile_definitions(lathe_warnings INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> LATHE_VERSION="${PROJECT_VERSION}")
target_compile_options(lathe_warnings INTERFACE -fstack-protector-strong)
if(LATHE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -U_FORTIFY_SOURCE)
  add_link_options(-fsanitize=address,undefined)
endif()

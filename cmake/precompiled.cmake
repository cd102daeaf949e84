# Headers that many files see and that take seconds to read, read once: LibTorch's, and JSON's.
# Others use them by REUSE_FROM; code that is position-independent as these are.
include(CheckCXXCompilerFlag)
# GCC 13 and later take such a header only where these are the same, and -O1 would turn them off.
set(LATHE_O1 -O1)
check_cxx_compiler_flag(-munroll-only-small-loops LATHE_UNROLLS_SMALL_LOOPS)
if(LATHE_UNROLLS_SMALL_LOOPS)
  add_compile_options($<$<CONFIG:Release>:-munroll-only-small-loops>)
  list(APPEND LATHE_O1 -mvzeroupper)
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cpp CONTENT "// precompiled headers\n")
add_library(aten_pch OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
target_link_libraries(aten_pch PRIVATE aten OpenMP::OpenMP_CXX lathe_warnings)
target_precompile_headers(aten_pch PRIVATE <ATen/ATen.h>)
# ATen's parallel loops are OpenMP's, in the file that has them.
function(lathe_sees_aten target)
  target_precompile_headers(${target} REUSE_FROM aten_pch)
  target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
endfunction()
add_library(json_pch OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
target_link_libraries(json_pch PRIVATE fmt::fmt nlohmann_json::nlohmann_json lathe_warnings)
target_precompile_headers(json_pch PRIVATE <fmt/format.h> <nlohmann/json.hpp>)

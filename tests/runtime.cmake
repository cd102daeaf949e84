# The tests of kernels, plans and the C API where the run time alone is built, for an emulator
# (tests/emulated.sh): one static binary.
find_path(DOCTEST_INCLUDE doctest/doctest.h REQUIRED)
file(GLOB sources CONFIGURE_DEPENDS tests/main.cpp tests/kernels/*.cpp tests/artifact/*.cpp)
if(NOT LATHE_ONEDNN)
  list(FILTER sources EXCLUDE REGEX "blocked_")
endif()
add_executable(test_runtime ${sources})
target_link_libraries(test_runtime PRIVATE lathe_warnings ${LATHE_RUNTIME_FOLDERS} OpenMP::OpenMP_CXX)
target_include_directories(test_runtime PRIVATE tests lib/native)
target_include_directories(test_runtime SYSTEM PRIVATE ${DOCTEST_INCLUDE})
target_compile_definitions(test_runtime PRIVATE LATHE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_options(test_runtime PRIVATE -Wl,--gc-sections)
if(NOT LATHE_SANITIZE)
  target_link_options(test_runtime PRIVATE -static)
endif()
set_target_properties(test_runtime PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
  UNITY_BUILD ${LATHE_UNITY} UNITY_BUILD_BATCH_SIZE 8)
set_source_files_properties(tests/main.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

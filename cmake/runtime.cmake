# liblathe_rt, what an application links to run .lathe files: the C functions of lathe.h and nothing
# else; and lathe-runner, which bench measures in its place.
lathe_folder(ir lib/ir LINKS fmt::fmt)
lathe_folder(os lib/os LINKS ir ZLIB::ZLIB nettle ${CMAKE_DL_LIBS})
# What processors and memories deliver, measured.
lathe_folder(peaks lib/measure/peaks FAST APART LINKS ir os)
# The native engine: kernels, the plan as data, and its execution.
set(no_kernel "_neon|without_x86")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(no_kernel "_avx2|_avx512|without_arm")
endif()
# GCC orders instructions before it gives out registers: it would load further ahead than there are
# registers, and keep sums in memory.
file(GLOB arm_kernels lib/native/kernels/*_neon*.cpp)
set_source_files_properties(${arm_kernels} PROPERTIES COMPILE_OPTIONS -fno-schedule-insns)
lathe_folder(kernels lib/native/kernels FAST APART EXCEPT "${no_kernel}" LINKS ir)
lathe_folder(plan lib/native/plan LINKS ir kernels)
set(LATHE_PROGRAM_FOLDERS program)  # with what computes its floats
set(no_program NONE)
if(LATHE_ONEDNN)
  set(no_program without_onednn)
endif()
lathe_folder(program lib/native/program FAST APART EXCEPT ${no_program} LINKS ir plan kernels)
target_link_libraries(program PRIVATE OpenMP::OpenMP_CXX)
if(LATHE_ONEDNN)
  lathe_folder(onednn lib/native/onednn FAST APART LINKS ir plan kernels program dnnl)
  target_link_libraries(onednn PRIVATE OpenMP::OpenMP_CXX)
  list(APPEND LATHE_PROGRAM_FOLDERS onednn)
endif()
lathe_folder(artifact lib/native/artifact LINKS ir os plan)
lathe_folder(api lib/native/api LINKS ir os plan artifact program)
target_link_libraries(api PRIVATE OpenMP::OpenMP_CXX)

set(LATHE_RUNTIME_FOLDERS ir os kernels plan ${LATHE_PROGRAM_FOLDERS} artifact api)
lathe_shared(lathe_rt OUTPUT lathe_rt FOLDERS ${LATHE_RUNTIME_FOLDERS})
target_link_options(lathe_rt PRIVATE
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/lib/native/api/lathe.map -Wl,--gc-sections)
set_target_properties(lathe_rt PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/lib/native/api/lathe.map)

# What an application pays that links the run time alone: bench measures it there.
add_executable(lathe_runner tools/runner/lathe_runner.cpp)
target_link_libraries(lathe_runner PRIVATE lathe_warnings)
target_include_directories(lathe_runner PRIVATE lib/native/api)
if(LATHE_RUNTIME_ONLY)
  # One file that runs on any Linux of its architecture.
  target_sources(lathe_runner PRIVATE tools/runner/preferred_cpus.cpp tools/runner/serve.cpp)
  target_compile_definitions(lathe_runner PRIVATE LATHE_SERVES)
  target_link_libraries(lathe_runner PRIVATE ${LATHE_RUNTIME_FOLDERS} peaks)
  target_link_options(lathe_runner PRIVATE -Wl,--gc-sections)
  if(NOT LATHE_SANITIZE)
    target_link_options(lathe_runner PRIVATE -static)
  endif()
else()
  target_link_libraries(lathe_runner PRIVATE lathe_rt)
endif()
set_target_properties(lathe_runner PROPERTIES OUTPUT_NAME lathe-runner
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

# What the run time is made of. Alone it needs headers and static libraries only, so that it runs on a
# bare system.
find_package(OpenMP REQUIRED)
if(LATHE_RUNTIME_ONLY)
  # The compiler's own static library: -fopenmp takes the right one.
  set_property(TARGET OpenMP::OpenMP_CXX PROPERTY INTERFACE_LINK_LIBRARIES -fopenmp)
endif()
find_path(XXHASH_INCLUDE xxhash.h REQUIRED)  # its header alone
if(LATHE_RUNTIME_ONLY)
  find_path(FMT_INCLUDE fmt/format.h REQUIRED)
  add_library(fmt::fmt INTERFACE IMPORTED)
  target_include_directories(fmt::fmt SYSTEM INTERFACE ${FMT_INCLUDE})
  target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)
  set(ZLIB_USE_STATIC_LIBS ON)
  find_package(ZLIB REQUIRED)
  find_library(NETTLE_LIBRARY libnettle.a REQUIRED)
  find_path(NETTLE_INCLUDE nettle/sha2.h REQUIRED)
  add_library(nettle INTERFACE)
  target_include_directories(nettle SYSTEM INTERFACE ${NETTLE_INCLUDE})
  target_link_libraries(nettle INTERFACE ${NETTLE_LIBRARY})
else()
  find_package(fmt REQUIRED)
  find_package(ZLIB REQUIRED)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)  # SHA-256
  add_library(nettle INTERFACE)
  target_link_libraries(nettle INTERFACE PkgConfig::NETTLE)
endif()

# Float products of the native engine; without it lathe's own kernels compute them.
if(LATHE_ONEDNN)
  find_path(DNNL_INCLUDE dnnl.hpp REQUIRED)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  add_library(dnnl INTERFACE)
  target_include_directories(dnnl SYSTEM INTERFACE ${DNNL_INCLUDE})
  target_link_libraries(dnnl INTERFACE ${DNNL_LIBRARY} $<LINK_ONLY:OpenMP::OpenMP_CXX>)
endif()

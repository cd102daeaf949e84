# What the run time is made of.
find_package(fmt REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)  # SHA-256
find_path(XXHASH_INCLUDE xxhash.h REQUIRED)                # its header alone

# Float products of the native engine; without it lathe's own kernels compute them.
if(LATHE_ONEDNN)
  find_path(DNNL_INCLUDE dnnl.hpp REQUIRED)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  add_library(dnnl INTERFACE)
  target_include_directories(dnnl SYSTEM INTERFACE ${DNNL_INCLUDE})
  target_link_libraries(dnnl INTERFACE ${DNNL_LIBRARY} $<LINK_ONLY:OpenMP::OpenMP_CXX>)
endif()

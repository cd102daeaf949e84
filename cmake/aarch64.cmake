# Debian's cross compiler for arm64, and packages that scripts/cross_packages.sh fetched: headers and
# static libraries of the run time, or, in LATHE_SYSROOT, all that lathe is made of.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/arm64)
# Tests run under an emulator.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LATHE_SYSROOT)
if(LATHE_SYSROOT)
  set(CMAKE_SYSROOT ${LATHE_SYSROOT})
  set(CMAKE_FIND_ROOT_PATH ${LATHE_SYSROOT})
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${LATHE_SYSROOT})
  set(libraries ${LATHE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
  set(ENV{PKG_CONFIG_LIBDIR} ${libraries}/pkgconfig:${LATHE_SYSROOT}/usr/share/pkgconfig)
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${LATHE_SYSROOT})
  # There no package's script made the links of alternatives.
  string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${libraries}/openblas-pthread")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

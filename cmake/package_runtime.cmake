# liblathe-rt_0.1.0_arm64.deb, by `cpack` in the build folder of a cross build.
include(cmake/install_runtime.cmake)
set(CPACK_PACKAGE_NAME liblathe-rt)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${LATHE_RUNTIME_SUMMARY})
set(CPACK_PACKAGE_DESCRIPTION ${LATHE_RUNTIME_DESCRIPTION})
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(architectures aarch64=arm64 x86_64=amd64)
string(REGEX MATCH "${CMAKE_SYSTEM_PROCESSOR}=([a-z0-9]+)" found "${architectures}")
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${CMAKE_MATCH_1})
# dpkg-shlibdeps knows this system's packages only.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6, libstdc++6, libgomp1")
set(CPACK_DEBIAN_PACKAGE_CONFLICTS lathe)  # which holds the same files
include(CPack)

# What `cmake --install` and `cpack -G DEB` make. Run paths are relative to the files themselves
# ($ORIGIN), so that the installed tree works wherever it is put.
include(cmake/install_runtime.cmake)

# lib, not the host's multiarch folder: lathe's run path is $ORIGIN/../lib.
install(TARGETS lathe_exe RUNTIME DESTINATION bin)
install(TARGETS lathe_core lathe_heavy LIBRARY DESTINATION lib)
install(FILES ${CMAKE_SOURCE_DIR}/lib/report/schema/lathe.report.schema.json DESTINATION share/lathe)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION share/doc/lathe)

# The same run paths in the build tree: a path that CMake means to replace at installation ends with
# an empty entry, which the loader takes for the working directory, and libraries would come from
# there. A LibTorch from CMAKE_PREFIX_PATH is found where it was linked; the system's needs no path.
set_target_properties(lathe_exe lathe_core lathe_heavy lathe_runner PROPERTIES
  BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH_USE_LINK_PATH ON)
# Libraries lie beside the executable in the build tree, in lib after installation.
set_target_properties(lathe_exe lathe_runner PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;$ORIGIN")

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
string(CONCAT CPACK_PACKAGE_DESCRIPTION
  "lathe quantizes trained ONNX networks, measures and compares them, and gates the result in CI.\n"
  "One command without Python: it writes ONNX files for the usual runtimes and JSON reports.")

# lathe_0.1.0_amd64.deb; dependencies are those that the binaries name, found by dpkg-shlibdeps.
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR})
# Loaded through the BLAS alternative: without it matrix products are many times slower.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libopenblas0-pthread)
include(CPack)

# liblathe-rt_0.1.0_amd64.deb, by `cpack --config CPackRuntime.cmake`: what applications link, alone.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/CPackRuntime.cmake @ONLY CONTENT
"include(\"@CMAKE_BINARY_DIR@/CPackConfig.cmake\")
set(CPACK_PACKAGE_NAME liblathe-rt)
set(CPACK_DEBIAN_PACKAGE_NAME liblathe-rt)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY \"${LATHE_RUNTIME_SUMMARY}\")
set(CPACK_PACKAGE_DESCRIPTION \"${LATHE_RUNTIME_DESCRIPTION}\")
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS \"\")
set(CPACK_DEBIAN_PACKAGE_CONFLICTS lathe)  # which holds the same files
set(CPACK_INSTALL_CMAKE_PROJECTS \"@CMAKE_BINARY_DIR@;lathe;runtime;/\")
")

if(BUILD_TESTING)
  add_subdirectory(tests/package)
endif()

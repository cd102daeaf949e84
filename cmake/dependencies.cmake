find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)

# protobuf types of ONNX only; the checker and shape inference of libonnx are used in tests.
add_library(onnx_proto INTERFACE)
target_link_libraries(onnx_proto INTERFACE onnx_proto_library protobuf::libprotobuf)
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
find_library(ONNX_LIBRARY onnx REQUIRED)
add_library(onnx_proto_library INTERFACE)
target_link_libraries(onnx_proto_library INTERFACE ${ONNX_LIBRARY} ${ONNX_PROTO_LIBRARY})
target_compile_definitions(onnx_proto_library INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)

# TensorFlow Lite files; of the library its headers are enough.
find_program(FLATC flatc REQUIRED)
find_path(FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h REQUIRED)
add_library(flatbuffers INTERFACE)
target_include_directories(flatbuffers SYSTEM INTERFACE ${FLATBUFFERS_INCLUDE})

# LibTorch without its CMake package: that one adds flags and libraries that lathe does not need.
# A newer LibTorch is taken from CMAKE_PREFIX_PATH.
find_path(TORCH_INCLUDE ATen/ATen.h PATH_SUFFIXES include REQUIRED)
find_library(TORCH_CPU_LIBRARY torch_cpu REQUIRED)
find_library(C10_LIBRARY c10 REQUIRED)
add_library(aten INTERFACE)
target_include_directories(aten SYSTEM INTERFACE ${TORCH_INCLUDE})
target_link_libraries(aten INTERFACE ${TORCH_CPU_LIBRARY} ${C10_LIBRARY} $<LINK_ONLY:OpenMP::OpenMP_CXX>)
target_compile_definitions(aten INTERFACE AT_PARALLEL_OPENMP=1)

# TorchScript's C++ interface; LibTorch's wheels keep some of its headers in a place of their own.
add_library(torch_script INTERFACE)
target_include_directories(torch_script SYSTEM INTERFACE ${TORCH_INCLUDE}/torch/csrc/api/include)
target_link_libraries(torch_script INTERFACE aten)

# What data sets are made of.
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)
add_library(data_files INTERFACE)
target_link_libraries(data_files INTERFACE PkgConfig::LIBZIP PkgConfig::PNG PkgConfig::TURBOJPEG
                      ZLIB::ZLIB)

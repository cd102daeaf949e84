# docker build -t lathe .
# docker run --rm -v "$PWD:/work" lathe quantize model.onnx -o model.int8.onnx --data random
# docker build -t lathe-rt --target rt .     what applications link (liblathe_rt.so, lathe.h), alone
ARG DEBIAN=trixie

FROM debian:${DEBIAN}-slim AS build
WORKDIR /src
COPY scripts/install_packages.sh scripts/
RUN scripts/install_packages.sh
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF \
 && cmake --build --preset release --target lathe_exe lathe_heavy lathe_rt lathe_runner \
 && mkdir packages \
 && cpack -G DEB --config build/release/CPackConfig.cmake -B packages \
 && cpack -G DEB --config build/release/CPackRuntime.cmake -B packages

FROM debian:${DEBIAN}-slim AS rt
RUN --mount=type=bind,from=build,source=/src/packages,target=/packages \
    apt-get update && apt-get install -y --no-install-recommends /packages/liblathe-rt_*.deb \
 && rm -rf /var/lib/apt/lists/*

FROM debian:${DEBIAN}-slim
RUN --mount=type=bind,from=build,source=/src/packages,target=/packages \
    apt-get update \
 && apt-get install -y --no-install-recommends /packages/lathe_*.deb libopenblas0-pthread \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /work
ENTRYPOINT ["lathe"]

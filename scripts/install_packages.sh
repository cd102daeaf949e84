#!/usr/bin/env bash
# Installs the Debian packages that lathe is built with; `--tests` those of the tests, too, `--slow`
# those of the slow tests; `--list` prints the first. Uses sudo only when it is not run by root; does
# nothing when all are there.
set -euo pipefail

packages=(libtorch-dev libonnx-dev libcli11-dev nlohmann-json3-dev libfmt-dev doctest-dev libdnnl-dev
  libprotobuf-dev protobuf-compiler libopenblas0-pthread libzip-dev libturbojpeg0-dev libpng-dev
  zlib1g-dev libseccomp-dev nettle-dev libxxhash-dev flatbuffers-compiler
  libflatbuffers-dev cmake ninja-build g++ ccache pkg-config
  dpkg-dev file)  # cpack finds the packages of libraries by these
# LibTorch 2's headers name Gloo's types; those of Debian 12 do without.
grep -q '^VERSION_ID="12"' /etc/os-release || packages+=(libgloo-dev)
if [ "${1:-}" = --list ]; then
  printf '%s\n' "${packages[@]}"
  exit
fi
case "${1:-}" in --tests | --slow)
  packages+=(libonnx-testdata libvalijson-dev python3-venv python3-torch libxml2-utils)
  packages+=(gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm)  # bench --engine qemu-m4
  packages+=(g++-aarch64-linux-gnu qemu-user)                            # the run time for arm64
  ;;
esac
if [ "${1:-}" = --slow ]; then
  packages+=(gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc
    openssh-server)  # bench --remote
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

run=()
[ "$(id -u)" -eq 0 ] || run=(sudo)
echo "Installing ${#missing[@]} packages: ${missing[*]}"
"${run[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Fetches what liblathe_rt is made of for another architecture (headers and static libraries) from
# Debian into build/ARCH, without touching this system's packages: for `cmake --preset aarch64`.
# usage: scripts/cross_packages.sh [arm64]
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:-arm64}
packages=(libfmt-dev zlib1g-dev nettle-dev libxxhash-dev doctest-dev)
folder=$PWD/build/$arch
[ ! -e "$folder/.made" ] || exit 0

mkdir -p "$folder"/apt/{state/lists/partial,cache/archives/partial}
: >"$folder/apt/status"
apt=(apt-get -qq -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
  -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/status"
  -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1)
"${apt[@]}" update
(cd "$folder/apt" && "${apt[@]}" download "${packages[@]}")
for package in "$folder"/apt/*.deb; do dpkg -x "$package" "$folder"; done
rm -rf "$folder/apt"
touch "$folder/.made"

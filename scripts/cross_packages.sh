#!/usr/bin/env bash
# Fetches Debian's packages of another architecture without touching this system's.
# usage: scripts/cross_packages.sh [ARCH]
#          what liblathe_rt is made of (headers and static libraries), into build/ARCH: for
#          `cmake --preset aarch64`
#        scripts/cross_packages.sh ARCH FOLDER PACKAGE...
#          these and all that they depend on, into FOLDER: to run them in an emulator
set -euo pipefail
arch=${1:-arm64}
folder=${2:-$(dirname "$0")/../build/$arch}
[ ! -e "$folder/.made" ] || exit 0

mkdir -p "$folder"/apt/{state/lists/partial,cache/archives/partial}
folder=$(realpath "$folder")
: >"$folder/apt/status"
apt=(apt-get -qq -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
  -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/status"
  -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1)
"${apt[@]}" update
cd "$folder/apt/cache/archives"
if [ $# -gt 2 ]; then
  "${apt[@]}" install -y --download-only --no-install-recommends "${@:3}"
else
  "${apt[@]}" download libfmt-dev zlib1g-dev nettle-dev libxxhash-dev doctest-dev
fi
for package in *.deb; do dpkg -x "$package" "$folder"; done
rm -rf "$folder/apt"
touch "$folder/.made"

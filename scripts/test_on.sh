#!/usr/bin/env bash
# Builds lathe and runs its tests on another release of Debian (`scripts/test_on.sh trixie`).
# Further arguments go to scripts/test.sh (`--slow`, `-R conformance`); `--run COMMAND…` runs another
# command in the checkout there; `--deb FILE.deb` installs a package of ours in a bare system and
# uses it (scripts/use_package.sh). Ends with its exit code, or with 77 where such a system cannot be
# made: it takes root. The system lies in build/RELEASE (build/RELEASE-bare) and is made once; the
# checkout is mounted there read-only, and builds in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

release=${1:?usage: scripts/test_on.sh trixie|bookworm|testing|sid [arguments of scripts/test.sh]}
checkout=$PWD
system=$checkout/build/$release
[ "${2:-}" != --deb ] || system=$system-bare
cannot() {
  echo "scripts/test_on.sh: $1" >&2
  exit 77
}

if [ -z "${LATHE_IN_NAMESPACE:-}" ]; then
  [ "$(id -u)" -eq 0 ] || cannot 'only root can make a system below build/'
  unshare --mount --pid --fork true 2>/dev/null || cannot 'no namespaces here (a container?)'
  # Mounts and processes end with the namespaces, whatever ends the script.
  exec env LATHE_IN_NAMESPACE=1 unshare --mount --pid --fork --kill-child "$0" "$@"
fi
shift
mkdir -p build
exec 9>"$system.lock"
flock -n 9 || { echo "scripts/test_on.sh: another run uses build/$release" >&2 && exit 1; }

# The host's own mirror, proxies and time limits; nothing of them is kept in the repository.
if [ ! -e "$system/.made" ]; then
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m1 '/debian/$' || echo http://deb.debian.org/debian)
  eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
  export http_proxy https_proxy
  rm -rf "$system"
  mkdir -p "$system"
  echo "Making a system of Debian $release in build/$release"
  debootstrap --variant=minbase "$release" "$system" "$mirror" \
    >"$system.log" 2>&1 || { tail "$system.log" && exit 1; }
  # Nobody needs this system after a crash.
  echo force-unsafe-io >"$system/etc/dpkg/dpkg.cfg.d/unsafe-io"
  apt-config dump | grep '^Acquire::\(http\|https\|Check-\|Retries\)' \
    >"$system/etc/apt/apt.conf.d/90host" || true
  touch "$system/.made"
fi

# inside FOLDER PLACE [ro]
inside() {
  mkdir -p "$system/$2"
  mount --rbind "$1" "$system/$2"
  [ $# -lt 3 ] || mount -o remount,bind,ro "$system/$2"
}
inside_file() {
  mkdir -p "$system$(dirname "$2")"
  touch "$system$2"
  mount --bind "$1" "$system$2"
}
mount --make-rprivate /
mkdir -p "$system/src/build"
inside "$checkout" src/lathe ro
inside "$system/src/build" src/lathe/build
[ ! -d ../shared ] || inside "$checkout/../shared" src/shared ro
inside /dev dev
inside /sys sys
mount -t proc proc "$system/proc"
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf ~/.config/pip/pip.conf; do
  [ ! -f "$file" ] || inside_file "$file" "$file"
done

variables=(HOME="$HOME" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
for name in $(compgen -e | grep -E '^PIP_|_proxy$|^CMAKE_BUILD_PARALLEL_LEVEL$'); do
  variables+=("$name=${!name}")
done
# The host's may know a company's authority.
certificates=/etc/ssl/host-certificates.crt
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  inside_file /etc/ssl/certs/ca-certificates.crt "$certificates"
  echo "Acquire::https::CaInfo \"$certificates\";" >"$system/etc/apt/apt.conf.d/90certificates"
  variables+=(PIP_CERT="$certificates" SSL_CERT_FILE="$certificates")
fi
command=(scripts/test.sh)
if [ "${1:-}" = --run ]; then
  command=()
  shift
elif [ "${1:-}" = --deb ]; then
  inside_file "$(realpath "${2:?--deb wants a file}")" /src/lathe.deb
  inside "$checkout/build/quickstart" src/data ro
  command=(scripts/use_package.sh /src/lathe.deb /src/data)
  shift 2
fi
chroot "$system" env -i "${variables[@]}" bash -c 'cd /src/lathe && exec "$@"' - "${command[@]}" "$@"

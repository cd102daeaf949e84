#!/usr/bin/env bash
# Installs lathe into a new prefix and unpacks the Debian package, and uses both from elsewhere.
# usage: test_package.sh CMAKE CPACK BUILD_DIR SOURCE_DIR VERSION
set -euo pipefail
cmake=$1 cpack=$2 build=$3 source=$4 version=$5

work=$(mktemp -d "$build/package_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset LD_LIBRARY_PATH

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# Files, and where their libraries come from: run paths, and what the loader finds by them.
check_files() {
  local prefix=$1 file path
  for file in bin/lathe bin/lathe-runner lib/liblathe_core.so lib/liblathe.so share/lathe/lathe.report.schema.json \
    share/doc/lathe/README.md share/doc/lathe/CHANGELOG.md share/doc/lathe/LICENSE; do
    [ -s "$prefix/$file" ] || fail "$prefix lacks $file"
  done
  for file in bin/lathe lib/liblathe_core.so lib/liblathe.so; do
    # $ORIGIN first; LibTorch's own folder may follow, the build tree may not.
    path=$(readelf -d "$prefix/$file" | sed -n 's/.*R.*PATH.*\[\(.*\)\]/\1/p')
    [[ $path == '$ORIGIN'* ]] || fail "$file has the run path '$path'"
    # An empty entry is the working directory.
    [[ :$path: != *::* ]] || fail "$file has an empty entry in its run path: $path"
    [[ $path != *"$build"* ]] || fail "$file has the build tree in its run path: $path"
    ! grep -q -F "$build/" "$prefix/$file" || fail "$file names the build tree"
    ldd "$prefix/$file" > ldd.txt
    ! grep 'not found' ldd.txt || fail "$file: libraries are not found"
  done
  for file in bin/lathe lib/liblathe.so; do
    path=$(ldd "$prefix/$file" | sed -n 's/.*liblathe_core\.so => \(.*\) (.*/\1/p')
    [ "$(realpath "$path")" = "$(realpath "$prefix/lib/liblathe_core.so")" ] ||
      fail "$file takes liblathe_core.so from $path"
  done
}

check_use() {
  local prefix=$1 lathe=$1/bin/lathe
  "$lathe" --help >help.txt
  grep -q quantize help.txt || fail "--help"
  [ "$("$lathe" --version)" = "lathe $version" ] || fail "--version says $("$lathe" --version)"
  # Into a file: a reader that stops early would close the pipe.
  "$lathe" inspect glyphs.onnx >inspected.txt
  grep -q Conv inspected.txt || fail "inspect"
  "$lathe" profiles >profiles.txt
  grep -q raspberry_pi_4 profiles.txt || fail "profiles"
  # Loads liblathe.so: which one, the loader says itself.
  LD_DEBUG=files "$lathe" quantize glyphs.onnx --data random --samples 4 -o int8.onnx \
    --report int8.json 2> loader.txt || { tail -20 loader.txt; fail "quantize"; }
  grep -q "calling init: $prefix/bin/../lib/liblathe.so" loader.txt ||
    { grep liblathe loader.txt || true; fail "liblathe.so is not the installed one"; }
  ! grep "calling init: .*liblathe" loader.txt | grep -v -F "$prefix/" ||
    fail "a library of another place was loaded"
  "$lathe" inspect int8.onnx >inspected.txt
  grep -q QuantizeLinear inspected.txt || fail "the quantized model has no QuantizeLinear"
  grep -q '"verdict": "pass"' int8.json || fail "the report says no pass"
  rm int8.*
}

mkdir "$work/elsewhere"
cd "$work/elsewhere"
cp "$source/scripts/glyphs.onnx" .

"$cmake" --install "$build" --prefix "$work/prefix" > install.txt || { cat install.txt; fail install; }
check_files "$work/prefix"
check_use "$work/prefix"
# A tree that is moved goes on working.
mv "$work/prefix" "$work/moved"
check_use "$work/moved"
echo "installed tree: good"

"$cpack" -G DEB --config "$build/CPackConfig.cmake" -B "$work/deb" > cpack.txt 2>&1 ||
  { cat cpack.txt; fail cpack; }
package=$work/deb/lathe_${version}_$(dpkg --print-architecture).deb
[ -f "$package" ] || { ls "$work/deb"; fail "cpack made no $package"; }
depends=$(dpkg-deb -f "$package" Depends)
for library in libc6 'libfmt[0-9]' 'libzip[0-9]' libturbojpeg0 'libtorch[0-9]'; do
  grep -q "$library" <<< "$depends" || fail "the package does not depend on $library: $depends"
done
dpkg-deb -x "$package" "$work/unpacked"
check_files "$work/unpacked/usr"
check_use "$work/unpacked/usr"
echo "$(basename "$package"): good; depends on $depends"

"$cpack" -G DEB --config "$build/CPackRuntime.cmake" -B "$work/deb" > cpack.txt 2>&1 ||
  { cat cpack.txt; fail 'cpack of the run-time library'; }
package=$work/deb/liblathe-rt_${version}_$(dpkg --print-architecture).deb
depends=$(dpkg-deb -f "$package" Depends)
! grep -q torch <<< "$depends" || fail "the run-time library depends on $depends"
dpkg-deb -x "$package" "$work/runtime"
[ "$(cd "$work/runtime" && find . -type f | sort | xargs)" = \
  './usr/bin/lathe-runner ./usr/include/lathe.h ./usr/lib/liblathe_rt.so' ] ||
  fail "the run-time library's package holds $(find "$work/runtime" -type f | xargs)"
echo "$(basename "$package"): good; depends on $depends"

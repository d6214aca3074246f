#!/usr/bin/env bash
# Installs FerretDB and the PostgreSQL with DocumentDB that it stands on, in a folder of their own: ferretdb-install.sh FOLDER
#
# FerretDB is built from its source by Go, with the checksums of Go's database. PostgreSQL and the libraries it needs are packages
# of a newer suite of Debian, unpacked beside the system, which stays as it is; apt checks their signatures.
set -euo pipefail
umask 022

folder=$1
version=v2.7.0
suite=forky
root=$folder/root
libraries=$root/usr/lib/x86_64-linux-gnu
postgres=$root/usr/lib/postgresql/18

mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9 # of two that install at once, the second finds it done
[ -e "$folder/done" ] && exit 0

say() { echo "ferretdb-install: $*"; }
for program in apt-get dpkg-deb go; do
    command -v "$program" >/dev/null || { say "$program is needed"; exit 1; }
done
[ "$(uname -m)" = x86_64 ] || { say "only for x86_64"; exit 1; }
rm -rf "$root" "$folder/apt" "$folder/go" "$folder/bin"

# A world of apt of its own, in which nothing is installed, so that it names every package that is needed.
apt=$folder/apt
mkdir -p "$root" "$apt"/{state/lists/partial,cache/archives/partial,debs}
: >"$apt/status"
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} $suite main" >"$apt/sources.list"
in_world() {
    apt-get -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$apt/state" \
        -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o APT::Sandbox::User=root -o APT::Install-Recommends=false "$@"
}
say "PostgreSQL 18 with DocumentDB, from Debian $suite"
in_world update
packages=$(in_world install -y --print-uris postgresql-18-documentdb patchelf | sed -nE "s/^'[^']+' ([^_]+)_.*/\1/p")
[ -n "$packages" ] || { say "$suite has no postgresql-18-documentdb"; exit 1; }

unpack() {
    (cd "$apt/debs" && in_world download "$@")
    for package in "$apt"/debs/*.deb; do dpkg-deb -x "$package" "$root"; done
}
lacks_libraries() {
    local file
    for file in "$postgres"/bin/{postgres,initdb,psql} "$postgres"/lib/{pg_documentdb,pg_documentdb_core,pg_cron,postgis-3,vector,rum}.so; do
        "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$postgres/lib" --list "$file" 2>&1 | grep -qE 'not found|cannot open|error while' && return 0
    done
    return 1
}
# Most of the bytes are libraries for pictures, numbers and Perl, which no start of the server loads.
wanted=$(grep -E '^(lib|zlib1g|postgresql-18|postgresql-client-18|patchelf)' <<<"$packages" \
    | grep -vE '^lib(gdal|poppler|perl|systemd-shared|c-bin|c-l10n|c-gconv|hdf|netcdf|armadillo|superlu|arpack|spatialite|sfcgal|aom|svtav1|rav1e|dav1d|gav1|jxl|heif|avif|de265|nss3|xerces|cfitsio|mariadb|blas|lapack|gfortran|boost|absl|gpgme|nspr)')
# shellcheck disable=SC2086 # names, one word each
unpack $wanted
# shellcheck disable=SC2086
if lacks_libraries; then unpack $packages; fi

# Programs and plugins find these libraries and no others.
patchelf() { "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/patchelf" "$@"; }
for program in postgres initdb psql; do
    patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$libraries" "$postgres/bin/$program"
done
for plugin in "$postgres"/lib/pg_documentdb*.so; do
    patchelf --force-rpath --set-rpath "\$ORIGIN:$libraries" "$plugin"
done
extensions=$root/usr/share/postgresql/18/extension
cp "$extensions/postgis-3.control" "$extensions/postgis.control"
rm -rf "$apt" "$root/etc" "$root"/usr/share/{doc,man,locale,info,lintian,bug}

say "FerretDB $version, from source"
mkdir -p "$folder/bin" "$folder/go"
(cd "$folder/go" && env GOPATH="$folder/go/path" GOCACHE="$folder/go/cache" GOBIN="$folder/bin" GOFLAGS='-modcacherw -buildvcs=false' CGO_ENABLED=0 \
    go install -trimpath -ldflags='-s -w' "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$version")
rm -rf "$folder/go"
touch "$folder/done"

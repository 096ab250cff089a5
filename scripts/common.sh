# Shared by the scripts of this project: the cache folder, messages, locks. Sourced, never run.

# Per-user cache of everything that is built or fetched once: the engine, models, digests.
VERILLM_CACHE="${VERILLM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/verillm}"
export VERILLM_CACHE

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

# lock FILE: hold an exclusive lock until this script ends (the kernel drops it if the script is killed).
lock() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  if ! flock -n 9; then
    say "another build holds $1; waiting for it"
    flock 9
  fi
}

# fetch_pypi NAME VERSION SHA256 DIR [PIP OPTION...]: download one package file into DIR; pip checks the digest.
fetch_pypi() {
  local name="$1" version="$2" sha256="$3" dir="$4"
  shift 4
  local requirements
  requirements="$(mktemp)"
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha256" >"$requirements"
  mkdir -p "$dir"
  local status=0
  python3 -m pip download --disable-pip-version-check --progress-bar off --quiet \
    --no-deps --require-hashes --requirement "$requirements" --dest "$dir" "$@" >&2 || status=$?
  rm -f "$requirements"
  [ "$status" -eq 0 ] || die "pip could not download $name $version (is a package index reachable?)"
}

# install_packages [FILE]: install the Debian packages of scripts/packages.txt that are missing; without root, say which they are.
install_packages() {
  local list="${1:-$(dirname "${BASH_SOURCE[0]}")/packages.txt}"
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian: install what $list lists in your system's way"
    return
  fi
  local wanted missing
  wanted="$(grep -v '^#' "$list")"
  missing="$(comm -23 <(sort <<<"$wanted") <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '/^ii/ { print $2 }' | sort -u))"
  missing="$(tr '\n' ' ' <<<"$missing")"
  [ -n "${missing// /}" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    die "these packages are missing; as root run: apt-get install $missing"
  fi
  say "installing $missing"
  # shellcheck disable=SC2086
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } >&2 ||
    die "apt-get could not install $missing"
}

# foreign_apt FOLDER SUITE ARCHITECTURE: in FOLDER, an apt for packages of another release or architecture of Debian, which are fetched and
# checked but not installed: "${apt[@]}" is its apt-get, FOLDER/cache/archives where it puts them. Fails, saying why, where it cannot.
foreign_apt() {
  local folder="$1" suite="$2" architecture="$3" site
  site="$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian/\?$')" ||
    { say "apt knows no mirror of Debian"; return 1; }
  rm -rf "$folder"
  mkdir -p "$folder/sources" "$folder/lists/partial" "$folder/cache/archives/partial"
  touch "$folder/status"
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$site" "$suite" >"$folder/sources/foreign.sources"
  apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/sources" -o "Dir::State::lists=$folder/lists"
    -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder/cache" -o "APT::Architecture=$architecture"
    -o "APT::Architectures=$architecture" -o APT::Sandbox::User=)
  "${apt[@]}" update >&2
}

# build TARGET...: configure and build in build/ (or $VERILLM_BUILD).
build() {
  local folder="${VERILLM_BUILD:-build}"
  say "building in $folder"
  # Configured each time: it takes a second, and notices an engine that is gone or new.
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release | awk '/Engine|rror/' >&2
  cmake --build "$folder" --target "$@" >&2
}

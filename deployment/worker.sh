#!/usr/bin/env bash
# The worker of the work pool `scalingo`, in the foreground, one run at a time: the `worker` process on Scalingo.
set -euo pipefail
cd "$(dirname "$0")/.."

# For `dump` mode: pg_dump refuses a server newer than itself, and Scalingo's own is 16. `stream` mode goes without.
if command -v dbclient-fetcher >/dev/null; then
    export PATH="$HOME/bin:$PATH"
    dbclient-fetcher pgsql 17 || echo "warning: no pg_dump 17; runs in dump mode will fail" >&2
fi

# A container's name is the same after each deploy (worker-1), and so is the worker's, or every deploy would leave a dead one.
export PYTHONPATH="$PWD"
exec python -m deployment.worker --name "scalingo-${CONTAINER:-worker-1}"

#!/usr/bin/env bash
# The worker of the work pool `scalingo`, in the foreground, one run at a time: the `worker` process on Scalingo.
set -euo pipefail

usage="usage: deployment/worker.sh [-h] [--with-healthcheck]"
case "$*" in
    "" | --with-healthcheck) ;;
    -h | --help)
        echo "$usage"
        echo
        echo "Run the worker of the work pool scalingo in the foreground: python -m deployment.worker, with pg_dump on its PATH,"
        echo "by the Python of .venv if there is one."
        exit
        ;;
    *)
        echo "$usage" >&2
        echo "deployment/worker.sh: error: unrecognized arguments: $*" >&2
        exit 2
        ;;
esac

cd "$(dirname "$0")/.."

# Mode `dump` needs this: pg_dump refuses a server newer than itself, and Scalingo's own is 16. Mode `stream` needs no pg_dump.
if command -v dbclient-fetcher >/dev/null; then
    export PATH="$HOME/bin:$PATH"
    dbclient-fetcher pgsql 17 || echo "warning: no pg_dump 17; runs in dump mode will fail" >&2
fi

# A container keeps its name across deploys (worker-1), and so does the worker, or every deploy would leave a dead one.
export PYTHONPATH="$PWD"
python=python
[[ -x .venv/bin/python ]] && python=.venv/bin/python # of `make install`; a host has its own
exec "$python" -m deployment.worker --name "scalingo-${CONTAINER:-worker-1}" "$@"

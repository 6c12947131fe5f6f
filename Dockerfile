# One image for all: a run from the command line, a worker, a Scaleway Serverless Job. Its command says which.
FROM python:3.13.16-slim-trixie

# pg_dump refuses a server newer than itself: Debian 13 brings major 17. tini is the container's first process, which hears no
# signal that it did not ask for: without it, a job that is told to stop runs to its end, or until it is killed.
# Debian's mirrors keep the last version of a package only, so a version pinned here would break the next build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 tini \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin etl

WORKDIR /app
ENV PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.txt

# .dockerignore lets through what runs, and nothing else
COPY . .

USER 10001:10001

# A worker that was started --with-healthcheck answers 200 while it polls and 503 once it doesn't. Where nothing listens there
# is no such worker, and nothing to be ill.
HEALTHCHECK --interval=1m --timeout=10s --start-period=1m CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/${PREFECT_WORKER_WEBSERVER_PORT:-8080} || exit 0; \
    printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; \
    read -r -t 8 _ status _ <&3; \
    [[ $status == 200 ]]"]

ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "flows.etl"]

# One image serves the command line, workers and Scaleway's Serverless Jobs; the container's command says which.
FROM python:3.13.16-slim-trixie

# pg_dump refuses a server newer than itself: Debian 13 brings major 17. tini runs as the container's first process, because
# that one hears only signals that it asks for: without tini, a job told to stop runs to its end, or until something kills it.
# Debian's mirrors keep only a package's last version, so pinning a version here would break the next build.
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

# the command as people type it: docker run … etl --app rdvs, docker run … etl rules check --app rdvs
RUN printf '#!/bin/sh\nexec python -m flows.installed "$@"\n' > /usr/local/bin/etl && chmod 755 /usr/local/bin/etl

# .dockerignore lets through only what runs
COPY . .

USER 10001:10001

# A worker started --with-healthcheck answers 200 while it polls and 503 once it doesn't. If nothing listens, no such worker
# runs, and nothing can be ill.
HEALTHCHECK --interval=1m --timeout=10s --start-period=1m CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/${PREFECT_WORKER_WEBSERVER_PORT:-8080} || exit 0; \
    printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; \
    read -r -t 8 _ status _ <&3; \
    [[ $status == 200 ]]"]

ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "flows.etl"]

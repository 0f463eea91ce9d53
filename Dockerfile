# syncline in an empty image. Any Rust image for musl will do as builder:
#   docker build -t syncline .
ARG BUILDER=docker.io/library/rust:1-alpine
FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
# Alpine's own compiler makes musl programs; elsewhere musl-gcc does.
RUN if command -v apk >/dev/null; then apk add --no-cache bash musl-dev && export CC=gcc; fi \
    && cp "$(bash scripts/build-static)" /syncline \
    && mkdir -p /empty/git /empty/tmp

FROM scratch
COPY --from=build /syncline /syncline
COPY --from=build --chown=65533:65533 /empty/ /
USER 65533:65533
WORKDIR /tmp
ENV GITSYNC_ROOT=/git
ENTRYPOINT ["/syncline"]

# The two images, for people who build them with Docker or BuildKit:
#
#   docker build --target sync-operator     -t REGISTRY/sync-operator:v0.1.0 .
#   docker build --target admission-webhook -t REGISTRY/admission-webhook:v0.1.0 .
#
# `cargo run --bin release -- push REGISTRY` makes and pushes the same without a container engine:
# tests/src/image/product.rs says what is in them, and why.

FROM golang:1.26-bookworm AS kustomize
WORKDIR /src
# The module that pins kustomize for the tests, too.
COPY tests/controlplane/ ./
RUN CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags='-s -w' \
        -o /out/kustomize sigs.k8s.io/kustomize/kustomize/v5

FROM rust:1.95-bookworm AS programs
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked -p flux-sync-operator -p flux-admission-webhook \
    && install -D -t /out target/dist/flux-sync-operator target/dist/flux-admission-webhook

# What the programs expect around them: the C library that they were linked against, a user, and
# an order in which names are looked up. No shell, and nothing that can be written to but /tmp.
FROM debian:bookworm-slim AS root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgcc-s1
COPY --from=programs /out/ /out/
# ldd names the loader and the libraries, each with its path.
RUN set -eu; \
    install -d /data; \
    install -d -m 1777 /root-fs/tmp; \
    for file in $(ldd /out/flux-sync-operator /out/flux-admission-webhook \
            | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do \
        install -D "$file" "/root-fs$file"; \
    done; \
    install -d /root-fs/etc; \
    printf 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n' \
        > /root-fs/etc/passwd; \
    printf 'root:x:0:\nnonroot:x:65532:\n' > /root-fs/etc/group; \
    printf 'hosts: files dns\n' > /root-fs/etc/nsswitch.conf

FROM scratch AS admission-webhook
COPY --from=root /root-fs/ /
COPY --from=programs /out/flux-admission-webhook /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flux-admission-webhook"]

FROM scratch AS sync-operator
COPY --from=root /root-fs/ /
COPY --from=root /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=root --chown=65532:65532 --chmod=0700 /data/ /data/
COPY --from=kustomize /out/kustomize /usr/local/bin/
COPY --from=programs /out/flux-sync-operator /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flux-sync-operator"]

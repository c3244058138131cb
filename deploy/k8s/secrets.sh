#!/bin/sh
# Print the Secrets of a system, made of the files of deploy/prepare.sh (or of redis/make_acl.py, with
# `view.token` and `sources` beside them):
#
#   deploy/k8s/secrets.sh deploy/secrets valkey.emotion:6379 | kubectl apply --namespace emotion -f -
#
# The address is where KEDA, in a namespace of its own, finds Redis: host:port. Talks to no cluster.
set -eu
folder=$1 address=$2

secret() { # NAME FLAG...
  name=$1
  shift
  kubectl create secret generic "$name" "$@" --dry-run=client --output yaml
  echo ---
}

# KEDA takes a line break at the end for a part of the password, which is not for a command line.
printf %s "$(cat "$folder/exporter.password")" |
  secret emotion-redis --from-file="$folder/producer.url" --from-file="$folder/worker.url" \
    --from-file="$folder/view.url" --from-file=exporter.password=/dev/stdin \
    --from-literal=exporter.username=exporter --from-literal=exporter.address="$address"
secret emotion-sources --from-file="$folder/sources"
secret emotion-view --from-file=token="$folder/view.token"
secret emotion-users --from-file="$folder/users.acl" # for k8s/valkey only

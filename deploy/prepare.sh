#!/bin/sh
# Make what compose.yaml needs and does not have yet: Redis users and secrets, a folder for Valkey's
# data, and .env, which says whose they are. Needs python3. What is there is kept.
set -eu
cd "$(dirname "$0")"
umask 077

python3 redis/make_acl.py --out secrets --server redis://valkey:6379 >/dev/null
for secret in view.token grafana.password; do
  [ -e "secrets/$secret" ] ||
    python3 -c 'import secrets; print(secrets.token_urlsafe(24))' >"secrets/$secret"
done
# One source a line, rtsp://user:password@camera/stream for example; this is the image's own clip.
[ -e secrets/sources ] || echo /opt/emotion-stream/demo/people.mp4 >secrets/sources
mkdir -p data/valkey

uid=$(id -u) gid=$(id -g)
if [ "$uid" -eq 0 ]; then # containers do not run as root
  uid=10001 gid=10001
  chown -R "$uid:$gid" secrets data
fi
[ -e .env ] || printf 'EMOTION_UID=%s\nEMOTION_GID=%s\n' "$uid" "$gid" >.env

echo "docker compose up --build --detach     in $PWD; then"
echo "http://127.0.0.1:8080/?token=\$(cat $PWD/secrets/view.token)"
echo "http://127.0.0.1:3000/                 Grafana: admin, and secrets/grafana.password"

# SPDX-License-Identifier: MIT
# Files out of reach: another user's home, and a file that only root may read, though root runs pal-run.
set -u
secret=$(mktemp -d /var/tmp/pal-secret.XXXXXX) || exit 1
trap 'rm -rf "$secret"' EXIT
chmod 755 "$secret"
echo "the secret is 4711" >"$secret/file"
chmod 644 "$secret/file"
"$B/pal-run" --env OUTSIDE="1 $$ $PPID" "$B/hostile/files" "$secret/file" "the secret is 4711" <"$secret" || exit 1
mkdir -p "$secret/home" && echo "the secret is 4711" >"$secret/home/x"
HOME=$secret/home "$B/pal-run" "$B/hostile/files" "$secret/home/x" "the secret is 4711" || exit 1
if [ "$(id -u)" = 0 ]; then
    "$B/pal-run" "$B/hostile/files" /etc/shadow root: || exit 1
    setpriv --reuid 65534 --regid 65534 --clear-groups "$B/pal-run" --env OUTSIDE="1 $$ $PPID" "$B/hostile/files" "$secret/file" "the secret is 4711" <"$secret" || exit 1
fi

# SPDX-License-Identifier: MIT
# Two sandboxes at a time, and two runs one after another, tell each other nothing: private files, profiles, homes.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/between
cp "$guest" "$top/guest" || exit 1
secret="B's private file 4711"

manifest() { # AT FROM ACCESS
    printf 'program = "/bin/guest"\n[[mounts]]\nat = "/bin"\nfrom = "%s"\n' "$top"
    printf '[[mounts]]\nat = "%s"\nfrom = "%s"\naccess = "%s"\n' "$1" "$2" "$3"
}

# One sandbox holds a private file; another looks for it in the folder in which it lies on the host.
private() {
    mkfifo "$work/end" "$work/ready"
    [ -z "$as" ] || chown "$who" "$work/end" "$work/ready"
    pal "$guest" hold /tmp/file "$secret" <"$work/end" >"$work/ready" &
    exec 3>"$work/end" 4<"$work/ready"
    read -r _ <&4
    # (Only root can list where it lies: whoever else knows its name finds it.)
    [ "$(id -u)" != 0 ] || grep -rqs "$secret" "$work/run" || say "the private file does not lie where it is looked for"
    pal --ro /x="$work/run" "$guest" search /x "$secret" && pal --rw /x="$work/run" "$guest" search /x "$secret" || say "another's private file was read"
    pal --rw "$work" "$guest" search "$work/run" "$secret" || say "another's private file was read, deep"
    (cd "$work/run" && pal "$guest" search . "$secret") || say "another's private file was read in the current directory"
    manifest /x "$work/run" rw | as tee "$work/m.toml" >/dev/null
    pal -m "$work/m.toml" /bin/guest search /x "$secret" || say "another's private file was read, by manifest"
    pal --rw /x="$work/run" "$guest" move /x || say "another's private directory was changed"
    [ "$(id -u)" != 0 ] || grep -rqs "$secret" "$work/run" || say "another's private file is gone"
    exec 3>&- 4<&-
    wait
    [ -z "$(ls -A "$work/run")" ] || say "left: $(ls -A "$work/run")"
}

# What one run asked, the next of another policy is not told; what a policy does not show, not even by its own profile.
profiles() {
    local docs=$work/host/docs
    as mkdir -p "$docs"
    as sh -c 'for i in 0 1 2 3 4 5 6 7; do echo x >"$0/layoffs-$i"; done' "$docs"
    cd "$work/host" || return
    pal --ro /docs="$docs" "$guest" ask /docs/layoffs- 8
    pal "$guest" ask /usr/SMUGGLED- 8
    [ -n "$(ls -A "$work/cache/pal-run")" ] || say "no profile was kept"
    pal "$guest" told SMUGG+LED- && say "a run of the same program and policy was told nothing: nothing to see"
    pal "$guest" told /docs/lay+offs- || say "names of a grant were told to a run without it"
    pal --ro /other="$docs" "$guest" told SMUGG+LED- || say "names were told to a run of another policy"
    pal --no-profile "$guest" told SMUGG+LED- || say "names were told in spite of --no-profile"
    cp "$guest" "$top/guest2"
    pal "$top/guest2" told SMUGG+LED- || say "names were told to another program"
    pal --ro /docs="$docs" --report "$guest" ask /docs/layoffs- 8 2>&1 | grep -q 'denied' || say "no report"
    # A tampered profile names what the policy refuses: that is told of when it is asked for, and only then.
    as sh -c 'for f in "$0"/*; do { echo "s /docs/layoffs-1"; echo "o /etc/shadow"; } >>"$f"; done' "$work/cache/pal-run"
    pal "$guest" told /docs/lay+offs- || say "a name that no mount shows was sent"
    pal "$guest" told /etc/sha+dow || say "a name that policy refuses was sent"
    pal --report "$guest" ask /docs/layoffs- 2 2>&1 | grep -q 'denied: /docs' || say "a denial was not told of"
    cd / || return
    # Bounds.
    as sh -c 'cd "$0" && for i in $(seq 400); do echo x >$i; touch -d @$((1000000 + i)) $i; done' "$work/cache/pal-run"
    pal --ro /more="$docs" "$guest" ask /usr/none- 8
    [ "$(ls "$work/cache/pal-run" | wc -l)" -le 256 ] || say "$(ls "$work/cache/pal-run" | wc -l) profiles"
    # Not in a directory of another's.
    [ "$(id -u)" = 0 ] && [ "$who" = 0 ] || return
    mkdir -p "$work/theirs" "$work/target"
    ln -s "$work/target" "$work/theirs/pal-run"
    XDG_CACHE_HOME=$work/theirs "$B/pal-run" "$guest" ask /usr/none- 8
    rm "$work/theirs/pal-run"
    chown 65534 "$work/theirs"
    XDG_CACHE_HOME=$work/theirs XDG_RUNTIME_DIR=$work/theirs "$B/pal-run" "$guest" ask /usr/none- 8
    [ -z "$(ls -A "$work/target" "$work/theirs" | grep -v :)" ] || say "root wrote a profile into another's directory"
}

# A home is one by what it is.
homes() {
    as sh -c 'mkdir -p "$0/real/u" && ln -s real "$0/people" && echo "$1" >"$0/real/u/key"' "$work" "$secret"
    (cd "$work/real/u" && as env HOME="$work/people/u" "$B/pal-run" $trap_option "$guest" look key "$secret") || say "a home by a symlink"
    (cd "$work/real" && as env HOME="$work/people/u" "$B/pal-run" $trap_option "$guest" look u/key "$secret") || say "what holds a home"
    (cd "$work/real/u" && as env HOME="$work/real/../people/u" "$B/pal-run" $trap_option "$guest" look key "$secret") || say "a home with a .."
    as cp "$guest" "$work/real/u/guest"
    (cd / && as env HOME="$work/people/u" "$B/pal-run" $trap_option "$work/real/u/guest" look "$work/real/u/key" "$secret") || say "a home, as the program's directory"
}

# All sandboxes of a user keep to a quarter of its inotify instances.  Of a user that nobody is, so that others' sandboxes
# on this machine don't count.
instances() {
    [ "$(id -u)" = 0 ] && [ "$who" = 0 ] || return
    local share=$(($(cat /proc/sys/fs/inotify/max_user_instances) / 4)) first second as="setpriv --reuid $((100000 + $$)) --regid 65534 --clear-groups"
    [ $share -le 64 ] || share=64
    chmod 755 "$work"
    mkfifo "$work/end" "$work/ready" && chmod 666 "$work/end" "$work/ready"
    cd / || return
    pal "$guest" instances <"$work/end" >"$work/ready" &
    exec 3>"$work/end" 4<"$work/ready"
    read -r first <&4
    [ "$first" -ge 1 ] && [ "$first" -le $share ] || say "one sandbox has $first instances, of $share"
    second=$(pal "$guest" instances </dev/null)
    [ "${second%% *}" = 0 ] || say "two sandboxes have $first and $second instances, of $share"
    $as "$guest" instances </dev/null >/dev/null || say "the user has none left"
    pal --report "$guest" again /usr/bin 2000 2>&1 | grep -q 'names were looked up again' || say "a sandbox without an instance does not say so"
    exec 3>&- 4<&-
    wait
    pal --report "$guest" again /usr/bin 2000 2>&1 | grep -q 'names were looked up again' && say "an instance that ended still counts"
}

each private
each instances
each profiles
each homes
exit $bad

# SPDX-License-Identifier: MIT
# awk -f docs/coverage.awk libos/syscalls.def > docs/coverage.md
BEGIN {
    print "<!-- Made from libos/syscalls.def by docs/coverage.awk; do not edit. -->"
    print "# System calls\n"
    print "Served: as Linux does, or with what the note says is missing. Not served: -ENOSYS, and counted by `--stats`.\n"
    print "| number | call | |\n|---:|---|---|"
}
/^CALL/ {
    split($0, part, /[(,"]/)
    note = $0; sub(/^[^"]*"/, "", note); sub(/".*/, "", note)
    name = part[3]; gsub(/ /, "", name)
    printf "| %d | `%s` | %s |\n", part[2], name, note == "" ? "served" : "partly: " note
    served++; if (note != "") partly++
}
/^NONE\(/ {
    split($0, part, /[(,)]/)
    name = part[3]; gsub(/ /, "", name)
    printf "| %d | `%s` | not served |\n", part[2], name
    none++
}
END { printf "\n%d calls served, %d of them in part; %d not served.\n", served, partly, none }

# SPDX-License-Identifier: MIT
# awk -f docs/coverage.awk libos/syscalls.def > docs/coverage.md
BEGIN {
    print "<!-- Made from libos/syscalls.def by docs/coverage.awk; do not edit. -->"
    print "# System calls\n"
    print "Served: as Linux does, or with what the note says is missing. Not served: -ENOSYS, and counted by `--stats`."
    print "Refused: fails so always, as on Linux for a program without privileges. \"As Linux\": so does a kernel that has"
    print "it left out.\n"
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
    why = $0; sub(/^[^"]*"/, "", why); sub(/".*/, "", why)
    name = part[3]; gsub(/ /, "", name)
    printf "| %d | `%s` | not served%s |\n", part[2], name, why == "" ? "" : ": " why
    none++
}
/^REFUSED\(/ {
    split($0, part, /[(,)]/)
    why = $0; sub(/^[^"]*"/, "", why); sub(/".*/, "", why)
    name = part[3]; gsub(/ /, "", name)
    error = part[4]; gsub(/ /, "", error)
    printf "| %d | `%s` | refused, %s: %s |\n", part[2], name, error, why
    refused++
}
END {
    printf "\n%d calls served, %d of them in part; %d refused; %d not served.\n", served, partly, refused, none
}

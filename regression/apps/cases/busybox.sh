# SPDX-License-Identifier: MIT
# Run by busybox sh: text tools on real files.
busybox find /usr/share/doc -maxdepth 1 -name 'lib[a-g]*' | busybox sort | busybox head -200
busybox find /usr/share/doc -type l | busybox wc -l
busybox sha256sum /usr/bin/busybox /etc/os-release /usr/share/common-licenses/*
busybox awk -F: '{ n[$NF]++ } END { for (s in n) print s, n[s] }' /etc/passwd | busybox sort
for i in 1 2 3; do echo "line $i"; done | busybox sed 's/line/row/' | busybox tac
busybox seq 1 20000 | busybox sort -rn | busybox md5sum
x=$(busybox cat <<EOF
here $((6 * 7))
EOF
)
echo "$x"
busybox ls -l /usr/bin/busybox /etc/os-release
(cd /usr/share/common-licenses && busybox tar cf - GPL-3 | busybox gzip -9 | busybox gunzip | busybox tar xOf - | busybox md5sum)
busybox false || echo "status $?"

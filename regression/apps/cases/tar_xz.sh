# SPDX-License-Identifier: MIT
folder=$(mktemp -d) && cd "$folder" || exit 1
tar -C /usr/share --sort=name --mtime=@0 --owner=0 --group=0 -cf - common-licenses doc/bash | xz -T2 -3 >x.tar.xz
xz -dc x.tar.xz | sha256sum
mkdir out && tar -C out -xJf x.tar.xz && find out | sort | head -50 && diff -r /usr/share/common-licenses out/common-licenses && echo same
tar -tvf x.tar.xz | head -5
cd / && rm -rf "$folder"

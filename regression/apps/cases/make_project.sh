# SPDX-License-Identifier: MIT
# make -j4 of a real project, this one: a hundred compilers, an image that is the same to the byte; then what a change
# builds again, and what an error says.
work=/tmp/pal-case-make
rm -rf $work && mkdir $work || exit 1
trap 'rm -rf $work' EXIT
cp -r Makefile libos shim pal $work && cd $work || exit 1
build() { make -j4 --no-print-directory B=out COMMON='-std=gnu17 -O0 -I. -MMD -MP' "$@" out/libos.elf 2>&1; }
build
find out -name '*.o' | wc -l
sha256sum out/libos.elf
build
touch stamp
sleep 0.05
touch libos/poll/epoll.c shim/shim.h
build
find out -name '*.o' -newer stamp | sort
sha256sum out/libos.elf
echo 'int broken(' >>libos/poll/epoll.c
build -k | grep -E 'error|\*\*\*'

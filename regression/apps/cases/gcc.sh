# SPDX-License-Identifier: MIT
# gcc -O2 through make -j2: several files, linked, run.
rm -rf /tmp/pal-case-gcc && mkdir /tmp/pal-case-gcc && cd /tmp/pal-case-gcc || exit 1
cat >main.c <<'EOF'
#include <stdio.h>
#include "parts.h"
int main(int c, char **v) { printf("%d %s %.3f\n", add(c, 41), name(), root(2.0)); return 3; }
EOF
echo 'int add(int, int); const char *name(void); double root(double);' >parts.h
echo '#include "parts.h"' | tee add.c name.c root.c >/dev/null
echo 'int add(int a, int b) { return a + b; }' >>add.c
echo 'const char *name(void) { return "linked"; }' >>name.c
echo '#include <math.h>
double root(double x) { return sqrt(x); }' >>root.c
printf 'CFLAGS = -O2 -Wall -g\nprog: main.o add.o name.o root.o ; gcc -o $@ $^ -lm\nmain.o add.o name.o root.o: parts.h\n%%.o: %%.c ; gcc $(CFLAGS) -c $< -o $@\n' >Makefile
make -j2 --no-print-directory 2>&1 | sort
./prog a b; echo "status $?"
make; touch add.c; make 2>&1 | sort
sha256sum ./*.o | sort; echo 'int main( {' >bad.c; gcc bad.c; echo "bad: $?"
cd / && rm -rf /tmp/pal-case-gcc

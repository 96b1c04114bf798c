/* SPDX-License-Identifier: MIT */
/* The check of programs, by libFuzzer. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/launch/launch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int fd = -1;
    struct elf_facts facts;
    if (fd < 0)
        fd = memfd_create("elf", 0);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
        abort();
    if (!elf_inspect(fd, size, &facts) && strnlen(facts.interpreter, sizeof facts.interpreter) == sizeof facts.interpreter)
        abort();
    return 0;
}

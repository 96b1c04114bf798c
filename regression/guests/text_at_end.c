/* SPDX-License-Identifier: MIT */
/* A program's text may end with its file, and its mapping not: what looks around a system call must stop there. */
#include "check.h"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
static unsigned char page[PAGE];

/* getpid, its return `back` bytes before the end of a file of one page; a mapping of three. */
static void call_at(int back, bool often)
{
    static const unsigned char code[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3};
    char name[64] = "/tmp/text_at_end.XXXXXX";
    const char *temporary = getenv("TMPDIR");
    if (temporary)
        snprintf(name, sizeof name, "%s/text_at_end.XXXXXX", temporary);
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    memset(page, 0x90, sizeof page); /* nop */
    memcpy(page + PAGE - back, code, sizeof code);
    CHECK(write(fd, page, PAGE) == PAGE && fchmod(fd, 0700) == 0 && close(fd) == 0);
    fd = open(name, O_RDONLY);
    char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(fd >= 0 && map != MAP_FAILED && unlink(name) == 0);
    int (*function)(void) = (int (*)(void))(void *)(map + PAGE - back);
    for (int i = 0; i < (often ? 100 : 1); i++) /* often enough for a site to be rewritten */
        CHECK(function() == getpid());
    CHECK(munmap(map, 3 * PAGE) == 0);
    close(fd);
}

int main(void)
{
    for (int back = 8; back < 40; back += 3)
        call_at(back, back % 2 == 0 || back < 16);
    return 0;
}

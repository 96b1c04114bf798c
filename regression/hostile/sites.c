/* SPDX-License-Identifier: MIT */
/*
 * For sites.sh, as a guest: what the shared segment says of a program's call sites is forged, and later processes of that
 * program must do as ever.
 *   sites          forges, and runs itself as `sites child` after each forgery; 1: a child went wrong
 *   sites child    calls from many places and checks what they say
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pal/pal.h"

/* As libos/mm/warm.c lays it out: a page for each program. */
struct site { uint32_t page, pages; uint64_t hash; uint32_t at; int16_t hole; int8_t patch; uint8_t reserved; };
struct program {
    uint64_t device, inode, size, mtime, ctime;
    uint32_t state, runs, told, count;
    struct site sites[168];
};
_Static_assert(sizeof(struct program) <= 4096, "a page");

static int child(void)
{
    int ends[2];
    char byte = 0;
    struct stat status;
    int wrong = pipe(ends) != 0;
    for (int i = 0; i < 40; i++) {
        long id;
        __asm__ volatile("mov %1, %%eax; syscall" : "=a"(id) : "i"(SYS_getpid) : "rcx", "r11", "memory");
        wrong |= id != getpid() || getppid() == getpid() || syscall(SYS_gettid) != id;
        wrong |= write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1 || byte != 'x';
        wrong |= fstat(ends[0], &status) != 0 || !S_ISFIFO(status.st_mode) || fcntl(ends[0], F_GETFD) != 0;
        wrong |= access("/", F_OK) != 0 || lseek(ends[0], 0, SEEK_CUR) != -1 || close(-1) != -1;
    }
    return wrong;
}

static int run(const char *self)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "child", NULL);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : status;
}

/* The page of a file of this inode and size, or NULL. */
static struct program *find(const struct stat *file)
{
    for (uint64_t at = PAL_SHARED_BASE; at < PAL_SHARED_BASE + (256ul << 20); at += 4096) {
        struct program *one = (struct program *)(uintptr_t)at;
        if (one->inode == file->st_ino && one->size == (uint64_t)file->st_size && one->count > 0 && one->count <= 168)
            return one;
    }
    return NULL;
}

static int failed(const char *what, int number, int status)
{
    printf("%s %d: the program ended with %#x\n", what, number, status);
    return 1;
}

/* Right bytes around the site, but a jump from where none can begin, or sites that are not there. */
static int misplace(struct program *program, const char *self)
{
    static const struct { int16_t hole; int8_t patch; } places[] = {
        {0, 1},  {0, 5},  {0, 127},  {0, -49},    {0, -128},    {1, 0},   {-1, 0},
        {-4, 0}, {-3, 0}, {130, 0},  {-127, 0},   {32767, 0},   {-32768, 0}};
    static const uint32_t ats[] = {UINT32_MAX, UINT32_MAX - 1, 1u << 31, 0, 1};
    const struct program own = *program;
    int status = 0, number = 0;
    for (size_t p = 0; p < sizeof places / sizeof *places && !status; p++, number++) {
        for (uint32_t i = 0; i < own.count; i++) {
            program->sites[i].hole = places[p].hole;
            program->sites[i].patch = places[p].patch;
        }
        status = run(self);
    }
    *program = own;
    for (size_t a = 0; a < sizeof ats / sizeof *ats && !status; a++, number++) {
        for (uint32_t i = 0; i < own.count; i++)
            program->sites[i].at = ats[a];
        status = run(self);
    }
    *program = own;
    for (uint32_t i = 1; i < own.count && !status; i++) /* all in one place */
        program->sites[i] = program->sites[0];
    if (!status)
        status = run(self);
    program->count = UINT32_MAX;
    if (!status)
        status = run(self);
    *program = own;
    return status ? failed("misplaced", number, status) : 0;
}

static int garble(struct program *program, const char *self)
{
    const struct program own = *program;
    srandom(1);
    for (int round = 0; round < 20; round++) {
        for (uint8_t *at = (uint8_t *)&program->state; at < (uint8_t *)(program + 1); at++)
            *at = (uint8_t)random();
        program->state = own.state;
        for (uint32_t i = 0; i < own.count; i++) /* so that they are looked at */
            memcpy(&program->sites[i], &own.sites[i], 8);
        int status = run(self);
        if (status)
            return failed("garbled", round, status);
    }
    *program = own;
    program->state = 1; /* another writes it, for ever */
    int status = run(self);
    *program = own;
    return status ? failed("taken", 0, status) : 0;
}

int main(int argc, char **argv)
{
    struct stat file;
    if (argc > 1)
        return child();
    for (int i = 0; i < 4; i++)
        if (run(argv[0]) != 0)
            return failed("unforged", i, run(argv[0]));
    struct program *program = stat(argv[0], &file) == 0 ? find(&file) : NULL;
    if (!program)
        return puts("nothing is kept of the program: nothing to forge"), 1;
    printf("%u sites\n", program->count);
    return misplace(program, argv[0]) || garble(program, argv[0]) || (run(argv[0]) && failed("restored", 0, 0));
}

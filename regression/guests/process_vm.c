/* SPDX-License-Identifier: MIT */
/* process_vm_readv, process_vm_writev: the caller's own memory, holes in it, errors. */
#include "check.h"
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that waits in a call has its memory read and written; where it has a hole the copy ends. */
static void of_others(void)
{
    static char words[100000], back[100000];
    int go[2], status;
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(go) == 0 && page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    for (unsigned i = 0; i < sizeof words; i++)
        words[i] = (char)(i * 7 + i / 251);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(go[1]);
        _exit(read(go[0], &byte, 1) != 1 || memcmp(words, back, sizeof words) != 0 || strcmp(page, "written") != 0);
    }
    struct iovec here = {back, sizeof back}, there = {words, sizeof words}, its = {back, sizeof back};
    CHECK(process_vm_readv(child, &here, 1, &there, 1, 0) == sizeof words && !memcmp(words, back, sizeof words));
    CHECK(process_vm_writev(child, &here, 1, &its, 1, 0) == sizeof back);
    struct iovec text = {"written", 8}, at = {page, 8}, hole = {page, 8192}, gone = {page + 4096, 8};
    CHECK(process_vm_writev(child, &text, 1, &at, 1, 0) == 8);
    CHECK(process_vm_readv(child, &here, 1, &hole, 1, 0) == 4096 && !strcmp(back, "written"));
    CHECK_FAILS(process_vm_readv(child, &here, 1, &gone, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_writev(child, &text, 1, &gone, 1, 0), EFAULT);
    CHECK(write(go[1], "x", 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
    CHECK_FAILS(process_vm_readv(child, &here, 1, &there, 1, 0), ESRCH);
}

int main(void)
{
    of_others();
    char from[20000], to[20000] = "";
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t self = getpid();
    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (char)(i * 31 + i / 251);
    struct iovec local[3] = {{to, 3}, {to + 3, 0}, {to + 3, 15000}}, remote[2] = {{from, 9000}, {from + 9000, 11000}};
    CHECK(process_vm_readv(self, local, 3, remote, 2, 0) == 15003 && !memcmp(from, to, 15003) && !to[15003]);
    memset(to, 0, sizeof to);
    CHECK(process_vm_writev(self, remote, 2, local, 3, 0) == 15003 && !memcmp(from, to, 15003));
    CHECK(munmap(page + 4096, 4096) == 0);
    struct iovec hole = {page, 8192}, gone = {page + 4096, 10}, low = {NULL, 1}, high = {(void *)-4096ul, 1};
    struct iovec all = {to, sizeof to};
    CHECK(process_vm_readv(self, &all, 1, &hole, 1, 0) == 4096);
    CHECK(process_vm_writev(self, &all, 1, &hole, 1, 0) == 4096 && !memcmp(page, to, 4096));
    CHECK_FAILS(process_vm_readv(self, &all, 1, &gone, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(self, &all, 1, &low, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(self, &all, 1, &high, 1, 0), EFAULT);
    CHECK(mprotect(page, 4096, PROT_READ) == 0);
    CHECK(process_vm_readv(self, &all, 1, &hole, 1, 0) == 4096);
    CHECK_FAILS(process_vm_writev(self, &all, 1, &hole, 1, 0), EFAULT);
    CHECK(mprotect(page, 4096, PROT_NONE) == 0);
    CHECK_FAILS(process_vm_readv(self, &all, 1, &hole, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(self, &all, 1, remote, 1, 1), EINVAL);
    CHECK_FAILS(process_vm_readv(self, &all, 1025, remote, 1, 0), EINVAL);
    CHECK_FAILS(process_vm_readv(self, &all, 1, remote, 1025, 0), EINVAL);
    CHECK_FAILS(process_vm_readv(self, (void *)16, 1, remote, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(self, &all, 1, (void *)16, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(0x3ffffff, &all, 1, remote, 1, 0), ESRCH);
    CHECK(process_vm_readv(self, &all, 0, remote, 1, 0) == 0 && process_vm_readv(self, &all, 1, remote, 0, 0) == 0);
    return 0;
}

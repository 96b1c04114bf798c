/* SPDX-License-Identifier: MIT */
/* process_vm_readv, process_vm_writev: the caller's own memory, holes in it, errors. */
#include "check.h"
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
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

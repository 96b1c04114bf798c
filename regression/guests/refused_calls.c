/* SPDX-License-Identifier: MIT */
/* Small calls: mlock2, pkey_mprotect, adjtimex; and what is refused to programs without privileges. */
#include "check.h"
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define KEY_NONE (-1)

static void memory(void)
{
    char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mlock2(at, 4096, 0) == 0 && mlock2(at, 4096, MLOCK_ONFAULT) == 0 && munlock(at, 4096) == 0);
    CHECK_FAILS(mlock2(at, 4096, 2), EINVAL);
    CHECK(munmap(at + 4096, 4096) == 0);
    CHECK_FAILS(mlock2(at, 8192, 0), ENOMEM);
    CHECK(pkey_mprotect(at, 4096, PROT_READ, KEY_NONE) == 0);
    CHECK_FAILS(pkey_mprotect(at, 4096, PROT_READ, 99), EINVAL);
    CHECK_FAILS(pkey_mprotect(at + 1, 4096, PROT_READ, KEY_NONE), EINVAL);
    CHECK_FAILS(pkey_free(77), EINVAL);
    int key = pkey_alloc(0, 0);
    CHECK(key >= 0 || errno == ENOSPC || errno == EINVAL);
}

static void clock_state(void)
{
    struct timex state = {0};
    int result = adjtimex(&state);
    CHECK(result >= TIME_OK && result <= TIME_ERROR);
    CHECK(state.time.tv_sec - time(NULL) <= 1 && time(NULL) - state.time.tv_sec <= 1);
    CHECK(state.tick >= 9000 && state.tick <= 11000 && state.tolerance == 500 << 16);
    CHECK((result == TIME_ERROR) == !!(state.status & (STA_UNSYNC | STA_CLOCKERR)));
    CHECK(clock_adjtime(CLOCK_REALTIME, &state) == result);
    CHECK_FAILS(clock_adjtime(CLOCK_MONOTONIC, &state), EOPNOTSUPP);
    CHECK_FAILS(adjtimex((void *)16), EFAULT);
    if (geteuid() != 0) {
        state.modes = ADJ_FREQUENCY;
        CHECK_FAILS(adjtimex(&state), EPERM);
    }
}

/* Nothing that would do harm where it is not refused. */
static void refused(void)
{
    if (geteuid() == 0)
        return;
    CHECK_FAILS(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
    CHECK_FAILS(umount2("/tmp", 0), EPERM);
    CHECK_FAILS(reboot(RB_DISABLE_CAD), EPERM);
    CHECK_FAILS(syscall(SYS_pivot_root, "/tmp", "/tmp"), EPERM);
    CHECK_FAILS(setdomainname("x", 1), EPERM);
    CHECK(syscall(SYS_iopl, 3) == -1 && (errno == EPERM || errno == ENOSYS)); /* a kernel may be built without */
    CHECK(syscall(SYS_delete_module, "none", 0) == -1 && (errno == EPERM || errno == ENOSYS));
}

int main(void)
{
    memory();
    clock_state();
    refused();
    CHECK_FAILS(syscall(SYS_uselib, "x"), ENOSYS);
    CHECK_FAILS(syscall(SYS_create_module, "x", 1), ENOSYS);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The walls of a helper.  It reads its file, answers on its socket, writes to descriptors that it is given, and has
 * memory: no name, no process, no further socket, no code of its own.  Each wall stands by itself: no descriptors to begin
 * with, no capability, Landlock where the host has it, limits, and a filter that kills.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/confined/confined.h"

#define FIRST_FREE 5

static void must(bool done)
{
    if (!done)
        _exit(1);
}

void confined_keep(const char *name, int *end, int *file)
{
    int kept_end = fcntl(*end, F_DUPFD_CLOEXEC, FIRST_FREE), kept_file = fcntl(*file, F_DUPFD_CLOEXEC, FIRST_FREE);
    must(kept_end >= 0 && kept_file >= 0 && dup2(kept_end, FIRST_FREE - 2) >= 0 && dup2(kept_file, FIRST_FREE - 1) >= 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, name);
    *end = FIRST_FREE - 2;
    *file = FIRST_FREE - 1;
    must(close_range(0, FIRST_FREE - 3, 0) == 0 && close_range(FIRST_FREE, ~0u, 0) == 0);
}

static void drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    must(syscall(SYS_capset, &header, none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    struct landlock_ruleset_attr all = {.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return; /* the host has none */
    must(syscall(SYS_landlock_restrict_self, rules, 0) == 0 || errno == E2BIG);
    close(rules);
}

static void limit(int resource, rlim_t most)
{
    struct rlimit now;
    must(getrlimit(resource, &now) == 0);
    rlim_t value = now.rlim_max < most ? now.rlim_max : most;
    must(setrlimit(resource, &(struct rlimit){value, value}) == 0);
}

static void allow(scmp_filter_ctx filter, int call)
{
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0);
}

/* Of what libraries that read files ask for, some they do without. */
static void allow_reading(scmp_filter_ctx filter)
{
    static const int refused[] = {SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(readlink),
                                  SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(getcwd), SCMP_SYS(sysinfo)};
    allow(filter, SCMP_SYS(fstat));
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFD, 0)) == 0);
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                          SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE, MAP_PRIVATE)) == 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0) == 0);
}

/* No page can be executed that could not be before; what is mapped is memory. */
static void filter_calls(const struct confinement *confinement)
{
    static const int calls[] = {SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(pwrite64), SCMP_SYS(lseek),
                                SCMP_SYS(recvmsg), SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk),
                                SCMP_SYS(madvise), SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), SCMP_SYS(fadvise64), SCMP_SYS(exit_group)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    must(filter != NULL);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        allow(filter, calls[i]);
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0, 0)) == 0); /* to no address */
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                          SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS | MAP_SHARED, MAP_ANONYMOUS)) == 0);
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0);
    if (confinement->maps_files)
        allow_reading(filter);
    must(seccomp_load(filter) == 0);
    seccomp_release(filter);
}

void confined_begin(const struct confinement *confinement)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    prctl(PR_SET_DUMPABLE, 0);
    drop_rights();
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_AS, confinement->memory);
    limit(RLIMIT_NOFILE, FIRST_FREE + confinement->files);
    if (confinement->seconds)
        limit(RLIMIT_CPU, confinement->seconds);
    filter_calls(confinement);
}

/* SPDX-License-Identifier: MIT */
/* Users, groups, capabilities: the rules of Linux, as root and as an ordinary user. */
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void ids_are(uid_t real, uid_t effective, uid_t saved)
{
    uid_t r, e, s;
    CHECK(getresuid(&r, &e, &s) == 0 && r == real && e == effective && s == saved);
    CHECK(getuid() == real && geteuid() == effective);
}

static void as_user(uid_t uid)
{
    CHECK(setuid(uid) == 0 && setreuid(-1, -1) == 0 && setresuid(-1, -1, -1) == 0);
    ids_are(uid, uid, uid);
    CHECK_FAILS(setuid(uid + 1), EPERM);
    CHECK_FAILS(setreuid(uid + 1, -1), EPERM);
    CHECK_FAILS(setresuid(-1, -1, uid + 1), EPERM);
    CHECK_FAILS(setgroups(0, NULL), EPERM);
    CHECK_FAILS(setgid(getgid() + 1), EPERM);
    CHECK((uid_t)setfsuid(uid + 1) == uid && (uid_t)setfsuid((uid_t)-1) == uid);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &header, data) == 0 && data[0].effective == 0 && data[1].permitted == 0);
    data[0].permitted = data[0].effective = 1;
    CHECK_FAILS(syscall(SYS_capset, &header, data), EPERM);
}

static void as_root(void)
{
    gid_t groups[3] = {30, 10, 20}, got[32];
    CHECK(setgroups(3, groups) == 0 && getgroups(0, NULL) == 3 && getgroups(32, got) == 3);
    CHECK(got[0] == 10 && got[1] == 20 && got[2] == 30);
    CHECK_FAILS(getgroups(2, got), EINVAL);
    static gid_t many[65537];
    for (unsigned i = 0; i < 65536; i++)
        many[i] = 65535 - i;
    CHECK(setgroups(65536, many) == 0 && getgroups(65537, many) == 65536 && many[0] == 0 && many[65535] == 65535);
    CHECK_FAILS(setgroups(65537, many), EINVAL);
    CHECK(setgroups(3, groups) == 0);
    CHECK(setresgid(100, 200, 300) == 0 && getgid() == 100 && getegid() == 200);
    CHECK(setresuid(1000, 0, 2000) == 0);
    ids_are(1000, 0, 2000);
    CHECK(setreuid(-1, 3000) == 0); /* not the real one: the saved one follows */
    ids_are(1000, 3000, 3000);
    CHECK_FAILS(setresuid(-1, 0, -1), EPERM);
    CHECK(setuid(1000) == 0);
    ids_are(1000, 1000, 3000);
    CHECK(setuid(3000) == 0);
    ids_are(1000, 3000, 3000);
    CHECK(setreuid(3000, 1000) == 0);
    ids_are(3000, 1000, 1000);
}

static void in_child(void (*function)(void), uid_t uid)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (function)
            function();
        else
            as_user(uid);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    struct __user_cap_header_struct header = {0x12345, 0};
    CHECK_FAILS(syscall(SYS_setuid, -1), EINVAL);
    CHECK_FAILS(syscall(SYS_capget, &header, &header), EINVAL);
    CHECK(header.version == _LINUX_CAPABILITY_VERSION_3);
    CHECK_FAILS(syscall(SYS_getgroups, -1, NULL), EINVAL);
    CHECK(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) >= 0);
    CHECK_FAILS(prctl(PR_CAPBSET_READ, 63, 0, 0, 0), EINVAL);
    in_child(NULL, geteuid() == 0 ? 4711 : getuid());
    if (geteuid() == 0)
        in_child(as_root, 0);
    return 0;
}

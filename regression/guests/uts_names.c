/* SPDX-License-Identifier: MIT */
/* Names of the host and domain: root sets them, of its own namespace or sandbox, and everybody sees them. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void file_is(const char *path, const char *expected)
{
    char text[128] = "";
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) == (ssize_t)strlen(expected) && !strcmp(text, expected));
    close(fd);
}

static void names_are(const char *node, const char *domain)
{
    struct utsname names;
    CHECK(uname(&names) == 0 && !strcmp(names.nodename, node) && !strcmp(names.domainname, domain));
}

static void as_root(void)
{
    char longest[65];
    memset(longest, 'x', sizeof longest);
    CHECK(sethostname("one.example", 11) == 0 && setdomainname("two", 3) == 0);
    names_are("one.example", "two");
    file_is("/proc/sys/kernel/hostname", "one.example\n");
    file_is("/proc/sys/kernel/domainname", "two\n");
    CHECK_FAILS(sethostname(longest, 65), EINVAL);
    CHECK_FAILS(setdomainname(longest, 65), EINVAL);
    CHECK_FAILS(syscall(SYS_sethostname, longest, -1), EINVAL);
    CHECK_FAILS(syscall(SYS_sethostname, 16, 4), EFAULT);
    names_are("one.example", "two");
    CHECK(sethostname("other", 3) == 0);
    pid_t child = fork();
    int status;
    if (child == 0) {
        names_are("oth", "two");
        _exit(setdomainname("", 0) != 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    names_are("oth", "");
    longest[64] = 0;
    CHECK(sethostname(longest, 64) == 0);
    names_are(longest, "");
}

static void as_user(void)
{
    CHECK_FAILS(sethostname("x", 1), EPERM);
    CHECK_FAILS(setdomainname("x", 1), EPERM);
    CHECK_FAILS(syscall(SYS_sethostname, 16, 65), EPERM);
}

int main(void)
{
    struct utsname names;
    CHECK(uname(&names) == 0);
    /* Natively the host keeps its names: without a namespace of its own root changes nothing. */
    if (geteuid() == 0 && (unshare(CLONE_NEWUTS) == 0 || !strcmp(names.release, "6.1.0")))
        as_root();
    if (geteuid() != 0 || setuid(65534) == 0)
        as_user();
    return 0;
}

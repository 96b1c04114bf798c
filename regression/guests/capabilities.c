/* SPDX-License-Identifier: MIT */
/* capget, capset, and prctl's bounding and ambient sets: what is given up is told so, and who is not root has none. */
#include "check.h"
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct sets { uint64_t effective, permitted, inheritable; };

static struct sets get(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &head, data) == 0);
    return (struct sets){data[0].effective | (uint64_t)data[1].effective << 32,
                         data[0].permitted | (uint64_t)data[1].permitted << 32,
                         data[0].inheritable | (uint64_t)data[1].inheritable << 32};
}

static long set(struct sets to)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)to.effective, (uint32_t)to.permitted, (uint32_t)to.inheritable},
        {(uint32_t)(to.effective >> 32), (uint32_t)(to.permitted >> 32), (uint32_t)(to.inheritable >> 32)}};
    return syscall(SYS_capset, &head, data);
}

static uint64_t told(const char *what)
{
    char line[128];
    uint64_t value = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, what, strlen(what)))
            value = strtoul(line + strlen(what) + 1, NULL, 16);
    fclose(file);
    return value;
}

static void nobody(void)
{
    struct sets none = get();
    CHECK(!none.effective && !none.permitted && told("CapEff:") == 0);
    CHECK(set(none) == 0);
    CHECK_FAILS(set((struct sets){1, 1, 0}), EPERM);
    CHECK_FAILS(prctl(PR_CAPBSET_DROP, CAP_CHOWN), EPERM);
    CHECK_FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
}

#define BIT(capability) (1ull << (capability))

static void given_up(void)
{
    const struct sets all = get();
    struct sets now = all;
    CHECK(all.effective & BIT(CAP_CHOWN) && all.permitted & BIT(CAP_KILL));
    now.effective &= ~BIT(CAP_CHOWN);
    CHECK(set(now) == 0 && !(get().effective & BIT(CAP_CHOWN)) && get().permitted & BIT(CAP_CHOWN));
    CHECK(told("CapEff:") == now.effective && told("CapPrm:") == all.permitted);
    CHECK(set(all) == 0 && get().effective == all.effective); /* what is permitted can be had again */
    now = all;
    now.inheritable |= BIT(CAP_KILL);
    CHECK(set(now) == 0 && get().inheritable & BIT(CAP_KILL) && told("CapInh:") == now.inheritable);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 1 && told("CapAmb:") & BIT(CAP_KILL));
    CHECK_FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM); /* not inheritable */
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_KILL, 0, 0) == 0 && told("CapAmb:") == 0);
    now = all;
    now.effective &= ~BIT(CAP_KILL);
    now.permitted &= ~BIT(CAP_KILL);
    CHECK(set(now) == 0 && !(get().permitted & BIT(CAP_KILL)));
    CHECK_FAILS(set(all), EPERM); /* for ever */
    CHECK_FAILS(set((struct sets){all.effective, now.permitted, 0}), EPERM);
}

static void bounded(char **argv)
{
    if (argv[1]) { /* after exec: what is not in the bounding set is not permitted either */
        CHECK(!(get().permitted & BIT(CAP_NET_RAW)) && get().permitted & BIT(CAP_CHOWN) && get().effective == get().permitted);
        _exit(0);
    }
    CHECK(prctl(PR_CAPBSET_READ, CAP_NET_RAW) == 1 && prctl(PR_CAPBSET_DROP, CAP_NET_RAW) == 0);
    CHECK(prctl(PR_CAPBSET_READ, CAP_NET_RAW) == 0 && !(told("CapBnd:") & BIT(CAP_NET_RAW)));
    CHECK(get().permitted & BIT(CAP_NET_RAW)); /* until then it stays */
    execl("/proc/self/exe", argv[0], "again", (char *)NULL);
    CHECK(!"exec");
}

static void changed_user(void)
{
    CHECK(syscall(SYS_setresuid, -1, 1000, 0) == 0 && !get().effective && told("CapEff:") == 0);
    CHECK(syscall(SYS_setresuid, -1, 0, -1) == 0 && get().effective == get().permitted && get().effective);
}

static void in_child(void (*what)(void))
{
    int status;
    pid_t child = fork();
    if (!child) {
        what();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (geteuid()) {
        nobody();
        return 0;
    }
    if (!argv[1]) {
        in_child(given_up);
        in_child(changed_user);
    }
    bounded(argv);
    return 0;
}

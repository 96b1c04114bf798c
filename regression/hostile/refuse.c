/* SPDX-License-Identifier: MIT */
/* refuse CALL[=ERRNO]... -- COMMAND...: runs it on a host that refuses these calls, EPERM if nothing else is said.  No guest: for
 * tests of what pal-run does there. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYS_FSOPEN 430
#define SYS_MOVE_MOUNT 429
#define SYS_OPEN_TREE 428
#define SYS_MOUNT_SETATTR 442

int main(int argc, char **argv)
{
    static const struct { const char *name; int number; } calls[] = {
        {"unshare", SYS_unshare}, {"chroot", SYS_chroot}, {"mount", SYS_mount}, {"fsopen", SYS_FSOPEN},
        {"move_mount", SYS_MOVE_MOUNT}, {"open_tree", SYS_OPEN_TREE}, {"mount_setattr", SYS_MOUNT_SETATTR},
        {"mkdir", SYS_mkdir},
    };
    struct sock_filter program[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short used = 1;
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        char *equals = strchr(argv[at], '=');
        unsigned error = equals ? (unsigned)atoi(equals + 1) : EPERM;
        size_t i = 0, size = equals ? (size_t)(equals - argv[at]) : strlen(argv[at]);
        while (i < sizeof calls / sizeof *calls && (strlen(calls[i].name) != size || memcmp(calls[i].name, argv[at], size) != 0))
            i++;
        if (i == sizeof calls / sizeof *calls || used > 60)
            return 2;
        program[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number, 0, 1);
        program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {used, program};
    if (at + 1 >= argc || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        return 2;
    execvp(argv[at + 1], argv + at + 1);
    perror(argv[at + 1]);
    return 2;
}

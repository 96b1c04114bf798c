/* SPDX-License-Identifier: MIT */
/* A program between exec_prepare and exec_commit: for exec_prepare.c, exec_commit.c and execve.c only. */
#ifndef LIBOS_EXEC_H
#define LIBOS_EXEC_H
#include "libos/process/elf.h"

#define STACK_SIZE_MAX (1ull << 30) /* RLIMIT_STACK beyond this, or none */
#define STACK_SIZE_MIN (256 * 1024ull)
#define AUXILIARY_MAX 24u

struct exec_image {
    struct elf program, interpreter;
    struct file *opened; /* what path names, once it is open, until it is looked into */
    char *given;      /* as execve was told: AT_EXECFN, and comm; alloc'd */
    /* argv and envp: first what scripts put in front (built from its end), then the caller's strings,
     * each with its NUL. */
    char *front;
    uint64_t front_at;
    char *strings;
    uint64_t size, capacity, room; /* room: what Linux's limit still allows, pointers included */
    uint64_t first;                /* of strings: 0, or where argv[1] begins when a script replaces argv[0] */
    uint64_t front_count, arg_count, env_count;
    uint64_t *table; /* argc, argv, envp, auxv: alloc'd for the largest that it can be */
    uint64_t stack_size;
    bool secure;                   /* AT_SECURE: it runs with another's ids */
    uint64_t random[6];
};
#define FRONT_SIZE (PAL_PATH_MAX + 6 * 256u) /* $0, and a line for each script */
#endif

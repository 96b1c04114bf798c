/* SPDX-License-Identifier: MIT */
/* Prototypes of all system calls, from syscalls.def.  Files that define sys_NAME include this. */
#ifndef LIBOS_CALLS_H
#define LIBOS_CALLS_H

#include "libos/libos.h"

typedef int32_t call_FD, call_INT, call_SIG, call_PID;
typedef uint32_t call_UINT, call_FLAGS, call_MODE;
typedef int64_t call_LONG;
typedef uint64_t call_SIZE;
typedef guest_t call_PTR, call_PATH, call_STR, call_IN, call_OUT;

#define NONE(number, name, why)
#define REFUSED(number, name, error, why)
#define CALL0(number, name, note) int64_t sys_##name(void);
#define CALL1(number, name, note, k0, a0) int64_t sys_##name(call_##k0 a0);
#define CALL2(number, name, note, k0, a0, k1, a1) int64_t sys_##name(call_##k0 a0, call_##k1 a1);
#define CALL3(number, name, note, k0, a0, k1, a1, k2, a2) int64_t sys_##name(call_##k0 a0, call_##k1 a1, call_##k2 a2);
#define CALL4(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3) \
    int64_t sys_##name(call_##k0 a0, call_##k1 a1, call_##k2 a2, call_##k3 a3);
#define CALL5(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4) \
    int64_t sys_##name(call_##k0 a0, call_##k1 a1, call_##k2 a2, call_##k3 a3, call_##k4 a4);
#define CALL6(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4, k5, a5) \
    int64_t sys_##name(call_##k0 a0, call_##k1 a1, call_##k2 a2, call_##k3 a3, call_##k4 a4, call_##k5 a5);
#include "libos/syscalls.def"

/* NR_NAME: the calls' numbers. */
enum call_number {
#define CALL0(number, name, ...) NR_##name = number,
#define CALL1 CALL0
#define CALL2 CALL0
#define CALL3 CALL0
#define CALL4 CALL0
#define CALL5 CALL0
#define CALL6 CALL0
#define NONE CALL0
#define REFUSED CALL0
#include "libos/syscalls.def"
};

#endif

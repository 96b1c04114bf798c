/* SPDX-License-Identifier: MIT */
/* The sets of flags in hostcalls.def, for the PAL: its rows expand to nothing here. */
#ifndef PAL_LINUX_HOSTCALLS_H
#define PAL_LINUX_HOSTCALLS_H

#define HOSTCALL(...)
#define HOSTCALL_IF(...)
#define HOSTCALL_IF2(...)
#define HOSTCALL_VIEW(...)
#define HOSTCALL_VIEW_IF(...)
#define HOSTCALL_UDP_IF(...)
#include "pal/linux/hostcalls.def"

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What shim/entry.S knows of the libOS, so that a read or write which the host takes as it is goes from the guest's
 * registers straight to the PAL: offsets from a thread's block to a descriptor's handle.  dispatch.c asserts them.
 */
#ifndef LIBOS_FASTPATH_H
#define LIBOS_FASTPATH_H

#define THREAD_PROCESS 0
#define PROCESS_FILES 16
#define PROCESS_RUNNERS 56
#define PROCESS_VFORK_PARENT 64
#define FILES_CAPACITY 8
#define FILES_SLOTS 16
#define FILE_HANDLE 12
#define FILE_DIRECT 40
#define API_STREAM_READ 160 /* stream_write follows it */
#define GUEST_END 0x7fefc0000000
#define NUMBER_READ 0       /* the calls' numbers: syscalls.def's */
#define NUMBER_WRITE 1
#define NUMBER_PREAD64 17
#define NUMBER_PWRITE64 18

#endif

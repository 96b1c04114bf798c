/* SPDX-License-Identifier: MIT */
/*
 * What the caller's resource limits leave room for, looked at before anything else: too little is told in one line, and not
 * by a signal or by whatever fails first.  No libc function is called here: see picoprocess.c.
 */
#include <stddef.h>
#include <sys/resource.h>

#include "loader/launch/launch.h"
#include "pal/linux/syscall.h"

#define SEGMENT_LEAST (48ull << 20) /* the libOS's tables fill most of that */
#define SEGMENT_STEP (1ull << 20)
#define SPACE_PARTS 4               /* of address space the segment takes one */
#define DATA_LEAST (16ull << 20)

static void refuse(const char *line) __attribute__((noreturn));
static void refuse(const char *line)
{
    size_t size = 0;
    while (line[size])
        size++;
    host_call(write, 2, line, size);
    for (;;)
        host_call(exit_group, EXIT_OWN_FAILURE);
}

static struct rlimit64 limit_of(int resource)
{
    struct rlimit64 value = {RLIM64_INFINITY, RLIM64_INFINITY};
    host_call(prlimit64, 0, resource, NULL, &value);
    return value;
}

uint64_t caller_files;

/* As many descriptors as allowed: for the monitor's tokens, and the picoprocess inherits it. */
static void raise_file_limit(void)
{
    struct rlimit64 files = limit_of(RLIMIT_NOFILE);
    caller_files = files.rlim_cur;
    if (files.rlim_max < FILES_LEAST)
        refuse("pal-run: needs a limit of open files (ulimit -n) of at least " FILES_LEAST_TEXT "\n");
    if (files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    host_call(prlimit64, 0, RLIMIT_NOFILE, &files, NULL);
}

/*
 * The segment is as large as the limits of file size (a file it is) and of address space allow: where they are low, there
 * is less of System V shared memory.
 */
uint64_t caller_limits(void)
{
    uint64_t size = SEGMENT_SIZE, file = limit_of(RLIMIT_FSIZE).rlim_cur,
             space = limit_of(RLIMIT_AS).rlim_cur / SPACE_PARTS;
    raise_file_limit();
    if (file < SEGMENT_LEAST)
        refuse("pal-run: needs a limit of file size (ulimit -f) of at least 49152 KiB\n");
    if (space < SEGMENT_LEAST)
        refuse("pal-run: needs a limit of address space (ulimit -v) of at least 196608 KiB\n");
    if (limit_of(RLIMIT_DATA).rlim_cur < DATA_LEAST)
        refuse("pal-run: needs a limit of data (ulimit -d) of at least 16384 KiB\n");
    if (file < size)
        size = file;
    if (space < size)
        size = space;
    return size & ~(SEGMENT_STEP - 1);
}

/* SPDX-License-Identifier: MIT */
/* Clocks and random bytes. */
#include "pal/windows/windows.h"

#define EPOCH_DIFFERENCE 116444736000000000ull /* from 1601 to 1970, in units of 100 ns */

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size); /* RtlGenRandom of Win32, by the name that it is exported by */

static uint64_t units(FILETIME time)
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

uint64_t clock_now(void)
{
    static LARGE_INTEGER frequency;
    LARGE_INTEGER count;
    if (!frequency.QuadPart)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&count);
    uint64_t per = (uint64_t)frequency.QuadPart, ticks = (uint64_t)count.QuadPart;
    return ticks / per * NS_PER_SECOND + ticks % per * NS_PER_SECOND / per;
}

static uint64_t real_time(void)
{
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    return (units(now) - EPOCH_DIFFERENCE) * 100;
}

static int64_t used(int thread, int user_only, uint64_t *out)
{
    FILETIME begun, ended, kernel, user;
    BOOL ok = thread ? GetThreadTimes(GetCurrentThread(), &begun, &ended, &kernel, &user)
                     : GetProcessTimes(GetCurrentProcess(), &begun, &ended, &kernel, &user);
    if (!ok)
        return last_error();
    *out = (units(user) + (user_only ? 0 : units(kernel))) * 100;
    return 0;
}

int64_t windows_clock_get(uint32_t clock, uint64_t *out_ns)
{
    switch (clock) {
    case PAL_CLOCK_REALTIME:
    case PAL_CLOCK_REALTIME_COARSE:
    case PAL_CLOCK_TAI:
        *out_ns = real_time();
        return 0;
    case PAL_CLOCK_MONOTONIC:
    case PAL_CLOCK_MONOTONIC_RAW:
    case PAL_CLOCK_MONOTONIC_COARSE:
    case PAL_CLOCK_BOOT:
        *out_ns = clock_now();
        return 0;
    case PAL_CLOCK_PROCESS_CPU:
    case PAL_CLOCK_PROCESS_USER:
        return used(0, clock == PAL_CLOCK_PROCESS_USER, out_ns);
    case PAL_CLOCK_THREAD_CPU:
    case PAL_CLOCK_THREAD_USER:
        return used(1, clock == PAL_CLOCK_THREAD_USER, out_ns);
    }
    return -EINVAL;
}

int64_t windows_random(uint64_t buffer, uint64_t size)
{
    uint8_t bytes[256];
    for (uint64_t done = 0; done < size;) {
        uint64_t part = MIN(size - done, sizeof bytes);
        if (!SystemFunction036(bytes, (ULONG)part))
            return -EIO;
        if (windows_copy((void *)(buffer + done), bytes, part))
            return -EFAULT;
        done += part;
    }
    return (int64_t)size;
}

/* SPDX-License-Identifier: MIT */
/* C's memory and string functions, and a small printf: the libOS links nothing. */
#include "libos/lib/lib.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    unsigned char *d = to;
    const unsigned char *s = from;
    while (size--)
        d[size] = s[size];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a, *y = b;
    for (; size; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strnlen(const char *s, size_t most)
{
    size_t n = 0;
    while (n < most && s[n])
        n++;
    return n;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t most)
{
    for (; most; most--, a++, b++) {
        if (*a != *b)
            return (unsigned char)*a - (unsigned char)*b;
        if (!*a)
            break;
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;
    do {
        if (*s == (char)c)
            found = s;
    } while (*s++);
    return (char *)(uintptr_t)found;
}

struct sink {
    char *to;
    size_t size, used;
};

static void put(struct sink *sink, char c)
{
    if (sink->used + 1 < sink->size)
        sink->to[sink->used] = c;
    sink->used++;
}

static void put_padded(struct sink *sink, const char *s, size_t size, int width, bool left, char pad)
{
    for (int i = left ? width : (int)size; i < width; i++)
        put(sink, pad);
    for (size_t i = 0; i < size; i++)
        put(sink, s[i]);
    for (int i = left ? (int)size : width; i < width; i++)
        put(sink, ' ');
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, bool negative, int width, bool left, bool zero)
{
    char digits[32];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative && zero) { /* the sign stands before the zeros */
        put(sink, '-');
        width--;
    } else if (negative) {
        digits[--at] = '-';
    }
    put_padded(sink, digits + at, sizeof digits - at, width, left, zero ? '0' : ' ');
}

int format_list(char *to, size_t size, const char *p, va_list list)
{
    struct sink sink = {to, size, 0};
    for (; *p; p++) {
        if (*p != '%') {
            put(&sink, *p);
            continue;
        }
        bool left = false, zero = false, wide = false;
        int width = 0, precision = -1;
        for (p++; *p == '-' || *p == '0'; p++)
            *p == '-' ? (left = true) : (zero = true);
        for (; *p >= '0' && *p <= '9'; p++)
            width = width * 10 + *p - '0';
        if (*p == '.') {
            p++;
            if (*p == '*') {
                precision = va_arg(list, int);
                p++;
            } else {
                for (precision = 0; *p >= '0' && *p <= '9'; p++)
                    precision = precision * 10 + *p - '0';
            }
        }
        for (; *p == 'l' || *p == 'z'; p++)
            wide = true;
        switch (*p) {
        case 's': {
            const char *s = va_arg(list, const char *);
            s = s ? s : "(null)";
            put_padded(&sink, s, strnlen(s, precision < 0 ? SIZE_MAX : (size_t)precision), width, left, ' ');
            break;
        }
        case 'c': {
            char c = (char)va_arg(list, int);
            put_padded(&sink, &c, 1, width, left, ' ');
            break;
        }
        case 'd': {
            int64_t v = wide ? va_arg(list, int64_t) : va_arg(list, int);
            put_number(&sink, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, width, left, zero);
            break;
        }
        case 'u':
        case 'x':
        case 'o': {
            uint64_t v = wide ? va_arg(list, uint64_t) : va_arg(list, unsigned);
            put_number(&sink, v, *p == 'u' ? 10 : *p == 'x' ? 16 : 8, false, width, left, zero);
            break;
        }
        default:
            put(&sink, *p);
        }
    }
    if (size)
        to[MIN(sink.used, size - 1)] = 0;
    return (int)sink.used;
}

int format(char *to, size_t size, const char *pattern, ...)
{
    va_list list;
    va_start(list, pattern);
    int n = format_list(to, size, pattern, list);
    va_end(list);
    return n;
}

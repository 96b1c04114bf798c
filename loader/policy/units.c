/* SPDX-License-Identifier: MIT */
/* What people write for sizes, times and places, in manifests and on the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/policy/policy.h"

/* The digits at the start; 0: there are none, or too many. */
static unsigned long long read_digits(const char *text, const char **end)
{
    char *behind = (char *)text;
    errno = 0;
    unsigned long long number = *text >= '0' && *text <= '9' ? strtoull(text, &behind, 10) : 0;
    *end = behind;
    return errno ? 0 : number;
}

bool size_read(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    const char *end;
    unsigned long long number = read_digits(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (!number || (*end && !unit) || (*end && end[1]) || number > (unsigned long long)INT64_MAX >> shift)
        return false;
    *out = number << shift;
    return true;
}

uint32_t rewrite_read(const char *text)
{
    static const char *const words[] = {
        [PAL_REWRITE_TRAPPED] = "trapped", [PAL_REWRITE_AHEAD] = "ahead", [PAL_REWRITE_NEVER] = "never"};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i]))
            return i + 1;
    return 0;
}

bool duration_read(const char *text, uint64_t *seconds)
{
    static const struct { char letter; uint64_t seconds; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const char *end;
    unsigned long long number = read_digits(text, &end);
    uint64_t unit = *end ? 0 : 1;
    for (size_t i = 0; *end && !end[1] && i < sizeof units / sizeof *units; i++)
        if (units[i].letter == *end)
            unit = units[i].seconds;
    if (!number || !unit || number > INT32_MAX / unit)
        return false;
    *seconds = number * unit;
    return true;
}

/* The value of the variable that ${NAME} at `text` names; *size: of the whole. */
static const char *variable_at(const char *text, size_t *size)
{
    char name[64];
    const char *end = strchr(text, '}');
    size_t length = end ? (size_t)(end - text) - 2 : 0;
    if (!end || !length || length >= sizeof name)
        return NULL;
    memcpy(name, text + 2, length);
    name[length] = 0;
    *size = length + 3;
    return getenv(name);
}

char *place_expand(const char *text, const char *directory, const char **wrong)
{
    char out[2 * PAL_PATH_MAX];
    size_t used = 0;
    const char *at = text;
    *wrong = NULL;
    if (text[0] == '~' && (!text[1] || text[1] == '/')) {
        const char *home = getenv("HOME");
        if (!home || home[0] != '/') {
            *wrong = "there is no home: HOME is not set";
            return NULL;
        }
        used = (size_t)snprintf(out, sizeof out, "%s", home);
        at++;
    } else if (text[0] != '/' && strncmp(text, "${", 2) != 0) {
        if (!directory) {
            *wrong = "it must be an absolute path";
            return NULL;
        }
        used = (size_t)snprintf(out, sizeof out, "%s/", directory);
    }
    while (*at && used < sizeof out - 1) {
        size_t size = 1;
        const char *value = strncmp(at, "${", 2) ? NULL : variable_at(at, &size);
        if (!value && !strncmp(at, "${", 2)) {
            *wrong = "it names a variable that is not set";
            return NULL;
        }
        if (value)
            used += (size_t)snprintf(out + used, sizeof out - used, "%s", value);
        else
            out[used++] = *at;
        at += size;
    }
    if (used >= sizeof out - 1) {
        *wrong = "it is too long";
        return NULL;
    }
    out[used] = 0;
    return must_copy(out);
}

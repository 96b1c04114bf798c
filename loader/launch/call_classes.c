/* SPDX-License-Identifier: MIT */
/* Classes of host calls (pal/linux/hostcalls.def) by their names. */
#include <string.h>

#include "loader/launch/launch.h"

static const char *const names[] = LINUX_CLASS_NAMES;
_Static_assert(sizeof names / sizeof *names == LINUX_CLASS_COUNT && (1u << LINUX_CLASS_COUNT) - 1 == LINUX_CLASSES, "a name for each");

static uint32_t read_one(const char *name, size_t size)
{
    for (unsigned i = 0; i < LINUX_CLASS_COUNT; i++)
        if (strlen(names[i]) == size && !memcmp(names[i], name, size))
            return 1u << i;
    fail(EXIT_OWN_FAILURE, "pack: %.*s: no class of host calls: %s, or all, or none", (int)size, name, call_classes_text(LINUX_CLASSES));
}

uint32_t call_classes_read(const char *text)
{
    uint32_t classes = 0;
    if (!strcmp(text, "all") || !strcmp(text, "none"))
        return text[0] == 'a' ? LINUX_CLASSES : 0;
    for (;; text++) {
        size_t size = strcspn(text, ",");
        classes |= read_one(text, size);
        text += size;
        if (!*text)
            return classes;
    }
}

char *call_classes_text(uint32_t classes)
{
    char text[128] = "";
    for (unsigned i = 0; i < LINUX_CLASS_COUNT; i++)
        if (classes >> i & 1)
            strcat(strcat(text, *text ? "," : ""), names[i]);
    return must_copy(*text ? text : "none");
}

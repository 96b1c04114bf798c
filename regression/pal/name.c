/* SPDX-License-Identifier: MIT */
/*
 * Names, in the first mount that is private to the sandbox and writable; without one (or without a monitor that knows
 * names) there is nothing to test but the refusals.
 */
#include "regression/pal/suite.h"

static char path[PAL_PATH_MAX], path2[PAL_PATH_MAX];
static struct pal_path_buffer text;

static struct pal_name name_at(char *to, const char *leaf)
{
    const char *at = NULL;
    uint32_t size = 0;
    for (uint32_t i = 0; i < boot->mount_count; i++)
        if (boot->mounts[i].writable && boot->mounts[i].scratch && !at)
            at = boot->mounts[i].at;
    if (!at)
        return (struct pal_name){.size = 0};
    if (at[1])
        for (; at[size]; size++)
            to[size] = at[size];
    to[size++] = '/';
    while (*leaf)
        to[size++] = *leaf++;
    return (struct pal_name){.path = to, .size = size};
}

static int files(void)
{
    struct pal_name file = name_at(path, "pal-test");
    struct pal_attributes a, b;
    pal_handle_t handle, again;
    char bytes[8];
    if (!file.size)
        return SKIP;
    uint32_t flags = PAL_OPEN_READ | PAL_OPEN_WRITE | PAL_OPEN_CREATE;
    CHECK(PAL->stream_open(&file, PAL_OPEN_READ, 0, &handle, NULL, &text) == -ENOENT);
    CHECK(PAL->stream_open(&file, flags | PAL_OPEN_EXCLUSIVE, 0640, &handle, &a, &text) == 0);
    CHECK(a.type == PAL_TYPE_FILE && a.size == 0 && (a.mode & 07777) == 0640);
    CHECK(PAL->stream_open(&file, flags | PAL_OPEN_EXCLUSIVE, 0640, &again, NULL, &text) == -EEXIST);
    CHECK(put(handle, "hello", 5) == 5);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &file, &a, &text) == 0 && a.size == 5);
    CHECK(PAL->attributes_get(handle, NULL, &b, NULL) == 0 && a.inode == b.inode && a.device == b.device);
    CHECK(PAL->stream_open(&file, PAL_OPEN_READ, 0, &again, NULL, &text) == 0);
    CHECK(get(again, bytes, 8) == 5 && !memcmp(bytes, "hello", 5) && put(again, "x", 1) == -EBADF);
    CHECK(PAL->handle_close(again) == 0);
    struct pal_attributes values = {.mode = 0600, .mtime = 1000000000};
    CHECK(PAL->attributes_set(handle, NULL, &values, PAL_SET_MODE | PAL_SET_MTIME, NULL) == 0);
    CHECK(PAL->attributes_get(handle, NULL, &b, NULL) == 0 && (b.mode & 07777) == 0600 && b.mtime == 1000000000);
    CHECK(PAL->name_change(PAL_UNLINK, &file, NULL, 0, &text) == 0);
    values.mode = 0400;
    CHECK(PAL->attributes_set(handle, NULL, &values, PAL_SET_MODE, NULL) == 0);
    CHECK(PAL->attributes_get(handle, NULL, &b, NULL) == 0 && (b.mode & 07777) == 0400);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &file, &a, &text) == -ENOENT);
    CHECK(PAL->handle_close(handle) == 0);
    return 0;
}

static int changes(void)
{
    struct pal_name one = name_at(path, "pal-one"), two = name_at(path2, "pal-two");
    const struct pal_name target = {.path = "pal-one", .size = 7};
    struct pal_attributes a;
    if (!one.size)
        return SKIP;
    CHECK(PAL->name_change(PAL_MKDIR, &one, NULL, 0755, &text) == 0);
    CHECK(PAL->name_change(PAL_MKDIR, &one, NULL, 0755, &text) == -EEXIST);
    CHECK(PAL->name_change(PAL_SYMLINK, &two, &target, 0, &text) == 0);
    two.nofollow = 1;
    CHECK(PAL->name_read(&two, &text) == 7 && !memcmp(text.bytes, "pal-one", 7));
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &two, &a, &text) == 0 && a.type == PAL_TYPE_SYMLINK);
    two.nofollow = 0;
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &two, &a, &text) == 0 && a.type == PAL_TYPE_DIRECTORY);
    CHECK(PAL->name_read(&two, &text) == one.size && !memcmp(text.bytes, one.path, one.size));
    CHECK(PAL->name_change(PAL_UNLINK, &two, NULL, 0, &text) == 0);
    CHECK(PAL->name_change(PAL_RENAME, &one, &two, 0, &text) == 0);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &one, &a, &text) == -ENOENT);
    CHECK(PAL->name_change(PAL_RMDIR, &two, NULL, 0, &text) == 0);
    return 0;
}

static int listing(void)
{
    struct pal_name directory = name_at(path, "");
    pal_handle_t handle;
    static char entries[4096];
    if (!directory.size)
        return SKIP;
    if (directory.size > 1)
        directory.size--; /* without the slash */
    CHECK(PAL->stream_open(&directory, PAL_OPEN_READ | PAL_OPEN_DIRECTORY, 0, &handle, NULL, &text) == 0);
    CHECK(PAL->stream_list(handle, (uint64_t)entries, sizeof entries) >= 48);
    int64_t size;
    while ((size = PAL->stream_list(handle, (uint64_t)entries, sizeof entries)) > 0)
        ;
    CHECK(size == 0);
    CHECK(PAL->stream_list(handle, 0x1000, 4096) <= 0 && PAL->handle_close(handle) == 0);
    return 0;
}

/* An answer lasts until something changes that it depends on, and nothing else. */
static int lasting(void)
{
    struct pal_name file = name_at(path, "pal-kept"), other = name_at(path2, "pal-other");
    struct pal_validity present, missing, forged = {.parts = 0};
    struct pal_attributes a;
    pal_handle_t handle;
    if (!file.size)
        return SKIP;
    CHECK(PAL->stream_open(&file, PAL_OPEN_WRITE | PAL_OPEN_CREATE, 0600, &handle, NULL, &text) == 0);
    file.validity = &present;
    other.validity = &missing;
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &file, &a, &text) == 0);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &other, &a, &text) == -ENOENT);
    if (!present.parts)
        return SKIP; /* this host can't tell, or not of this file system */
    CHECK(missing.parts && PAL->name_revalidate(&present) == 1 && PAL->name_revalidate(&missing) == 1);
    CHECK(PAL->name_revalidate(&forged) == 0);
    CHECK(put(handle, "x", 1) == 1 && PAL->name_revalidate(&present) == 0 && PAL->name_revalidate(&missing) == 1);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &file, &a, &text) == 0 && a.size == 1 && PAL->name_revalidate(&present) == 1);
    CHECK(PAL->name_change(PAL_RENAME, &file, &other, 0, &text) == 0);
    CHECK(PAL->name_revalidate(&present) == 0 && PAL->name_revalidate(&missing) == 0);
    CHECK(PAL->name_change(PAL_UNLINK, &other, NULL, 0, &text) == 0 && PAL->handle_close(handle) == 0);
    return 0;
}

static int refusals(void)
{
    const struct pal_name empty = {.path = "", .size = 0}, longest = {.path = path, .size = PAL_PATH_MAX};
    struct pal_attributes a;
    pal_handle_t handle;
    CHECK(PAL->stream_open(&empty, PAL_OPEN_READ, 0, &handle, NULL, &text) == -ENOENT);
    CHECK(PAL->stream_open(&longest, PAL_OPEN_READ, 0, &handle, NULL, &text) == -ENAMETOOLONG);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, &longest, &a, NULL) == -ENAMETOOLONG);
    CHECK(PAL->attributes_get(PAL_NO_HANDLE, NULL, &a, NULL) == -EINVAL);
    CHECK(PAL->name_change(100, &empty, NULL, 0, NULL) == -EINVAL);
    CHECK(PAL->name_change(PAL_RENAME, &empty, NULL, 0, NULL) == -EINVAL);
    return 0;
}

const struct test name_tests[] = {
    {"files by name", files},
    {"changes of names", changes},
    {"directories are listed", listing},
    {"answers that last", lasting},
    {"names that can't be", refusals},
    {NULL, NULL},
};

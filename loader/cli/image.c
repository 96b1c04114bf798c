/* SPDX-License-Identifier: MIT */
/* pal-run image: what is in a disk image, without running or mounting anything. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/images/images.h"

#define LINKS_MAX 40
#define DEPTH_MAX 256

static struct image image;
static const char *shown; /* the image, as it was named */

static void give_up(const char *path, int error) __attribute__((noreturn));
static void give_up(const char *path, int error)
{
    fail(EXIT_OWN_FAILURE, "%s%s%s: %s", shown, *path ? ": " : "", path, image_error(error));
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* IMAGE or IMAGE:PART. */
static uint32_t start(char *name)
{
    char *colon = strrchr(name, ':'), *end;
    unsigned long part = 0;
    shown = name;
    int file = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT && colon && colon[1] >= '1' && colon[1] <= '9' &&
        (part = strtoul(colon + 1, &end, 10)) <= UINT32_MAX && !*end) {
        *colon = 0;
        file = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    int error = file < 0 ? -errno : image_start(&image, file);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: %s", name, error == -EINVAL ? "not a plain file" : strerror(-error));
    close(file);
    return (uint32_t)part;
}

static void open_system(char *name)
{
    uint32_t part = start(name);
    int error = image_open(&image, IMAGE_FIND, part);
    if (error == -EMEDIUMTYPE && !part)
        fail(EXIT_OWN_FAILURE, "%s: no ext4 or squashfs file system found; if the image has partitions, give one: %s:1", name, name);
    if (error)
        give_up("", error);
}

/* ---- Names in it ------------------------------------------------------------------------------------------------- */

struct place {
    struct image_entry entry;
    char target[IMAGE_TARGET_MAX + 1];
};
struct search {
    const char *name;
    size_t size;
    struct place *out;
    bool found;
};

static int compare(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    struct search *search = argument;
    if (search->found || entry->name_size != search->size || memcmp(name, search->name, search->size) != 0)
        return 0;
    search->out->entry = *entry;
    strcpy(search->out->target, target);
    search->found = true;
    return 0;
}

static int root(struct place *out)
{
    out->target[0] = 0;
    return image_look(&image, IMAGE_ROOT, &out->entry);
}

/* The object of a path; of its last name, not what it leads to. */
static int find(const char *path, struct place *out)
{
    static struct place way[DEPTH_MAX]; /* from the root */
    char rest[2 * IMAGE_TARGET_MAX + 2], joined[2 * IMAGE_TARGET_MAX + 2];
    size_t depth = 0;
    int links = 0, error = root(&way[0]);
    if ((size_t)snprintf(rest, sizeof rest, "%s", path) >= sizeof rest)
        return -ENAMETOOLONG;
    for (char *at = rest; !error;) {
        at += strspn(at, "/");
        size_t size = strcspn(at, "/");
        if (!size)
            break;
        if (!S_ISDIR(way[depth].entry.mode))
            return -ENOTDIR;
        if (size == 2 && at[0] == '.' && at[1] == '.') {
            depth -= depth > 0;
        } else if (size != 1 || at[0] != '.') {
            if (depth + 1 == DEPTH_MAX)
                return -ENAMETOOLONG;
            struct search search = {at, size, &way[depth + 1], false};
            error = image_list(&image, way[depth].entry.node, compare, &search);
            if (error || !search.found)
                return error ? error : -ENOENT;
            const struct place *next = &way[depth + 1];
            if (S_ISLNK(next->entry.mode) && at[size]) {
                if (++links > LINKS_MAX ||
                    (size_t)snprintf(joined, sizeof joined, "%s%s", next->target, at + size) >= sizeof joined)
                    return -ELOOP;
                depth = next->target[0] == '/' ? 0 : depth;
                at = strcpy(rest, joined);
                continue;
            }
            depth++;
        }
        at += size;
    }
    *out = way[depth];
    return error;
}

/* ---- ls ---------------------------------------------------------------------------------------------------------- */

/* Names are a stranger's: nothing of them reaches a terminal as it is. */
static void print_name(const char *name)
{
    for (; *name; name++)
        if (*name >= ' ' && *name <= '~')
            putchar(*name);
        else
            printf("\\x%02x", (unsigned char)*name);
}

static int print_entry(void *unused, const struct image_entry *entry, const char *name, const char *target)
{
    static const char types[] = "?pc?d?b?-?l?s???";
    char mode[11] = "?rwxrwxrwx", date[32];
    time_t time = (time_t)(entry->mtime / 1000000000);
    struct tm parts;
    (void)unused;
    mode[0] = types[entry->mode >> 12 & 15];
    for (int i = 0; i < 9; i++)
        if (!(entry->mode >> (8 - i) & 1))
            mode[1 + i] = '-';
    if (!gmtime_r(&time, &parts) || !strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts))
        strcpy(date, "?");
    printf("%s %u %u/%u %llu %s ", mode, entry->links, entry->uid, entry->gid, (unsigned long long)entry->size, date);
    print_name(name);
    if (entry->target_size)
        printf(" -> ");
    print_name(target);
    putchar('\n');
    return 0;
}

static int run_ls(const char *path)
{
    struct place place;
    int error = find(path, &place);
    if (!error && S_ISDIR(place.entry.mode))
        error = image_list(&image, place.entry.node, print_entry, NULL);
    else if (!error)
        print_entry(NULL, &place.entry, path, place.target);
    if (error)
        give_up(path, error);
    return 0;
}

/* ---- cat, cp ----------------------------------------------------------------------------------------------------- */

/* Symlinks are followed: "x/." would be the directory that x leads to, so it is asked with its own contents. */
static int find_file(const char *path, struct place *out)
{
    char text[2 * IMAGE_TARGET_MAX + 2], next[2 * IMAGE_TARGET_MAX + 2];
    if ((size_t)snprintf(text, sizeof text, "%s", path) >= sizeof text)
        return -ENAMETOOLONG;
    for (int links = 0; links < LINKS_MAX; links++) {
        int error = find(text, out);
        if (error || !S_ISLNK(out->entry.mode))
            return error;
        const char *slash = strrchr(text, '/');
        int size = out->target[0] == '/' || !slash ? 0 : (int)(slash - text) + 1;
        if ((size_t)snprintf(next, sizeof next, "%.*s%s", size, text, out->target) >= sizeof next)
            return -ENAMETOOLONG;
        strcpy(text, next);
    }
    return -ELOOP;
}

static int run_cat(const char *path)
{
    struct place place;
    int error = find_file(path, &place);
    if (!error && !S_ISREG(place.entry.mode))
        error = S_ISDIR(place.entry.mode) ? -EISDIR : -EINVAL;
    if (!error)
        error = image_pour(&image, place.entry.node, place.entry.size, STDOUT_FILENO, false);
    if (error)
        give_up(path, error);
    return 0;
}

static int run_cp(const char *path, const char *to)
{
    struct place place;
    int error = find(path, &place);
    if (error)
        give_up(path, error);
    error = image_copy(&image, &place.entry, place.target, AT_FDCWD, to);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: %s to %s: %s", shown, path, to, error == -EEXIST ? "it exists already" : image_error(error));
    return 0;
}

/* ---- info -------------------------------------------------------------------------------------------------------- */

static int print_partition(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    bool *any = argument;
    (void)target;
    printf("%s%llu: offset %llu, size %llu, ", *any ? "" : "partitions:\n", (unsigned long long)entry->inode,
           (unsigned long long)entry->node, (unsigned long long)entry->size);
    print_name(name);
    putchar('\n');
    *any = true;
    return 0;
}

static int run_info(char *name)
{
    char text[4096];
    bool any = false;
    uint32_t part = start(name);
    int error = image_open(&image, IMAGE_FIND, part);
    if (error == -EMEDIUMTYPE && !part && !image_partitions(&image, print_partition, &any) && any)
        return 0;
    if (!error)
        error = image_info(&image, text, sizeof text);
    if (error)
        give_up("", error);
    for (char *line, *rest = text; (line = strsep(&rest, "\n")) && *line; putchar('\n'))
        print_name(line);
    return 0;
}

int image_main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int status = -1;
    if (!strcmp(what, "info") && argc == 3)
        return run_info(argv[2]);
    if ((!strcmp(what, "ls") && (argc == 3 || argc == 4)) || (!strcmp(what, "cat") && argc == 4) || (!strcmp(what, "cp") && argc == 5)) {
        open_system(argv[2]);
        status = what[0] == 'l' ? run_ls(argc == 4 ? argv[3] : "/") : what[1] == 'a' ? run_cat(argv[3]) : run_cp(argv[3], argv[4]);
    }
    if (status < 0)
        fail(EXIT_OWN_FAILURE, "usage: pal-run image info|ls|cat|cp IMAGE[:PART] [PATH [TO]]");
    return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the last run of a program asked at its start, so that the next is told without asking: a file of names for each
 * program in $XDG_CACHE_HOME/pal-run (or ~/.cache/pal-run).
 *
 * A profile says only which names to look up early.  Each is looked up by the policy of the run that is starting, with
 * the function that would have answered the guest: so whoever writes a profile, a guest by what it asks or another
 * program, gains nothing by it.  Names that policy refused, or that the guest may change, are not kept.
 *
 * Format: a line "pal-run profile 1", then a line a name: "o PATH" opened for reading, "s PATH" attributes asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "pal/hash.h"

#define HEADER "pal-run profile 1\n"
#define START_NS 2000000000ull /* a program has started after that */
#define TEXT_MOST (64 * 1024u)
#define NEWS_LEAST 3u /* fewer new names are not worth writing */

static char file_name[PAL_PATH_MAX];
static char text[TEXT_MOST + 1]; /* the profile that was read; then also what is new */
static size_t text_size, names, news;
static uint64_t begun;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static bool name_file(const char *program)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int size;
    if (cache && cache[0] == '/')
        size = snprintf(file_name, sizeof file_name, "%s/pal-run/%016llx", cache,
                        (unsigned long long)hash_bytes(program, strlen(program)));
    else if (home && home[0] == '/')
        size = snprintf(file_name, sizeof file_name, "%s/.cache/pal-run/%016llx", home,
                        (unsigned long long)hash_bytes(program, strlen(program)));
    else
        return false;
    return size < (int)sizeof file_name;
}

static void read_file(void)
{
    struct stat status;
    int fd = open(file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    ssize_t size = 0;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid())
        size = read(fd, text, TEXT_MOST);
    close(fd);
    size_t header = strlen(HEADER);
    if (size > (ssize_t)header && !memcmp(text, HEADER, header) && text[size - 1] == '\n')
        text_size = (size_t)size;
}

void profile_use(const char *program, struct ahead *ahead, struct tree *tree)
{
    if (!name_file(program))
        return;
    read_file();
    begun = now();
    struct denials were = tree->denials; /* nobody has asked yet */
    for (char *line = text + strlen(HEADER), *end; text_size && line < text + text_size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + text_size - line));
        if (line[0] && line[1] == ' ' && line[2] == '/' && end - line < PAL_PATH_MAX && ahead->count < AHEAD_MAX) {
            char *path = must_print("%.*s", (int)(end - line - 2), line + 2);
            ahead_ask(ahead, tree, path, line[0] == 'o');
            names++;
        }
    }
    tree->denials.count = were.count;
    tree->denials.kept = were.kept;
}

/* Is the answer the same for the next run, as far as this one can tell? */
static bool lasts(const struct tree *tree, const struct request *request, int result)
{
    const struct mount *mount = tree_mount_of(tree, request->path, request->path_size);
    return (result == 0 || result == -ENOENT) && mount && !mount->writable && mount->kind != MOUNT_SCRATCH &&
           !memchr(request->path, '\n', request->path_size);
}

void profile_note(const struct tree *tree, const struct request *request, int result)
{
    const uint32_t plain = PAL_OPEN_READ | PAL_OPEN_DIRECTORY | PAL_OPEN_EXECUTE;
    if (!begun || names + news >= AHEAD_MAX - AHEAD_FIRST || text_size + request->path_size + 4 > TEXT_MOST)
        return;
    uint32_t aside = request->flags & PAL_OPEN_DIRECTORY ? PAL_OPEN_NONBLOCK : 0; /* opendir's, without a meaning */
    bool opens = request->op == MONITOR_OPEN && !(request->flags & ~(plain | aside));
    if ((!opens && (request->op != MONITOR_STAT || request->flags)) || !lasts(tree, request, result))
        return;
    if (now() - begun > START_NS) {
        begun = 0;
        return;
    }
    if (!text_size) {
        text_size = strlen(HEADER);
        memcpy(text, HEADER, text_size);
    }
    text[text_size++] = opens ? 'o' : 's';
    text[text_size++] = ' ';
    memcpy(text + text_size, request->path, request->path_size);
    text_size += request->path_size;
    text[text_size++] = '\n';
    news++;
}

static void make_folders(void)
{
    for (int up = 2; up >= 1; up--) { /* .cache, .cache/pal-run */
        char folder[PAL_PATH_MAX];
        strcpy(folder, file_name);
        for (int i = 0; i < up; i++)
            *strrchr(folder, '/') = 0;
        if (folder[0])
            mkdir(folder, 0700);
    }
}

/* Whole or not at all, whatever else is starting. */
void profile_keep(void)
{
    char fresh[PAL_PATH_MAX + 16];
    if (news < NEWS_LEAST && !(news && !names))
        return;
    snprintf(fresh, sizeof fresh, "%s.%d", file_name, getpid());
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(fresh, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        make_folders();
        fd = open(fresh, flags, 0600);
    }
    if (fd < 0)
        return;
    bool whole = write(fd, text, text_size) == (ssize_t)text_size;
    close(fd);
    if (!whole || rename(fresh, file_name) < 0)
        unlink(fresh);
}

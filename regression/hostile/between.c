/* SPDX-License-Identifier: MIT */
/*
 * For between.sh, as a guest:
 *   hold PATH TEXT      writes TEXT to PATH, says so, and waits for its standard input's end
 *   search DIR TEXT     1: a file beneath DIR, however deep, holds TEXT; also by names that are only tried
 *   look PATH TEXT      1: the file holds it
 *   ask PREFIX COUNT    looks up names that are not there, and then itself again
 *   told TEXT           1: TEXT lies in the memory that pal-run filled in
 *   instances FILE      makes as many inotify instances as it can, writes their number to standard output, and waits;
 *                       first makes and closes many: 1: those that were closed still count
 *   again PATH COUNT    looks at it so often
 *   move DIR            tries to rename, to link, to remove and to open what is in DIR; 1: something could be changed
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pal/linux/monitor.h"

static int has(const char *path, const char *text)
{
    static char bytes[1 << 16];
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        close(fd);
    int found = size > 0 && memmem(bytes, (size_t)size, text, strlen(text)) != NULL;
    if (found)
        printf("%s\n", path);
    return found;
}

static int search(const char *directory, const char *text, int depth)
{
    char path[4096];
    int found = 0;
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        struct stat status;
        int link = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
        found |= has(path, text);
        if (!link && depth < 6)
            found |= search(path, text, depth + 1);
    }
    if (stream)
        closedir(stream);
    for (int i = 0; i < 4; i++) { /* what can't be listed can perhaps be named */
        static const char *const names[] = {"0/file", "1/file", "2/file", "file"};
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        found |= has(path, text);
    }
    return found;
}

static int hold(const char *path, const char *text)
{
    char byte;
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return perror(path), 1;
    puts("ready");
    fflush(stdout);
    return read(0, &byte, 1) < 0;
}

static int move(const char *directory)
{
    char from[4096], to[4096];
    int changed = 0;
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (strncmp(entry->d_name, ".pal-run.", 9) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", directory, entry->d_name);
        snprintf(to, sizeof to, "%s/taken", directory);
        if (rename(from, to) == 0 || chmod(from, 0777) == 0 || link(from, to) == 0 || rmdir(from) == 0)
            printf("%s was changed\n", from), changed = 1;
        strcat(from, "/planted");
        int fd = open(from, O_WRONLY | O_CREAT, 0644);
        if (fd >= 0)
            printf("%s was made\n", from), changed = 1;
    }
    return changed;
}

static int instances(void)
{
    char byte;
    int count = 0;
    for (int i = 0; i < 300; i++) {
        int fd = inotify_init();
        if (fd < 0)
            return printf("%d were made and closed\n", i), 1;
        close(fd);
    }
    while (count < 1000 && inotify_init() >= 0)
        count++;
    printf("%d\n", count);
    fflush(stdout);
    return read(0, &byte, 1) < 0;
}

/* Most of it was never written: only what lies in pages that exist can be told. */
static int told(const char *pattern)
{
    char text[256]; /* which the command line holds with a + in it, so that it is not found there */
    size_t size = 0;
    for (; *pattern && size < sizeof text - 1; pattern++)
        if (*pattern != '+')
            text[size++] = *pattern;
    text[size] = 0;
    const char *at = (const char *)PAL_SHARED_BASE;
    return memmem(at, 1 << 20, text, strlen(text)) != NULL;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "hold") && argc > 3)
        return hold(argv[2], argv[3]);
    if (!strcmp(what, "look") && argc > 3)
        return has(argv[2], argv[3]);
    if (!strcmp(what, "search") && argc > 3)
        return search(argv[2], argv[3], 0);
    if (!strcmp(what, "move") && argc > 2)
        return move(argv[2]);
    if (!strcmp(what, "told") && argc > 2)
        return told(argv[2]);
    if (!strcmp(what, "instances"))
        return instances();
    struct stat found;
    for (int i = 0; argc > 3 && !strcmp(what, "again") && i < atoi(argv[3]); i++)
        if (stat(argv[2], &found) < 0)
            return 1;
    if (!strcmp(what, "again"))
        return 0;
    if (strcmp(what, "ask") != 0 || argc < 4)
        return 2;
    for (int i = 0; i < atoi(argv[3]); i++) {
        char path[4096];
        struct stat status;
        snprintf(path, sizeof path, "%s%d", argv[2], i);
        stat(path, &status);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * For grants.sh.  As a guest:
 *   swap NAME TARGET PROBE...   puts a symlink in NAME's place; 1: one of the probes shows the secret
 *   look PROBE...               1: one of them shows it
 *   hammer COUNT PROBE...       the same, again and again
 *   change NAME                 looks at NAME, then sets mode, size and times of descriptor 0, as it can
 *   write PATH                  0: it could
 * On the host:
 *   flip DIRECTORY AWAY         swaps DIRECTORY/x, a directory, with symlinks to AWAY and itself with a place outside
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#define SECRET "the secret is 4711"

static int shows(const char *path)
{
    char buffer[4096];
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
    if (fd >= 0)
        close(fd);
    if (size <= 0 || !memmem(buffer, (size_t)size, SECRET, strlen(SECRET)))
        return 0;
    printf("%s shows the secret\n", path);
    return 1;
}

static int look(char **probes)
{
    int found = 0;
    for (; *probes; probes++)
        found |= shows(*probes);
    return found;
}

static int swap(const char *name, const char *target, char **probes)
{
    char old[4096];
    snprintf(old, sizeof old, "%s.old", name);
    if (rename(name, old) < 0 && errno != EBUSY)
        perror(name);
    if (symlink(target, name) < 0 && errno != EEXIST)
        perror(name);
    return look(probes);
}

static void change(void)
{
    if (fchmod(0, 0777) == 0)
        puts("its mode was set");
    if (ftruncate(0, 3) == 0)
        puts("its size was set");
    const struct timespec times[2] = {{1, 1}, {1, 1}};
    if (futimens(0, times) == 0)
        puts("its times were set");
}

static int flip(const char *directory, const char *away)
{
    char x[4096], y[4096], links[4096], outside[4096];
    snprintf(x, sizeof x, "%s/x", directory);
    snprintf(y, sizeof y, "%s/y", directory);
    snprintf(links, sizeof links, "%s/links", directory);
    snprintf(outside, sizeof outside, "%s.moved", directory);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mkdir(x, 0755);
    if (symlink(away, y) < 0 || symlink("../../../../../../../..", links) < 0)
        return 1;
    for (;;) {
        renameat2(AT_FDCWD, x, AT_FDCWD, y, RENAME_EXCHANGE);
        renameat2(AT_FDCWD, x, AT_FDCWD, links, RENAME_EXCHANGE);
        rename(directory, outside);
        rename(outside, directory);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "swap") && argc > 4)
        return swap(argv[2], argv[3], argv + 4);
    if (!strcmp(what, "look") && argc > 2)
        return look(argv + 2);
    if (!strcmp(what, "change") && argc > 2)
        return access(argv[2], F_OK), change(), 0;
    if (!strcmp(what, "write") && argc > 2)
        return open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644) < 0;
    if (!strcmp(what, "flip") && argc > 3)
        return flip(argv[2], argv[3]);
    if (strcmp(what, "hammer") != 0 || argc < 4)
        return 2;
    int found = 0;
    for (int i = 0; i < atoi(argv[2]) && !found; i++)
        found = look(argv + 3);
    return found;
}

/* SPDX-License-Identifier: MIT */
/*
 * crowd make DIRECTORY              directories of old files
 * crowd run DIRECTORY COUNT         one process changes them, COUNT times, while threads of two others read
 *
 * The changes never take an old file's name away, nor move its directory for long: so each listing has each of
 * them once, from the beginning and from a second beginning, and each can be looked at and read by its directory's
 * descriptor, whatever happens meanwhile.  Exit status 0: it was so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIRECTORIES = 12, FILES = 100, NAME = 64, READERS = 2, THREADS = 2, FIRST_IN_EACH = 20 };

static int *over;
static int bad;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void complain(const char *what, int directory, const char *name)
{
    printf("d%d: %s %s: %s\n", directory, what, name, strerrorname_np(errno));
    bad = 1;
}

static void make_all(void)
{
    char name[NAME];
    for (int d = 0; d < DIRECTORIES; d++) {
        snprintf(name, sizeof name, "d%d", d);
        if (mkdir(name, 0755) < 0)
            die(name);
        for (int f = 0; f < FILES; f++) {
            snprintf(name, sizeof name, "d%d/old%d", d, f);
            int fd = open(name, O_CREAT | O_WRONLY, 0644);
            if (fd < 0 || write(fd, "abc", 3) != 3)
                die(name);
            close(fd);
        }
    }
}

static void read_listing(DIR *directory, int number)
{
    char count[FILES] = {0}, name[NAME];
    const struct dirent *entry;
    while ((entry = readdir(directory)))
        if (!strncmp(entry->d_name, "old", 3))
            count[atoi(entry->d_name + 3)]++;
    for (int f = 0; f < FILES; f++)
        if (count[f] != 1) {
            snprintf(name, sizeof name, "old%d, %d times", f, count[f]);
            complain("listed", number, name);
        }
}

static void read_file(int directory, int number, int file)
{
    char name[NAME], bytes[4];
    struct stat status;
    snprintf(name, sizeof name, "old%d", file);
    if (fstatat(directory, name, &status, 0) < 0 || status.st_size != 3)
        complain("attributes of", number, name);
    int fd = openat(directory, name, O_RDONLY);
    if (fd < 0 || read(fd, bytes, sizeof bytes) != 3)
        complain("read", number, name);
    close(fd);
}

static void *read_on(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    char name[NAME];
    while (!__atomic_load_n(over, __ATOMIC_RELAXED) && !bad) {
        int number = rand_r(&seed) % DIRECTORIES;
        snprintf(name, sizeof name, "d%d", number);
        DIR *directory = opendir(name);
        if (!directory) {
            if (errno != ENOENT) /* it is elsewhere, for a moment */
                complain("opened", number, "");
            continue;
        }
        for (int times = 0; times < 2; times++) {
            read_listing(directory, number);
            read_file(dirfd(directory), number, rand_r(&seed) % FILES);
            rewinddir(directory);
        }
        closedir(directory);
    }
    return NULL;
}

static void change(int number, unsigned *seed)
{
    char name[NAME], other[NAME];
    int kind = rand_r(seed) % 6, which = rand_r(seed) % 50;
    snprintf(name, sizeof name, kind < 4 ? "d%d/new%d" : kind == 4 ? "d%d/old%d" : "d%d/sub%d", number, kind == 5 ? which % 4 : which);
    if (kind == 3)
        unlink(name);
    else if (kind == 5 && mkdir(name, 0755) < 0)
        rmdir(name);
    int fd = kind == 3 || kind == 5 ? -1 : open(name, O_WRONLY | (kind < 3 ? O_CREAT : 0), 0644);
    if (fd >= 0 && kind == 4 && pwrite(fd, "abd", 3, 0) != 3)
        die(name);
    close(fd);
    snprintf(other, sizeof other, "d%d", number);
    if (rand_r(seed) % 100 == 0 && (rename(other, "away") < 0 || rename("away", other) < 0))
        die(other);
}

static int run(int count)
{
    int status, all = 0;
    unsigned seed = 1;
    for (int reader = 0; reader < READERS; reader++)
        if (fork() == 0) {
            pthread_t threads[THREADS];
            for (int i = 0; i < THREADS; i++)
                pthread_create(&threads[i], NULL, read_on, (void *)(uintptr_t)(reader * THREADS + i + 1));
            for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
            exit(bad);
        }
    for (int i = 0; i < count; i++) /* first one after the other: each is unchanged while those before it are not */
        change(i < DIRECTORIES * FIRST_IN_EACH ? i / FIRST_IN_EACH : rand_r(&seed) % DIRECTORIES, &seed);
    __atomic_store_n(over, 1, __ATOMIC_RELAXED);
    while (wait(&status) > 0)
        all |= status;
    return all != 0;
}

int main(int argc, char **argv)
{
    if (argc < 3 || chdir(argv[2]) < 0)
        die("usage: crowd make|run DIRECTORY [COUNT]");
    over = mmap(NULL, sizeof *over, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (over == MAP_FAILED)
        die("mmap");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[1], "make"))
        make_all();
    else
        return run(argc > 3 ? atoi(argv[3]) : 1000);
    return 0;
}

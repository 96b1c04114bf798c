/* SPDX-License-Identifier: MIT */
/*
 * A snapshot's image, changed in many ways and run each time, for images.sh.
 *
 *   images mutate GOOD SEED                         the changed image, on standard output
 *   images run PAL_RUN GOOD STORE FIRST END STEP    seeds FIRST, FIRST + STEP, ...: each is written over STORE/pal-run/snapshots/
 *                                                   warm.image and run; then what was changed is put back
 *
 * A round costs no copy of the image and one start of pal-run.  `run` prints a line for each seed that hangs or prints what the
 * policy denies, then `RAN FAILED LATE`.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KINDS = 6, CHANGES_MAX = 256, HEADER = 4096, HANGS_MS = 20000, LATE = 124 };
#define ARENA_LOW 0x7ff000000000ull
#define ARENA_HIGH 0x7ff040000000ull
#define ARENA_FIELD 40 /* of the header */

struct image {
    uint8_t *good;
    size_t size, arena; /* arena: its offset */
    size_t *spots, spot_count; /* words that point into the arena */
    int fd;                    /* the changed one, or standard output's copy */
};

static uint64_t state;
static uint64_t draw(uint64_t below) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return below ? z % below : z;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(2);
}

static void load(struct image *image, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    must(fd >= 0 && fstat(fd, &status) == 0, path);
    image->size = (size_t)status.st_size;
    image->good = mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, fd, 0);
    must(image->good != MAP_FAILED, path);
    memcpy(&image->arena, image->good + ARENA_FIELD, sizeof image->arena);
    must(image->arena < image->size, "the arena's place");
    image->spots = malloc(image->size - image->arena + 8);
    for (size_t at = image->arena; at + 8 <= image->size; at += 8) {
        uint64_t word;
        memcpy(&word, image->good + at, sizeof word);
        if (word >= ARENA_LOW && word < ARENA_HIGH)
            image->spots[image->spot_count++] = at;
    }
    must(image->spot_count, "pointers in the arena");
}

/* ---- Changes: noted, to be put back ------------------------------------------------------------------------------ */

static struct change {
    size_t at, size;
} changes[CHANGES_MAX];
static size_t change_count;
static bool is_cut;

static void put(const struct image *image, size_t at, uint64_t value, size_t size)
{
    if (at + size > image->size || change_count == CHANGES_MAX)
        return;
    must(pwrite(image->fd, &value, size, (off_t)at) == (ssize_t)size, "the changed image");
    changes[change_count++] = (struct change){at, size};
}

/* Words that a length, a count, a pointer may not be. */
static uint64_t odd_word(void)
{
    static const uint64_t words[] = {0, 1, 7, 1ull << 31, 1ull << 63, UINT64_MAX, ARENA_LOW, 0x10000};
    uint64_t which = draw(sizeof words / sizeof *words + 3);
    switch (which) {
    case 0: return draw(1ull << 20);
    case 1: return draw(1ull << 47);
    case 2: return draw(0);
    default: return words[which - 3];
    }
}

static void mutate(struct image *image, uint64_t seed)
{
    const size_t arena = image->size - image->arena;
    state = seed;
    change_count = 0;
    is_cut = false;
    switch (seed % KINDS) {
    case 0: /* anything */
        for (uint64_t left = 1 + draw(200); left; left--) {
            size_t at = draw(image->size);
            put(image, at, image->good[at] ^ 1u << draw(8), 1);
        }
        break;
    case 1: /* the header */
        put(image, 8 + draw(48), draw(256), 1);
        break;
    case 2: /* the libOS's state, words of it */
        for (uint64_t left = 1 + draw(20); left; left--)
            put(image, image->arena + draw(arena / 8) * 8, odd_word(), 8);
        break;
    case 3: /* its first pages: variables */
        for (uint64_t left = 1 + draw(60); left; left--)
            put(image, image->arena + draw(64 << 10), draw(256), 1);
        break;
    case 4: /* cut off */
        is_cut = true;
        must(ftruncate(image->fd, (off_t)(HEADER + draw(image->size - HEADER))) == 0, "cut off");
        break;
    default: /* what its pages and objects are: where pointers into the arena lie close together */
        for (uint64_t left = 1 + draw(30); left; left--)
            put(image, image->spots[draw(image->spot_count)] + draw(9) * 8 - 32, odd_word(), 8);
    }
}

static void restore(const struct image *image)
{
    for (size_t i = 0; i < change_count; i++) {
        const struct change *change = &changes[i];
        must(pwrite(image->fd, image->good + change->at, change->size, (off_t)change->at) == (ssize_t)change->size, "put back");
    }
    for (off_t at = is_cut ? lseek(image->fd, 0, SEEK_END) : (off_t)image->size; at < (off_t)image->size;) {
        ssize_t written = pwrite(image->fd, image->good + at, image->size - (size_t)at, at);
        must(written > 0, "put back");
        at += written;
    }
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* The exit status; -1: it hung, and was killed. */
static int run_once(char *pal, int out)
{
    char *words[] = {pal, "snapshot", "run", "--timeout", "1", "warm", NULL};
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    must((errno = posix_spawn(&child, pal, &actions, NULL, words, environ)) == 0, pal);
    posix_spawn_file_actions_destroy(&actions);
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    bool ended = poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, HANGS_MS) == 1;
    if (!ended)
        kill(child, SIGKILL);
    close(pidfd);
    must(waitpid(child, &status, 0) == child, "wait");
    return !ended ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* /etc/shadow has colons; nothing else that a clone prints has. */
static bool tells_secret(int out)
{
    static char text[1 << 16];
    ssize_t size = pread(out, text, sizeof text, 0);
    must(size >= 0 && ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0, "what it printed");
    return memchr(text, ':', (size_t)size) != NULL;
}

static int run_all(char *pal, struct image *image, const char *store, uint64_t first, uint64_t end, uint64_t step)
{
    char path[4096];
    uint64_t ran = 0, failed = 0, late = 0;
    int out = memfd_create("out", MFD_CLOEXEC);
    snprintf(path, sizeof path, "%s/pal-run/snapshots/warm.image", store);
    image->fd = open(path, O_RDWR | O_CLOEXEC);
    must(image->fd >= 0, path);
    setenv("XDG_DATA_HOME", store, 1);
    for (uint64_t seed = first; seed < end; seed += step) {
        mutate(image, seed);
        int status = run_once(pal, out);
        if (status < 0)
            printf("seed %llu hangs\n", (unsigned long long)seed);
        if (tells_secret(out))
            printf("seed %llu: a secret\n", (unsigned long long)seed);
        ran += status == 0;
        failed += status != 0;
        late += status == LATE;
        restore(image);
    }
    printf("%llu %llu %llu\n", (unsigned long long)ran, (unsigned long long)failed, (unsigned long long)late);
    return 0;
}

static int print_mutated(struct image *image, uint64_t seed)
{
    static uint8_t bytes[1 << 16];
    ssize_t size;
    image->fd = memfd_create("changed", MFD_CLOEXEC);
    must(write(image->fd, image->good, image->size) == (ssize_t)image->size, "a copy");
    mutate(image, seed);
    lseek(image->fd, 0, SEEK_SET);
    while ((size = read(image->fd, bytes, sizeof bytes)) > 0)
        must(write(1, bytes, (size_t)size) == size, "standard output");
    return 0;
}

int main(int argc, char **argv)
{
    struct image image = {.fd = -1};
    if (argc == 4 && !strcmp(argv[1], "mutate")) {
        load(&image, argv[2]);
        return print_mutated(&image, strtoull(argv[3], NULL, 10));
    }
    if (argc != 8 || strcmp(argv[1], "run") != 0)
        return 2;
    load(&image, argv[3]);
    return run_all(argv[2], &image, argv[4], strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10));
}

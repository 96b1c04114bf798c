/* SPDX-License-Identifier: MIT */
/*
 * What one process changes, another sees at once, however often it has looked before: the changer says so through
 * shared memory, which is faster than any call.
 */
#include "files.h"

#include <sys/mman.h>
#include <time.h>

#define LOOKS 60 /* often enough for an answer to be kept, also when it has changed before */
#define ROUNDS 5

static struct turns { volatile unsigned change, seen; } *turns;
static unsigned turn;

/* Child and parent run the same list of steps: the child changes, the parent checks. */
static int is_changer;

static void changed(void) { __atomic_store_n(&turns->change, turn, __ATOMIC_SEQ_CST); }

static void await(volatile unsigned *word)
{
    for (unsigned spins = 0; *word != turn; spins++) {
        if (spins > 1000)
            usleep(100);
        CHECK(is_changer ? getppid() != 1 : spins < 200000);
    }
}

#define STEP(act, check)                                                                                            \
    do {                                                                                                            \
        turn++;                                                                                                     \
        if (is_changer) {                                                                                           \
            CHECK(act);                                                                                             \
            changed();                                                                                              \
            await(&turns->seen);                                                                                    \
        } else {                                                                                                    \
            await(&turns->change);                                                                                  \
            for (int look = 0; look < LOOKS; look++)                                                                \
                CHECK(check);                                                                                       \
            turns->seen = turn;                                                                                     \
        }                                                                                                           \
    } while (0)

static struct stat st;

static int is(const char *name) { return stat(name, &st) == 0; }
static int is_link(const char *name) { return lstat(name, &st) == 0; }
static int absent(const char *name) { return stat(name, &st) < 0 && errno == ENOENT && access(name, F_OK) < 0; }

static int leads_to(const char *name, const char *text)
{
    char bytes[100];
    ssize_t size = readlink(name, bytes, sizeof bytes);
    return size == (ssize_t)strlen(text) && !memcmp(bytes, text, (size_t)size);
}

static int is_place(const char *name, const char *end)
{
    char *path = realpath(name, NULL);
    int same = path && strlen(path) > strlen(end) && !strcmp(path + strlen(path) - strlen(end), end);
    free(path);
    return same;
}

static int make(const char *name, int size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return fd >= 0 && ftruncate(fd, size) == 0 && close(fd) == 0;
}

static int set_time(const char *name, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    return utimensat(AT_FDCWD, name, times, 0) == 0;
}

static void names(void)
{
    STEP(1, absent("a/b/f") && absent("c/b/f") && is("a/b"));
    STEP(make("a/b/f", 0), is("a/b/f") && st.st_size == 0 && st.st_nlink == 1);
    STEP(rename("a/b/f", "a/b/g") == 0, absent("a/b/f") && is("a/b/g"));
    STEP(rename("a", "c") == 0, absent("a/b/g") && is("c/b/g") && absent("a"));
    STEP(symlink("c", "a") == 0, is("a/b/g") && is_link("a") && S_ISLNK(st.st_mode) && leads_to("a", "c"));
    STEP(mkdir("d", 0700) == 0, is_place("a/b", "/c/b"));
    STEP(unlink("a") == 0 && symlink("d", "a") == 0, absent("a/b/g") && leads_to("a", "d") && is_place("a", "/d"));
    STEP(unlink("a") == 0 && rmdir("d") == 0, absent("a/b/g") && absent("a") && absent("d"));
    STEP(rename("c", "a") == 0, is("a/b/g") && is_place("a/b/g", "/a/b/g") && absent("c"));
    STEP(unlink("a/b/g") == 0, absent("a/b/g"));
}

static void attributes(int fd)
{
    static volatile char *mapped;
    STEP(write(fd, "12345", 5) == 5, is("f") && st.st_size == 5);
    STEP(pwrite(fd, "6", 1, 5) == 1, is("f") && st.st_size == 6);
    STEP(ftruncate(fd, 100) == 0, is("f") && st.st_size == 100);
    STEP(truncate("f", 7) == 0, is("f") && st.st_size == 7);
    STEP(chmod("f", 0640) == 0, is("f") && (st.st_mode & 07777) == 0640);
    STEP(fchmod(fd, 0600) == 0, is("f") && (st.st_mode & 07777) == 0600);
    STEP(set_time("f", 1000), is("f") && st.st_mtime == 1000);
    STEP(write(fd, "7", 1) == 1, is("f") && st.st_mtime > 1000);
    STEP(link("f", "a/other") == 0, is("f") && st.st_nlink == 2 && is("a/other") && st.st_nlink == 2);
    STEP(truncate("a/other", 3) == 0, is("f") && st.st_size == 3);
    STEP(chmod("a/other", 0644) == 0, is("f") && (st.st_mode & 07777) == 0644);
    STEP(unlink("a/other") == 0, is("f") && st.st_nlink == 1 && absent("a/other"));
    STEP(mkdir("a/sub", 0700) == 0, is("a") && st.st_nlink == 4);
    STEP(rmdir("a/sub") == 0, is("a") && st.st_nlink == 3);
    STEP(set_time("f", 2000), is("f") && st.st_mtime == 2000);
    if (is_changer && !mapped) {
        mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(mapped != MAP_FAILED);
    }
    STEP(((*mapped = 'x'), msync((void *)mapped, 4096, MS_SYNC) == 0), is("f") && st.st_mtime > 2000);
    STEP(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0, is("f") && st.st_size == 0);
}

int main(void)
{
    scratch_enter();
    turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(turns != MAP_FAILED && mkdir("a", 0700) == 0 && mkdir("a/b", 0700) == 0 && make("f", 0));
    int fd = open("f", O_RDWR);
    CHECK(fd >= 0);
    pid_t child = fork();
    CHECK(child >= 0);
    is_changer = child == 0;
    for (int round = 0; round < ROUNDS; round++) {
        names();
        if (round == 0 || round == ROUNDS - 1)
            attributes(fd); /* the last with files that were mapped */
    }
    if (is_changer)
        _exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}

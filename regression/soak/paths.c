/* SPDX-License-Identifier: MIT */
/*
 * paths ROOT SEED COUNT [BLOCK]: random operations on names in a tree, the same for the same seed, and what each gave.
 * A line for each block of operations has a digest; of BLOCK each operation has a line (-2: of all).  So two runs can be compared, of
 * Linux and of a sandbox: see paths.sh.
 *
 * Names begin at the root, at directories that are open, at the current directory, at /proc/self/fd/N.  Another process
 * renames, links and removes in between, when it is told to: so the order is the seed's.  A third one swaps two
 * directories all the time, of which what is open must stay what it was.
 *
 * A file without a name is only read, by /proc/self/fd/N: one that was opened in a view can't be changed any more
 * (docs/names-and-caching.md).
 *
 * ROOT lies so deep that no path leads above its mount: each has at most 3 "..", each symlink 2, and Linux follows 40.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPENED = 8, BLOCK = 500, ALL = -2 };

static const char *root;
static uint64_t state, digest = 14695981039346656037u;
static long number, shown = -1;
static struct { int fd; bool directory; } opened[OPENED];

static unsigned below(unsigned limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % limit;
}

static void fail(const char *what)
{
    printf("operation %ld: %s: %s\n", number, what, strerror(errno));
    fflush(stdout);
    _exit(1);
}
#define MUST(condition) ((condition) ? (void)0 : fail(#condition))

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    char text[2 * PATH_MAX + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at; (at = strstr(text, root)); memmove(at + 1, at + strlen(root), strlen(at + strlen(root)) + 1))
        *at = '@';
    for (const char *at = text; *at; at++)
        digest = (digest ^ (uint8_t)*at) * 1099511628211u;
    if (shown == ALL || (shown >= 0 && number / BLOCK == shown))
        printf("  %ld %s\n", number, text);
}

static const char *result_of(long result)
{
    static char text[32];
    if (result < 0)
        return strerrorname_np(errno);
    snprintf(text, sizeof text, "%ld", result);
    return text;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static void component(char *path, unsigned *ups)
{
    unsigned kind = below(16);
    if (kind == 0 && *ups) {
        --*ups;
        strcat(path, "..");
    } else if (kind == 1) {
        strcat(path, ".");
    } else {
        strcat(path, (char[]){(char)('a' + below(6)), 0});
    }
}

static void relative(char *path, unsigned ups)
{
    path[0] = 0;
    for (unsigned i = 0, count = 1 + below(below(4) ? 2 : 4); i < count; i++) {
        if (i)
            strcat(path, below(20) ? "/" : "//");
        component(path, &ups);
    }
    if (!below(14))
        strcat(path, "/");
}

static int some_fd(bool directory)
{
    for (unsigned i = 0, at = below(OPENED); i < OPENED; i++, at++)
        if (opened[at % OPENED].fd >= 0 && (!directory || opened[at % OPENED].directory))
            return opened[at % OPENED].fd;
    return AT_FDCWD;
}

/* What a name begins at is the result; it may be the whole path. */
static int some_name(char path[PATH_MAX])
{
    char rest[64];
    unsigned kind = below(16);
    int fd = some_fd(kind != 0);
    relative(rest, 3);
    if (kind < 2 && fd != AT_FDCWD) {
        snprintf(path, PATH_MAX, kind == 0 && below(2) ? "/proc/self/fd/%d" : "/proc/self/fd/%d/%s", fd, rest);
        return AT_FDCWD;
    }
    if (kind < 4) {
        snprintf(path, PATH_MAX, "%.3000s/%s", root, rest);
        return AT_FDCWD;
    }
    strcpy(path, rest);
    return kind < 10 ? fd : AT_FDCWD;
}

/* ---- What is there ------------------------------------------------------------------------------------------------ */

static void tell_attributes(const char *what, long result, const struct stat *status)
{
    if (result < 0)
        tell("%s: %s", what, result_of(result));
    else
        tell("%s: %o, links %ld, size %ld", what, status->st_mode, (long)status->st_nlink,
             S_ISDIR(status->st_mode) ? 0 : (long)status->st_size);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void tell_listing(int fd)
{
    char *names[64];
    size_t count = 0;
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again < 0 ? NULL : fdopendir(again);
    if (!directory) {
        tell("list: %s", result_of(-1));
        return;
    }
    for (struct dirent *entry; count < 64 && (entry = readdir(directory));)
        names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        tell("list: %s", names[i]);
        free(names[i]);
    }
}

static void tell_contents(int fd)
{
    char bytes[256];
    ssize_t size = pread(fd, bytes, sizeof bytes - 1, 0);
    bytes[size < 0 ? 0 : size] = 0;
    tell("contents: %s %s", size < 0 ? result_of(size) : "", bytes);
}

/* Where it is, from the root on.  Nothing is kept open, nor stayed in, that lies above. */
static bool tell_place(const char *what, const char *place, ssize_t size)
{
    size_t root_size = strlen(root);
    bool inside = size < 0 || (!strncmp(place, root, root_size) && (place[root_size] == '/' || !place[root_size]));
    tell("%s: %s", what, size < 0 ? result_of(size) : inside ? place : "above");
    return inside;
}

static bool tell_link(int fd)
{
    char name[40], place[2 * PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, place, sizeof place - 1);
    place[size < 0 ? 0 : size] = 0;
    return tell_place("is", strstr(place, "/#") ? root : place, size); /* O_TMPFILE's name has a number in it */
}

/* ---- Operations --------------------------------------------------------------------------------------------------- */

static void keep_open(int fd)
{
    struct stat status;
    unsigned at = below(OPENED);
    tell_attributes("opened", fstat(fd, &status), &status);
    if (!tell_link(fd)) {
        close(fd);
        return;
    }
    if (opened[at].fd >= 0)
        close(opened[at].fd);
    opened[at].fd = fd;
    opened[at].directory = S_ISDIR(status.st_mode);
    if (S_ISREG(status.st_mode))
        tell_contents(fd);
}

/* Does it lead to a file that has lost its name? */
static bool is_lost(const char *path)
{
    struct stat status;
    return !strncmp(path, "/proc/self/fd/", 14) && !strchr(path + 14, '/') && stat(path, &status) == 0 &&
           S_ISREG(status.st_mode) && !status.st_nlink;
}

static void op_open(void)
{
    static const int extras[] = {0, 0, 0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_TRUNC, O_TRUNC, O_APPEND, O_NOFOLLOW,
                                 O_CREAT | O_NOFOLLOW, O_DIRECTORY, O_DIRECTORY, O_PATH, O_PATH | O_NOFOLLOW,
                                 O_PATH | O_DIRECTORY, O_TMPFILE, O_DIRECTORY | O_NOFOLLOW};
    char path[PATH_MAX], text[32];
    int at = some_name(path), flags = extras[below(sizeof extras / sizeof *extras)];
    int mode = flags & O_DIRECTORY && (flags & O_TMPFILE) != O_TMPFILE ? O_RDONLY : (int)below(3);
    if (is_lost(path)) {
        mode = O_RDONLY;
        flags &= ~O_TRUNC;
    }
    int fd = openat(at, path, flags | mode | O_CLOEXEC, 0600 | below(0100));
    tell("open %s %o: %s", path, flags | mode, fd < 0 ? result_of(fd) : "ok");
    if (fd < 0)
        return;
    if (mode != O_RDONLY && !(flags & O_PATH) && below(2)) {
        int size = snprintf(text, sizeof text, "%ld.", number);
        tell("write: %s", result_of(write(fd, text, (size_t)size)));
    }
    keep_open(fd);
}

static void op_look(void)
{
    char path[PATH_MAX], text[PATH_MAX];
    struct stat status;
    int at = some_name(path);
    long result;
    switch (below(6)) {
    case 0: case 1: tell_attributes(path, fstatat(at, path, &status, 0), &status); break;
    case 2: case 3: tell_attributes(path, fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW), &status); break;
    case 4:
        result = readlinkat(at, path, text, sizeof text - 1);
        text[result < 0 ? 0 : result] = 0;
        tell("readlink %s: %s %s", path, result_of(result), strncmp(path, "/proc", 5) ? text : "");
        break;
    default: tell("access %s: %s", path, result_of(faccessat(at, path, below(2) ? F_OK : R_OK | W_OK, 0)));
    }
}

/* By the main process, or by the other. */
static void change(void)
{
    char path[PATH_MAX], other[PATH_MAX], target[PATH_MAX];
    int at = some_name(path), to = some_name(other);
    switch (below(12)) {
    case 0: case 1: tell("mkdir %s: %s", path, result_of(mkdirat(at, path, 0700 | below(0100)))); break;
    case 2: case 3: case 4: case 5: {
        static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
        tell("rename %s %s: %s", path, other, result_of(renameat2(at, path, to, other, flags[below(5)])));
        break;
    }
    case 6: tell("unlink %s: %s", path, result_of(unlinkat(at, path, 0))); break;
    case 7: tell("rmdir %s: %s", path, result_of(unlinkat(at, path, AT_REMOVEDIR))); break;
    case 8: tell("link %s %s: %s", path, other, result_of(linkat(at, path, to, other, below(2) ? AT_SYMLINK_FOLLOW : 0))); break;
    case 9:
        relative(target, 2);
        tell("symlink %s %s: %s", target, path, result_of(symlinkat(target, at, path)));
        break;
    case 10:
        if (!is_lost(path))
            tell("chmod %s: %s", path, result_of(fchmodat(at, path, 0700 | below(0100), 0)));
        break;
    default:
        if (!is_lost(path))
            tell("truncate %s: %s", path, result_of(truncate(path, below(40))));
    }
}

static void op_descriptor(void)
{
    struct stat status;
    char other[PATH_MAX];
    int fd = some_fd(false), to;
    if (fd == AT_FDCWD)
        return;
    switch (below(6)) {
    case 0: tell_attributes("fstat", fstat(fd, &status), &status); break;
    case 1: tell_link(fd); break;
    case 2: tell_listing(fd); break;
    case 3: tell_contents(fd); break;
    case 4:
        to = some_name(other);
        tell("link of it %s: %s", other, result_of(linkat(fd, "", to, other, AT_EMPTY_PATH)));
        break;
    default: tell_attributes("itself", fstatat(fd, "", &status, AT_EMPTY_PATH), &status);
    }
}

static void op_directory(void)
{
    char path[PATH_MAX], place[2 * PATH_MAX];
    int fd = some_fd(true);
    switch (below(4)) {
    case 0:
        if (fd != AT_FDCWD)
            tell("fchdir: %s", result_of(fchdir(fd)));
        break;
    case 1:
        tell_listing(AT_FDCWD);
        break;
    default:
        if (some_name(path) == AT_FDCWD)
            tell("chdir %s: %s", path, result_of(chdir(path)));
    }
    long size = syscall(SYS_getcwd, place, sizeof place);
    if (!tell_place("cwd", place, size))
        MUST(chdir(root) == 0);
}

/* ---- The others --------------------------------------------------------------------------------------------------- */

static int orders[2], answers[2];
static pid_t other, swapper;

/* Has the state of the random numbers, and gives back the digest: both go on where it left off. */
struct order { uint64_t state, digest; long number; };

static void obey(void)
{
    struct order order;
    while (read(orders[0], &order, sizeof order) == sizeof order) {
        state = order.state;
        digest = order.digest;
        number = order.number;
        change();
        fflush(stdout);
        MUST(chdir(root) == 0);
        order = (struct order){state, digest, number};
        MUST(write(answers[1], &order, sizeof order) == sizeof order);
    }
    _exit(0);
}

static void by_another(void)
{
    struct order order = {state, digest, number};
    fflush(stdout);
    MUST(write(orders[1], &order, sizeof order) == sizeof order && read(answers[0], &order, sizeof order) == sizeof order);
    state = order.state;
    digest = order.digest;
}

static void begin_other(void)
{
    MUST(pipe2(orders, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0);
    other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(orders[1]);
        obey();
    }
    MUST(other > 0);
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* Two directories that change places all the time. */
static void begin_swaps(void)
{
    MUST(mkdir("../swaps", 0700) == 0 && mkdir("../swaps/0", 0700) == 0 && mkdir("../swaps/1", 0700) == 0);
    put("../swaps/0/who", "0");
    put("../swaps/1/who", "1");
    swapper = fork();
    if (swapper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        MUST(chdir("../swaps") == 0);
        for (;; usleep(200))
            MUST(syscall(SYS_renameat2, AT_FDCWD, "0", AT_FDCWD, "1", RENAME_EXCHANGE) == 0);
    }
    MUST(swapper > 0);
}

static char who(int directory, const char *name)
{
    char byte;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0 && read(fd, &byte, 1) == 1 && close(fd) == 0);
    return byte;
}

static void check_swaps(void)
{
    char path[PATH_MAX];
    struct stat one, two;
    snprintf(path, sizeof path, "%s/../swaps/0", root);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(fd >= 0 && fstat(fd, &one) == 0);
    char is = who(fd, "who");
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d/who", fd);
        MUST(who(fd, "who") == is && who(AT_FDCWD, path) == is);
        MUST(fstatat(fd, ".", &two, 0) == 0 && one.st_ino == two.st_ino);
    }
    close(fd);
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    root = arguments[1];
    state = strtoull(arguments[2], NULL, 10) * 2 + 1;
    long total = atol(arguments[3]);
    if (count > 4)
        shown = atol(arguments[4]);
    umask(022);
    close_range(3, ~0u, 0);
    for (int i = 0; i < OPENED; i++)
        opened[i].fd = -1;
    MUST(chdir(root) == 0);
    begin_other();
    begin_swaps();
    static void (*const ops[])(void) = {op_open, op_open, op_look, op_look, op_look, change, change, op_descriptor,
                                        op_directory, by_another, by_another};
    for (; number < total; number++) {
        ops[below(sizeof ops / sizeof *ops)]();
        if (number % 64 == 0)
            check_swaps();
        if (number % BLOCK == BLOCK - 1)
            printf("%ld %016lx\n", number / BLOCK, digest);
    }
    printf("end %016lx\n", digest);
    return kill(other, SIGKILL) || kill(swapper, SIGKILL);
}

/* SPDX-License-Identifier: MIT */
/*
 * compare make DIRECTORY SEED           a tree of old files in a directory
 * compare run DIRECTORY SEED COUNT [PROCESSES]   random operations on it, told one a line
 *
 * The same seed gives the same operations, so two runs on trees that began alike, natively and in a sandbox, tell the
 * same lines; compare.sh looks for a difference.  Told is what POSIX and Linux promise: results, errors, types, modes,
 * sizes, contents, sorted listings, how a name and a descriptor of it are related, and whether a time is old (of the
 * tree's making, or set) or new.
 *
 * Several processes take turns, each with descriptors of its own: what one did, the next one sees.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LETTERS = 6, HELD = 6, PROCESSES_MOST = 8, OLD = 1000000000, SIZE_MOST = 20000 };

static uint64_t state;

static unsigned below(unsigned limit)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (unsigned)(state >> 20) % limit;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* A relative path of one to three names. */
static char *path(void)
{
    static char paths[4][64];
    static int turn;
    char *out = paths[turn = (turn + 1) % 4];
    int used = 0;
    for (unsigned names = 1 + below(3); names--;)
        used += snprintf(out + used, 64 - (size_t)used, "%s%c", used ? "/" : "", 'a' + (int)below(LETTERS));
    return out;
}

/* Now and then with what resolution has to take away. */
static const char *odd_path(void)
{
    static const char *const ends[] = {"/", "/..", "/."};
    char *out = path();
    unsigned odd = below(32);
    return odd < 3 ? strcat(out, ends[odd]) : out;
}

static long told(const char *what, const char *of, const char *other, long result)
{
    printf("%s %s%s%s: %ld %s\n", what, of, other ? " " : "", other ? other : "", result,
           result < 0 ? strerrorname_np(errno) : "");
    return result;
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

static void tell_status(const struct stat *status)
{
    printf("  %o", status->st_mode);
    if (!S_ISDIR(status->st_mode))
        printf(" %lld", (long long)status->st_size);
    if (status->st_mtim.tv_sec <= OLD + 1000)
        printf(" %lld.%09ld", (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec);
    if (S_ISDIR(status->st_mode) || status->st_nlink > 1)
        printf(" links %lu", (unsigned long)status->st_nlink);
    printf("\n");
}

static void look(void)
{
    struct stat status;
    const char *name = odd_path();
    if (told("lstat", name, NULL, lstat(name, &status)) == 0)
        tell_status(&status);
    if (told("stat", name, NULL, stat(name, &status)) == 0)
        tell_status(&status);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_from(DIR *directory)
{
    char *names[256];
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) && count < 256)
        if (asprintf(&names[count++], "%s %d", entry->d_name, entry->d_type) < 0)
            die("asprintf");
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        printf("  %s\n", names[i]);
        free(names[i]);
    }
}

static void list(void)
{
    const char *name = below(8) ? odd_path() : ".";
    DIR *directory = opendir(name);
    if (told("list", name, NULL, directory ? 0 : -1) == 0)
        list_from(directory);
}

/* A descriptor that was opened earlier, from its beginning; now and then by a child, which has it, too. */
static void list_held(int held)
{
    struct stat status;
    if (fstat(held, &status) < 0 || !status.st_nlink) {
        printf("gone\n"); /* file systems differ in what they list of such */
        return;
    }
    printf("held\n");
    tell_status(&status);
    fflush(stdout);
    pid_t child = below(8) ? -1 : fork();
    if (child > 0) {
        waitpid(child, NULL, 0);
        return;
    }
    int fd = dup(held);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        die("dup");
    rewinddir(directory);
    list_from(directory);
    if (child == 0) {
        fflush(stdout);
        _exit(0);
    }
}

static void tell_bytes(int fd)
{
    static unsigned char bytes[SIZE_MOST * 2];
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    uint32_t hash = 2166136261u;
    for (ssize_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    printf("  %zd bytes %08x\n", size, hash);
}

static void read_file(void)
{
    const char *name = odd_path();
    int fd = open(name, O_RDONLY | O_NONBLOCK);
    if (told("read", name, NULL, fd < 0 ? -1 : 0) < 0)
        return;
    struct stat by_fd, status;
    tell_bytes(fd);
    if (fstat(fd, &by_fd) == 0 && stat(name, &status) == 0)
        printf("  same %d\n", by_fd.st_ino == status.st_ino && by_fd.st_dev == status.st_dev);
    close(fd);
}

static void read_link(void)
{
    char contents[256];
    const char *name = odd_path();
    ssize_t size = readlink(name, contents, sizeof contents);
    told("readlink", name, NULL, size);
    if (size > 0)
        printf("  %.*s\n", (int)size, contents);
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

static int held[HELD]; /* opened to read and write */

static void write_to(int fd)
{
    char bytes[512];
    size_t size = 1 + below(sizeof bytes);
    memset(bytes, 'a' + (int)below(26), size);
    off_t at = below(16) ? below(3000) : below(SIZE_MOST);
    ssize_t result = below(3) ? pwrite(fd, bytes, size, at) : write(fd, bytes, size);
    told("  wrote", "", NULL, result);
}

static void open_file(void)
{
    static const struct { int flags; const char *name; } ways[] = {
        {O_RDWR, "rdwr"}, {O_WRONLY | O_APPEND, "append"}, {O_RDWR | O_CREAT, "creat"}, {O_RDWR | O_CREAT | O_EXCL, "excl"},
        {O_RDWR | O_TRUNC, "trunc"}, {O_WRONLY | O_CREAT | O_TRUNC, "creat-trunc"}, {O_RDWR | O_NOFOLLOW, "nofollow"},
        {O_RDONLY | O_DIRECTORY, "directory"}, {O_RDONLY | O_CREAT, "creat-read"},
    };
    unsigned way = below(sizeof ways / sizeof *ways), slot = below(HELD);
    const char *name = path();
    struct stat before, after;
    int was = stat(name, &before);
    int fd = open(name, ways[way].flags | O_NONBLOCK, 0600 + 044 * (int)below(2));
    told(ways[way].name, name, NULL, fd < 0 ? -1 : 0);
    if (fd < 0)
        return;
    if ((ways[way].flags & O_ACCMODE) != O_RDONLY)
        write_to(fd);
    if (was == 0 && fstat(fd, &after) == 0) /* what is copied stays what it was */
        printf("  same %d\n", before.st_ino == after.st_ino && before.st_dev == after.st_dev);
    if ((ways[way].flags & O_ACCMODE) != O_RDWR) {
        close(fd);
        return;
    }
    close(held[slot]);
    held[slot] = fd;
}

static void use_held(void)
{
    int fd = held[below(HELD)];
    struct stat status;
    if (fstat(fd, &status) < 0) {
        printf("held: none\n");
        return;
    }
    switch (below(6)) {
    case 0: told("held ftruncate", "", NULL, ftruncate(fd, below(SIZE_MOST))); break;
    case 1: told("held fchmod", "", NULL, fchmod(fd, 0600 | below(64))); break;
    case 2: {
        struct timespec times[2] = {{OLD + below(100), 5}, {OLD + below(100), 7}};
        told("held futimens", "", NULL, futimens(fd, times));
        break;
    }
    case 3: {
        char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED && status.st_size > 0)
            map[below((unsigned)(status.st_size < 4096 ? status.st_size : 4096))] = 'M';
        printf("held map %d\n", map != MAP_FAILED);
        if (map != MAP_FAILED)
            munmap(map, 4096);
        break;
    }
    case 4: write_to(fd); break;
    default: tell_bytes(fd);
    }
    if (fstat(fd, &status) == 0)
        printf("  %o %lld\n", status.st_mode, (long long)status.st_size);
}

static void rename_one(void)
{
    const char *from = path(), *to = path();
    unsigned flags = below(8);
    flags = flags == 0 ? RENAME_NOREPLACE : flags == 1 ? RENAME_EXCHANGE : 0;
    told(flags == 0 ? "rename" : flags == 1 ? "noreplace" : "exchange", from, to,
         syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}

static void set_something(void)
{
    const char *name = odd_path();
    struct timespec times[2] = {{OLD + below(100), 5}, {OLD + below(100), 7}};
    char value[64];
    switch (below(5)) {
    case 0: told("chmod", name, NULL, chmod(name, 0700 | below(64))); break;
    case 1: told("utimens", name, NULL, utimensat(AT_FDCWD, name, times, below(2) ? AT_SYMLINK_NOFOLLOW : 0)); break;
    case 2: told("truncate", name, NULL, truncate(name, below(SIZE_MOST))); break;
    case 3: told("setxattr", name, NULL, setxattr(name, below(2) ? "user.a" : "user.b", "value", below(6), 0)); break;
    default: {
        ssize_t size = getxattr(name, "user.a", value, sizeof value);
        told("getxattr", name, NULL, size);
        told("removexattr", name, NULL, removexattr(name, "user.b"));
    }
    }
}

static void make_something(void)
{
    const char *name = path(), *other = path();
    switch (below(5)) {
    case 0: told("symlink", other, name, symlink(other, name)); break;
    case 1: told("link", other, name, link(other, name)); break;
    case 2: told("mkfifo", name, NULL, mkfifo(name, 0600)); break;
    default: told("mkdir", name, NULL, mkdir(name, 0755 - 022 * (int)below(2))); break;
    }
}

static void take_away(void)
{
    const char *name = odd_path();
    if (below(3))
        told("unlink", name, NULL, unlink(name));
    else
        told("rmdir", name, NULL, rmdir(name));
}

/* Through a directory's descriptor, which may have been moved since; and where it is. */
static void by_directory(void)
{
    static int directory = -1;
    char cwd[PATH_MAX], link[64];
    struct stat status;
    if (directory < 0 || !below(6)) {
        const char *name = path();
        if (directory >= 0)
            close(directory);
        directory = open(name, O_RDONLY | O_DIRECTORY);
        told("directory", name, NULL, directory < 0 ? -1 : 0);
        return;
    }
    char name[2] = {(char)('a' + (int)below(LETTERS)), 0};
    switch (below(7)) {
    case 5:
    case 6: list_held(directory); break;
    case 0: told("mkdirat", name, NULL, mkdirat(directory, name, 0755)); break;
    case 1: told("unlinkat", name, NULL, unlinkat(directory, name, 0)); break;
    case 2:
        if (told("fstatat", name, NULL, fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW)) == 0)
            tell_status(&status);
        break;
    case 3: {
        int fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644);
        told("openat", name, NULL, fd < 0 ? -1 : 0);
        if (fd >= 0)
            write_to(fd);
        close(fd);
        break;
    }
    default: {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t size = readlink(link, cwd, sizeof cwd - 1);
        cwd[size < 0 ? 0 : size] = 0;
        const char *root = getenv("COMPARE_ROOT");
        size_t root_size = root ? strlen(root) : 0;
        printf("lies at %s\n", strncmp(cwd, root ? root : "", root_size) ? cwd : cwd + root_size);
    }
    }
}

/* Moved far away and back, emptied, filled again: what single operations hardly ever do in a row. */
static void whole_tree(void)
{
    char from[2] = {(char)('a' + (int)below(LETTERS)), 0}, command[128];
    snprintf(command, sizeof command, "%s/%c", from, 'a' + (int)below(LETTERS));
    for (int i = 0; i < LETTERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "%s/%c", from, 'a' + i);
        told("empty", name, NULL, unlink(name) == 0 || rmdir(name) == 0 ? 0 : -1);
    }
    told("empty", from, NULL, rmdir(from));
    told("again", from, NULL, mkdir(from, 0755));
}

static void operate(unsigned number)
{
    unsigned kind = below(100);
    printf("%u ", number);
    if (kind < 16) look();
    else if (kind < 24) list();
    else if (kind < 36) read_file();
    else if (kind < 40) read_link();
    else if (kind < 56) open_file();
    else if (kind < 64) use_held();
    else if (kind < 74) rename_one();
    else if (kind < 81) set_something();
    else if (kind < 88) make_something();
    else if (kind < 93) take_away();
    else if (kind < 99) by_directory();
    else if (below(4) == 0) whole_tree();
    else printf("\n");
}

/* The turn is the generator's state, and passes on by pipes, with what was told before it. */
static void take_turns(unsigned count, unsigned processes, unsigned own, const int *read_ends, const int *write_ends)
{
    for (unsigned i = own; i < count; i += processes) {
        if (processes > 1 && read(read_ends[own], &state, sizeof state) != sizeof state)
            die("turn");
        operate(i);
        if (processes == 1)
            continue;
        fflush(stdout);
        if (write(write_ends[(own + 1) % processes], &state, sizeof state) != sizeof state)
            die("turn");
    }
}

static void run(unsigned count, unsigned processes)
{
    int read_ends[PROCESSES_MOST], write_ends[PROCESSES_MOST], status;
    for (int i = 0; i < HELD; i++)
        held[i] = -1;
    for (unsigned i = 0; i < processes; i++) {
        int ends[2];
        if (pipe(ends) < 0)
            die("pipe");
        read_ends[i] = ends[0];
        write_ends[i] = ends[1];
    }
    if (write(write_ends[0], &state, sizeof state) != sizeof state)
        die("turn");
    for (unsigned own = 1; own < processes; own++)
        if (fork() == 0) {
            take_turns(count, processes, own, read_ends, write_ends);
            exit(0);
        }
    take_turns(count, processes, 0, read_ends, write_ends);
    while (wait(&status) > 0)
        if (status)
            die("a process");
}

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

static void make_level(int depth)
{
    const struct timespec times[2] = {{OLD, 1}, {OLD, 2}};
    for (int i = 0; i < LETTERS; i++) {
        char name[2] = {(char)('a' + i), 0}, target[8];
        unsigned kind = below(10);
        if (kind < 4 && depth < 3) {
            if (mkdir(name, 0755) < 0 || chdir(name) < 0)
                die(name);
            make_level(depth + 1);
            if (chdir("..") < 0)
                die("..");
        } else if (kind < 7) {
            int fd = open(name, O_WRONLY | O_CREAT, 0644);
            char bytes[4000];
            memset(bytes, 'A' + i, sizeof bytes);
            if (fd < 0 || write(fd, bytes, below(sizeof bytes)) < 0)
                die(name);
            close(fd);
        } else if (kind == 7) {
            snprintf(target, sizeof target, "%c%s", 'a' + (int)below(LETTERS), below(2) ? "/a" : "");
            if (symlink(target, name) < 0)
                die(name);
        } else {
            continue;
        }
        if (utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW) < 0)
            die(name);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || chdir(argv[2]) < 0)
        die("usage: compare make|run DIRECTORY SEED [COUNT [PROCESSES]]");
    unsigned processes = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 1;
    if (processes < 1 || processes > PROCESSES_MOST)
        die("PROCESSES");
    umask(0);
    state = strtoull(argv[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (!strcmp(argv[1], "make"))
        make_level(1);
    else
        run(argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1000, processes);
    return 0;
}

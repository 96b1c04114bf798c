/* SPDX-License-Identifier: MIT */
/*
 * What a program needs.  Its libraries are told by its own interpreter (`ld.so --list`), which runs in a sandbox that can read and
 * nothing else: none of the program's code runs.  What it opens besides is told by a trial run, or by its user.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/explain/explain.h"
#include "loader/launch/launch.h"
#include "loader/pack/pack.h"

#define HEAD 4096
#define SCRIPTS_MAX 5 /* one's interpreter may be one */
#define SELF "/proc/self/exe"

static char **queue; /* files that may be programs or libraries */
static size_t queued, room;
static char interpreter[sizeof((struct elf_facts *)NULL)->interpreter];
static bool lists; /* what is added comes from a list, which is whole */

/* ---- pal-run, run by itself -------------------------------------------------------------------------------------- */

static pid_t start(char *const *argv, int out, bool quiet)
{
    pid_t child = fork();
    if (child < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s", strerror(errno));
    if (child)
        return child;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    if (quiet)
        dup2(null, STDERR_FILENO);
    execv(SELF, argv);
    _exit(EXIT_OWN_FAILURE);
}

static void await(pid_t child)
{
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static FILE *reader_of(int fd)
{
    FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
    if (!file)
        fail(EXIT_OWN_FAILURE, "pack: %s", strerror(errno));
    return file;
}

/* ---- Libraries --------------------------------------------------------------------------------------------------- */

/* Where every ld.so looks by itself; others it knows by its cache. */
static bool is_usual(const char *library)
{
    static const char *const directories[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"};
    size_t size = (size_t)(strrchr(library, '/') - library);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        if (strlen(directories[i]) == size && !memcmp(directories[i], library, size))
            return true;
    return false;
}

/* "\tNAME => PATH (0x...)", "\tPATH (0x...)", or "\tNAME => not found". */
static void take_line(struct tree *tree, const char *of, char *line)
{
    char *arrow = strstr(line, " => "), *path = arrow ? arrow + 4 : line + strspn(line, "\t "), *end = strstr(path, " (0x");
    if (arrow && !strncmp(path, "not found", 9))
        warn("pack: %s needs %.*s, which is not found here", of, (int)(arrow - line), line + strspn(line, "\t "));
    if (path[0] != '/' || !end)
        return;
    *end = 0;
    tree_add(tree, path, false);
    if (!is_usual(path) && strcmp(path, interpreter) != 0)
        tree_add(tree, "/etc/ld.so.cache", false);
}

/* All that there is, to read: as a manifest, since without one a sandbox has a home and a /tmp of its own. */
static const char *all_to_read(void)
{
    static const char text[] = "[[mounts]]\nat = \"/\"\n";
    static char *path;
    if (path)
        return path;
    int fd = memfd_create("pal-pack", 0); /* the child's, too */
    if (fd < 0 || write(fd, text, sizeof text - 1) != sizeof text - 1)
        fail(EXIT_OWN_FAILURE, "pack: %s", strerror(errno));
    return path = must_print("/proc/self/fd/%d", fd);
}

static void add_libraries(struct tree *tree, const char *file)
{
    char *const argv[] = {(char *)"pal-run", (char *)"--no-profile", (char *)"--walls=monitor", (char *)"-m", (char *)all_to_read(), (char *)"--", interpreter, (char *)"--list", (char *)file, NULL};
    char *line = NULL;
    size_t size = 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s", strerror(errno));
    pid_t child = start(argv, ends[1], true);
    close(ends[1]);
    FILE *out = reader_of(ends[0]);
    lists = true;
    while (getline(&line, &size, out) > 0)
        take_line(tree, file, line);
    lists = false;
    free(line);
    fclose(out);
    await(child);
}

static void note(struct tree *tree, const char *from)
{
    (void)tree;
    if (lists)
        return;
    if (queued == room) {
        room = room ? 2 * room : 64;
        queue = realloc(queue, room * sizeof *queue);
        if (!queue)
            fail(EXIT_OWN_FAILURE, "no memory for the names of a bundle");
    }
    queue[queued++] = must_copy(from);
}

/* ---- A file that may be a program -------------------------------------------------------------------------------- */

static ssize_t read_head(const char *path, char head[HEAD], int *fd, struct stat *status)
{
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return *fd < 0 || fstat(*fd, status) < 0 || !S_ISREG(status->st_mode) ? -1 : pread(*fd, head, HEAD - 1, 0);
}

static void look_at(struct tree *tree, const char *path)
{
    static struct elf_facts facts;
    char head[HEAD];
    struct stat status;
    int fd;
    bool elf = read_head(path, head, &fd, &status) > 4 && !memcmp(head, "\177ELF", 4);
    if (elf && !elf_inspect(fd, (uint64_t)status.st_size, &facts)) {
        if (facts.interpreter[0]) {
            strcpy(interpreter, facts.interpreter);
            tree_add(tree, interpreter, false);
        }
        if (interpreter[0] && (facts.interpreter[0] || strstr(path, ".so")))
            add_libraries(tree, path);
    }
    if (fd >= 0)
        close(fd);
}

/* "#!PROGRAM", or "#!.../env PROGRAM": what runs a script, or NULL. */
static char *script_runner(struct tree *tree, const char *path)
{
    char head[HEAD], *rest, *word;
    struct stat status;
    int fd;
    ssize_t size = read_head(path, head, &fd, &status);
    if (fd >= 0)
        close(fd);
    if (size < 3 || memcmp(head, "#!", 2) != 0)
        return NULL;
    head[size] = 0;
    head[strcspn(head, "\n")] = 0;
    char *program = strtok_r(head + 2, " \t", &rest);
    const char *name = program ? strrchr(program, '/') : NULL;
    if (!name)
        return NULL;
    if (strcmp(name, "/env") != 0 || !(word = strtok_r(NULL, " \t", &rest)))
        return must_copy(program);
    tree_add(tree, program, false);
    return program_find(word[0] == '-' && rest ? strtok_r(NULL, " \t", &rest) : word, DEFAULT_PATH);
}

static void look_at_all(struct tree *tree)
{
    for (size_t i = 0; i < queued; i++) { /* which grows meanwhile */
        look_at(tree, queue[i]);
        free(queue[i]);
    }
    queued = 0;
}

void needed_begin(struct tree *tree)
{
    tree->added = note;
}

void needed_add(struct tree *tree, const char *program)
{
    char *next = must_copy(program);
    for (int i = 0; next && i < SCRIPTS_MAX; i++) {
        int error = tree_add(tree, next, false);
        if (error)
            fail(EXIT_NOT_FOUND, "pack: %s: %s", next, strerror(-error));
        char *runner = script_runner(tree, next);
        free(next);
        next = runner;
    }
    free(next);
    look_at_all(tree);
}

void needed_settle(struct tree *tree)
{
    look_at_all(tree);
}

/* ---- A trial run ------------------------------------------------------------------------------------------------- */

/* What root alone can read is asked for by name, or not packed. */
static bool is_public(const char *path)
{
    struct stat status;
    return geteuid() != 0 || stat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_mode & S_IROTH;
}

static uint32_t take_found(struct tree *tree, const char *found)
{
    if (!strncmp(found, LEARNT_CALLS, strlen(LEARNT_CALLS)))
        return call_classes_read(found + strlen(LEARNT_CALLS));
    if (is_public(found))
        tree_add(tree, found, false); /* what is gone meanwhile was the run's own */
    else
        tree->secrets++;
    return 0;
}

uint32_t needed_learn(struct tree *tree, char *const *options, const char *program, char *const *arguments)
{
    char *argv[256], *path = NULL;
    size_t count = 0, size = 0;
    uint32_t classes = 0;
    int names = memfd_create("pal-pack", 0); /* the child's, too */
    const char *const first[] = {"pal-run", "learn", "-l", must_print("/proc/self/fd/%d", names)};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        argv[count++] = (char *)first[i];
    while (*options && count < 128)
        argv[count++] = *options++;
    argv[count++] = (char *)"--";
    argv[count++] = (char *)program;
    while (*arguments && count < 255)
        argv[count++] = *arguments++;
    argv[count] = NULL;
    await(start(argv, STDERR_FILENO, false)); /* a program's words are not pack's */
    FILE *out = reader_of(names);
    while (getdelim(&path, &size, 0, out) > 0)
        classes |= take_found(tree, path);
    free(path);
    fclose(out);
    look_at_all(tree);
    return classes;
}

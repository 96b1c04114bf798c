/* SPDX-License-Identifier: MIT */
/*
 * `pal-run snapshot`: a program that has started is written to an image, and clones go on from there.
 *
 * NAME.image is the guest's word: pal-run looks at its first bytes only, to see whether it is complete.  NAME.json is
 * pal-run's own: the command and options that made it.  Both lie in $XDG_DATA_HOME/pal-run/snapshots, readable by the user
 * alone; an image is complete before it has its name, and never changed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"

#define NAME_SIZE_MAX 64
#define JSON_MAX (1u << 20)

/* ---- Where they lie ---------------------------------------------------------------------------------------------- */

/* The directory of snapshots, -1 where there is none. */
static int open_store(bool makes)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const char *base = data && data[0] == '/' ? data : home;
    if (!base || base[0] != '/')
        fail(EXIT_OWN_FAILURE, "snapshots need a place: set HOME or XDG_DATA_HOME");
    int store = user_directory("XDG_DATA_HOME", "share", "snapshots", makes);
    if (store < 0 && errno == EPERM)
        fail(EXIT_OWN_FAILURE, "the directory of snapshots below %s belongs to another, or others may write it: move it away",
             base);
    if (store < 0 && makes)
        fail(EXIT_OWN_FAILURE, "%s: no snapshots can be kept there: %s", base, strerror(errno));
    return store;
}

static void check_name(const char *name)
{
    if (!name || !user_name_is_good(name, NAME_SIZE_MAX))
        fail(EXIT_OWN_FAILURE, "%s: no name for a snapshot: up to %d letters, digits, '.', '_', '-'", name ? name : "", NAME_SIZE_MAX);
}

/* Of the user's own, a plain file that others can't write.  -1 and errno. */
static int open_file(int store, const char *name, const char *suffix)
{
    char *path = must_print("%s%s", name, suffix);
    int fd = store < 0 ? -1 : openat(store, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    free(path);
    if (store < 0)
        errno = ENOENT;
    if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 0022)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

/* ---- What is known of one ---------------------------------------------------------------------------------------- */

static char *identity_text(void)
{
    uint64_t identity[4];
    snapshot_identity(identity);
    return must_print("%016llx%016llx%016llx%016llx", (unsigned long long)identity[0], (unsigned long long)identity[1],
                      (unsigned long long)identity[2], (unsigned long long)identity[3]);
}

static json_t *read_facts(int store, const char *name)
{
    static char text[JSON_MAX];
    int fd = open_file(store, name, ".json");
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return size < 0 ? NULL : json_loadb(text, (size_t)size, 0, NULL);
}

static json_t *must_read(int store, const char *name)
{
    check_name(name);
    json_t *facts = read_facts(store, name);
    if (!json_is_object(facts))
        fail(EXIT_OWN_FAILURE, "%s: no such snapshot: see pal-run snapshot list", name);
    return facts;
}

static json_t *strings(char *const *from, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(from[i]));
    return array;
}

static const char *text_of(const json_t *facts, const char *key)
{
    const char *text = json_string_value(json_object_get(facts, key));
    return text ? text : "";
}

/* ---- make -------------------------------------------------------------------------------------------------------- */

static bool is_complete(int image)
{
    uint64_t magic = 0;
    return pread(image, &magic, sizeof magic, 0) == sizeof magic && magic;
}

/* Under a name of its own first, so that whoever opens NAME finds the old one or the new one, whole. */
static void give_name(int store, int from, const char *name, const char *suffix)
{
    char *path = must_print("%s%s", name, suffix), *aside = must_print(".%s%s.%d", name, suffix, (int)getpid());
    char *link = must_print("/proc/self/fd/%d", from);
    if (linkat(AT_FDCWD, link, store, aside, AT_SYMLINK_FOLLOW) < 0 || renameat(store, aside, store, path) < 0) {
        int error = errno;
        unlinkat(store, aside, 0);
        fail(EXIT_OWN_FAILURE, "the snapshot %s can't be kept: %s", name, strerror(error));
    }
    free(link);
    free(aside);
    free(path);
}

static int open_unnamed(int store)
{
    int fd = openat(store, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(EXIT_OWN_FAILURE, "no file for a snapshot can be made: %s", strerror(errno));
    return fd;
}

static void keep(int store, int image, const char *name, char *const *options, size_t option_count, char *const *command)
{
    size_t argc = 0;
    char cwd[PAL_PATH_MAX] = "/";
    while (command[argc])
        argc++;
    if (!getcwd(cwd, sizeof cwd))
        cwd[0] = 0;
    json_t *facts = json_object();
    json_object_set_new(facts, "identity", json_string(identity_text()));
    json_object_set_new(facts, "made", json_integer((json_int_t)time(NULL)));
    json_object_set_new(facts, "directory", json_string(cwd));
    json_object_set_new(facts, "options", strings(options, option_count));
    json_object_set_new(facts, "command", strings(command, argc));
    int fd = open_unnamed(store);
    if (json_dumpfd(facts, fd, JSON_INDENT(4)) < 0)
        fail(EXIT_OWN_FAILURE, "the snapshot %s can't be kept: %s", name, strerror(errno));
    fchmod(image, 0400);
    give_name(store, image, name, ".image");
    give_name(store, fd, name, ".json");
}

static int run_make(int argc, char **argv)
{
    static struct options options;
    struct stat status;
    if (argc < 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot make NAME [options] [--] PROGRAM [ARG...]");
    const char *name = argv[1];
    check_name(name);
    options_read(&options, argc - 1, argv + 1);
    if (!options.command[0])
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot make NAME [options] [--] PROGRAM [ARG...]");
    size_t option_count = (size_t)(options.command - (argv + 2));
    if (option_count && !strcmp(options.command[-1], "--"))
        option_count--;
    int store = open_store(true), image = open_unnamed(store);
    options.snapshot.use = PAL_SNAPSHOT_MAKE;
    options.snapshot.image = image;
    int ended = palrun(&options);
    if (!is_complete(image)) {
        warn("%s: no snapshot: the program ended (status %d) without a fork() that could be written, after it had written to /proc/pal/ready: see docs/snapshots.md",
             name, ended);
        return ended ? ended : EXIT_OWN_FAILURE;
    }
    keep(store, image, name, argv + 2, option_count, options.command);
    if (fstat(image, &status) == 0)
        fprintf(stderr, "pal-run: snapshot %s: %.1f MiB\n", name, (double)status.st_blocks * 512 / (1 << 20));
    return ended;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static char **words_of(const json_t *array, size_t *count)
{
    *count = json_array_size(array);
    char **words = must_allocate((*count + 1) * sizeof *words);
    for (size_t i = 0; i < *count; i++) {
        const char *word = json_string_value(json_array_get(array, i));
        words[i] = must_copy(word ? word : "");
    }
    return words;
}

/* PROGRAM of when it was made, and the arguments of now. */
static char **clone_command(const json_t *facts, char **arguments)
{
    size_t count = 0, made;
    char **command = words_of(json_object_get(facts, "command"), &made);
    if (!made)
        fail(EXIT_OWN_FAILURE, "the snapshot's facts are damaged: make it anew");
    while (arguments[count])
        count++;
    char **words = must_allocate((count + 2) * sizeof *words);
    words[0] = command[0];
    memcpy(words + 1, arguments, count * sizeof *words);
    return words;
}

/* Another pal-run, in the directory that the snapshot was made in. */
static void make_again(const char *name, const json_t *facts)
{
    size_t option_count, count;
    char **options = words_of(json_object_get(facts, "options"), &option_count);
    char **command = words_of(json_object_get(facts, "command"), &count);
    char **words = must_allocate((option_count + count + 6) * sizeof *words), **at = words;
    *at++ = (char *)"pal-run";
    *at++ = (char *)"snapshot";
    *at++ = (char *)"make";
    *at++ = (char *)name;
    for (size_t i = 0; i < option_count; i++)
        *at++ = options[i];
    *at++ = (char *)"--";
    for (size_t i = 0; i < count; i++)
        *at++ = command[i];
    pid_t child = fork();
    if (child == 0) {
        if (chdir(text_of(facts, "directory")) == 0)
            execv("/proc/self/exe", words);
        _exit(EXIT_OWN_FAILURE);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        fail(EXIT_OWN_FAILURE, "%s: the snapshot can't be made again", name);
}

/* Options of its own are the whole policy; without any, those hold that the snapshot was made with. */
static void clone_options(struct options *options, int argc, char **argv, const json_t *facts)
{
    size_t count;
    char **recorded = words_of(json_object_get(facts, "options"), &count);
    char **arguments = options->command + 1;
    if (options->command == argv + 1 && count) {
        char **words = must_allocate((count + 3) * sizeof *words);
        words[0] = argv[0];
        memcpy(words + 1, recorded, count * sizeof *words);
        memset(options, 0, sizeof *options);
        options_read(options, (int)count + 1, words);
    }
    (void)argc;
    options->command = clone_command(facts, arguments);
}

static int run_clone(int argc, char **argv)
{
    static struct options options;
    bool remakes = argc > 1 && !strcmp(argv[1], "--remake");
    if (remakes) {
        argc--;
        argv++;
    }
    options_read(&options, argc, argv);
    const char *name = options.command[0];
    if (!name)
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot run [--remake] [options] NAME [ARG...]");
    int store = open_store(false);
    json_t *facts = must_read(store, name);
    if (strcmp(text_of(facts, "identity"), identity_text()) != 0) {
        if (!remakes)
            fail(EXIT_OWN_FAILURE, "%s: was made by another pal-run, or on another processor: snapshot run --remake makes it anew", name);
        make_again(name, facts);
    }
    clone_options(&options, argc, argv, facts);
    options.snapshot.use = PAL_SNAPSHOT_RUN;
    options.snapshot.name = name;
    options.snapshot.image = open_file(store, name, ".image");
    if (options.snapshot.image < 0)
        fail(EXIT_OWN_FAILURE, "%s: its image can't be opened: %s", name, strerror(errno));
    close(store);
    return palrun(&options);
}

/* ---- list, info, rm ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Allocated; NULL at the end. */
static char **names_of(int store)
{
    size_t count = 0, room = 16;
    char **names = must_allocate(room * sizeof *names);
    DIR *directory = store < 0 ? NULL : fdopendir(dup(store));
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || size < 6 || strcmp(entry->d_name + size - 5, ".json") != 0)
            continue;
        if (count + 2 > room) {
            char **more = reallocarray(names, room *= 2, sizeof *names);
            if (!more)
                fail(EXIT_OWN_FAILURE, "no memory for the names of snapshots");
            names = more;
        }
        names[count++] = must_print("%.*s", (int)size - 5, entry->d_name);
    }
    if (directory)
        closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    names[count] = NULL;
    return names;
}

static char *command_text(const json_t *facts)
{
    size_t at;
    json_t *word;
    char *text = must_copy("");
    json_array_foreach(json_object_get(facts, "command"), at, word) {
        char *longer = must_print("%s%s%s", text, at ? " " : "", json_string_value(word) ? json_string_value(word) : "");
        free(text);
        text = longer;
    }
    return text;
}

static json_t *told(int store, const char *name)
{
    struct stat status;
    json_t *facts = must_read(store, name);
    int image = open_file(store, name, ".image");
    json_object_set_new(facts, "name", json_string(name));
    if (image >= 0 && fstat(image, &status) == 0)
        json_object_set_new(facts, "bytes", json_integer((json_int_t)status.st_blocks * 512));
    json_object_set_new(facts, "usable", json_boolean(image >= 0 && !strcmp(text_of(facts, "identity"), identity_text())));
    if (image >= 0)
        close(image);
    return facts;
}

static void print_line(const json_t *facts)
{
    char made[32] = "";
    time_t when = (time_t)json_integer_value(json_object_get(facts, "made"));
    struct tm local;
    if (localtime_r(&when, &local))
        strftime(made, sizeof made, "%F %R", &local);
    printf("%-20s %8.1f MiB  %s  %s%s\n", text_of(facts, "name"),
           (double)json_integer_value(json_object_get(facts, "bytes")) / (1 << 20), made, command_text(facts),
           json_is_true(json_object_get(facts, "usable")) ? "" : "  (of another pal-run or processor: --remake)");
}

static int run_list(int argc, char **argv)
{
    bool json = command_wants_json(&argc, &argv);
    int store = open_store(false);
    json_t *all = json_array();
    for (char **name = names_of(store); *name; name++) {
        json_t *facts = told(store, *name);
        if (!json)
            print_line(facts);
        json_array_append_new(all, facts);
    }
    if (json)
        command_print_json(all);
    return 0;
}

static int run_info(int argc, char **argv)
{
    if (argc != 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot info NAME");
    command_print_json(told(open_store(false), argv[1]));
    return 0;
}

/* Clones that run go on: they have it open. */
static int run_rm(int argc, char **argv)
{
    if (argc < 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot rm NAME...");
    int store = open_store(false);
    for (int i = 1; i < argc; i++) {
        json_decref(must_read(store, argv[i]));
        unlinkat(store, must_print("%s.json", argv[i]), 0);
        unlinkat(store, must_print("%s.image", argv[i]), 0);
    }
    return 0;
}

int snapshot_main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(int argc, char **argv); } rows[] = {
        {"make", run_make}, {"run", run_clone}, {"list", run_list}, {"info", run_info}, {"rm", run_rm},
    };
    for (size_t i = 0; argc > 1 && i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(argv[1], rows[i].name))
            return rows[i].run(argc - 1, argv + 1);
    fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot make|run|list|info|rm ...: see docs/snapshots.md");
}

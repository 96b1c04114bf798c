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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"

#define NAME_SIZE_MAX 64
#define JSON_MAX (1u << 20)
#define VARIANTS_MAX 64u
#define NS 1000000000.0

/* ---- Where they lie ---------------------------------------------------------------------------------------------- */

/* The directory of snapshots, -1 where there is none. */
static int open_store(bool makes)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const char *base = data && data[0] == '/' ? data : home;
    if (!base || base[0] != '/')
        fail(EXIT_OWN_FAILURE, "no directory for snapshots: set HOME or XDG_DATA_HOME");
    int store = user_directory("XDG_DATA_HOME", "share", "snapshots", makes);
    if (store < 0 && errno == EPERM)
        fail(EXIT_OWN_FAILURE, "the snapshot directory below %s belongs to another user, or others can write it: move it away",
             base);
    if (store < 0 && makes)
        fail(EXIT_OWN_FAILURE, "%s: snapshots can't be kept there: %s", base, strerror(errno));
    return store;
}

static void check_name(const char *name)
{
    if (!name || !user_name_is_good(name, NAME_SIZE_MAX))
        fail(EXIT_OWN_FAILURE, "%s: not a name for a snapshot: expected up to %d letters, digits, '.', '_', '-'", name ? name : "", NAME_SIZE_MAX);
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

/* Another pal-run, in this directory (NULL: the current one).  Its wait status. */
static int run_again(char **words, const char *directory)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (!directory || chdir(directory) == 0)
            execv("/proc/self/exe", words);
        _exit(EXIT_OWN_FAILURE);
    }
    return child < 0 || waitpid(child, &status, 0) != child ? -1 : status;
}

/* ---- make -------------------------------------------------------------------------------------------------------- */

static bool is_complete(int image)
{
    uint64_t magic = 0;
    return pread(image, &magic, sizeof magic, 0) == sizeof magic && magic;
}

/* Under a name of its own first, so that NAME always opens as the old one or the new one, whole. */
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
        fail(EXIT_OWN_FAILURE, "can't make a file for the snapshot: %s", strerror(errno));
    return fd;
}

struct making {
    const char *name;
    char **words;      /* what makes it again: from --at and --variants on */
    unsigned variants; /* images: each with a layout and seeds of its own */
    unsigned variant;  /* this run makes that one alone; 0: the first, and the facts */
    struct options options;
};

/* The image's suffix. */
static char *suffix_of(unsigned variant)
{
    return variant ? must_print(".image.%u", variant) : must_copy(".image");
}

static void keep(int store, const struct making *making, char *const *options, size_t option_count, char *const *command)
{
    const char *name = making->name;
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
    json_object_set_new(facts, "variants", json_integer(making->variants));
    json_object_set_new(facts, "making", strings(making->words, (size_t)(options - making->words)));
    json_object_set_new(facts, "options", strings(options, option_count));
    json_object_set_new(facts, "command", strings(command, argc));
    int fd = open_unnamed(store);
    if (json_dumpfd(facts, fd, JSON_INDENT(4)) < 0)
        fail(EXIT_OWN_FAILURE, "the snapshot %s can't be kept: %s", name, strerror(errno));
    give_name(store, fd, name, ".json");
}

/* `--NAME VALUE` or `--NAME=VALUE` in front: its value. */
static const char *take_value(char ***words, const char *name)
{
    size_t size = strlen(name);
    if (!**words || strncmp(**words, name, size) != 0 || ((**words)[size] && (**words)[size] != '='))
        return NULL;
    const char *value = (**words)[size] ? **words + size + 1 : (*words)[1];
    if (!value)
        fail(EXIT_OWN_FAILURE, "%s: needs a value", name);
    *words += (**words)[size] ? 1 : 2;
    return value;
}

static void read_point(struct options *options, const char *text)
{
    char *end = NULL;
    double seconds = !strncmp(text, "after=", 6) ? strtod(text + 6, &end) : 0;
    if (!strcmp(text, "ready"))
        options->snapshot.point = PAL_SNAPSHOT_READY;
    else if (!strcmp(text, "fork"))
        options->snapshot.point = PAL_SNAPSHOT_FORK;
    else if (!strcmp(text, "stdin"))
        options->snapshot.point = PAL_SNAPSHOT_STDIN;
    else if (end && end != text + 6 && !*end && seconds > 0 && seconds < 1e9)
        options->snapshot.point = PAL_SNAPSHOT_AFTER;
    else
        fail(EXIT_OWN_FAILURE, "--at %s: expected ready, fork, stdin or after=SECONDS", text);
    options->snapshot.after = (uint64_t)(seconds * NS);
}

static unsigned read_count(const char *name, const char *text, unsigned least)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || value < least || value > VARIANTS_MAX)
        fail(EXIT_OWN_FAILURE, "%s %s: expected a number from %u to %u", name, text, least, VARIANTS_MAX);
    return (unsigned)value;
}

/* NAME [--at POINT] [--variants N] [options] [--] PROGRAM [ARG...] */
static void read_making(struct making *making, int argc, char **argv)
{
    static const char usage[] = "usage: pal-run snapshot make NAME [--at POINT] [--variants N] [options] [--] PROGRAM [ARG...]";
    const char *value;
    if (argc < 2)
        fail(EXIT_OWN_FAILURE, "%s", usage);
    char **words = argv + 2, **end = argv + argc;
    making->name = argv[1];
    making->variants = 1;
    check_name(making->name);
    if ((value = take_value(&words, "--variant")))
        making->variant = read_count("--variant", value, 1);
    making->words = words;
    for (bool any = true; any;) {
        any = false;
        if ((value = take_value(&words, "--at"))) {
            read_point(&making->options, value);
            any = true;
        }
        if ((value = take_value(&words, "--variants"))) {
            making->variants = read_count("--variants", value, 1);
            any = true;
        }
    }
    words[-1] = argv[0];
    options_read(&making->options, (int)(end - words) + 1, words - 1);
    if (!making->options.command[0])
        fail(EXIT_OWN_FAILURE, "%s", usage);
}

/* In other pal-runs: the same again. */
static void make_variants(const struct making *making, char **argv)
{
    size_t count = 0;
    while (argv[count])
        count++;
    char **words = must_allocate((count + 4) * sizeof *words);
    words[0] = (char *)"pal-run";
    words[1] = (char *)"snapshot";
    words[2] = argv[0];
    words[3] = argv[1];
    for (unsigned variant = 1; variant < making->variants; variant++) {
        words[4] = must_print("--variant=%u", variant);
        memcpy(words + 5, argv + 2, (count - 1) * sizeof *words);
        if (run_again(words, NULL))
            fail(EXIT_OWN_FAILURE, "%s: variant %u can't be made", making->name, variant);
    }
}

/* Of the time when there were more. */
static void remove_variants(int store, const char *name, unsigned from)
{
    for (unsigned variant = from; variant < VARIANTS_MAX; variant++)
        unlinkat(store, must_print("%s.image.%u", name, variant), 0);
}

static int run_make(int argc, char **argv)
{
    static struct making making;
    struct options *options = &making.options;
    struct stat status;
    char **words = must_allocate(((size_t)argc + 1) * sizeof *words); /* as they were given */
    memcpy(words, argv, (size_t)argc * sizeof *words);
    read_making(&making, argc, argv);
    char **first = words + (options->command - argv), **begin = words + (making.words - argv), **own = begin;
    making.words = begin;
    while (take_value(&own, "--at") || take_value(&own, "--variants"))
        ;
    size_t option_count = (size_t)(first - own);
    if (option_count && !strcmp(first[-1], "--"))
        option_count--;
    int store = open_store(true), image = open_unnamed(store);
    options->snapshot.use = PAL_SNAPSHOT_MAKE;
    options->snapshot.image = image;
    if (options->snapshot.point >= PAL_SNAPSHOT_STDIN && !making.variant)
        warn("%s: the snapshot is not at a fork() of the program: random numbers it has drawn ahead are the same in all clones", making.name);
    int ended = palrun(options);
    if (!is_complete(image)) {
        warn("%s: no snapshot: the program ended (status %d) and never forked after writing to /proc/pal/ready: see docs/snapshots.md",
             making.name, ended);
        return ended ? ended : EXIT_OWN_FAILURE;
    }
    fchmod(image, 0400);
    give_name(store, image, making.name, suffix_of(making.variant));
    if (making.variant)
        return ended;
    make_variants(&making, words);
    keep(store, &making, own, option_count, first);
    remove_variants(store, making.name, making.variants);
    if (fstat(image, &status) == 0)
        fprintf(stderr, "pal-run: snapshot %s: %.1f MiB%s\n", making.name, (double)status.st_blocks * 512 / (1 << 20),
                making.variants > 1 ? must_print(", and %u more", making.variants - 1) : "");
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
        fail(EXIT_OWN_FAILURE, "the snapshot's description is damaged: make it again");
    while (arguments[count])
        count++;
    char **words = must_allocate((count + 2) * sizeof *words);
    words[0] = command[0];
    memcpy(words + 1, arguments, count * sizeof *words);
    return words;
}

/* In the directory that the snapshot was made in. */
static void make_again(const char *name, const json_t *facts)
{
    static const char *const parts[] = {"making", "options", "command"};
    size_t total = 0, used = 4;
    for (size_t i = 0; i < 3; i++)
        total += json_array_size(json_object_get(facts, parts[i]));
    char **words = must_allocate((total + 6) * sizeof *words);
    words[0] = (char *)"pal-run";
    words[1] = (char *)"snapshot";
    words[2] = (char *)"make";
    words[3] = (char *)name;
    for (size_t i = 0; i < 3; i++) {
        size_t count;
        char **more = words_of(json_object_get(facts, parts[i]), &count);
        if (i == 2)
            words[used++] = (char *)"--";
        memcpy(words + used, more, count * sizeof *words);
        used += count;
    }
    if (run_again(words, text_of(facts, "directory")))
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

static bool is_of_this(const json_t *facts)
{
    return !strcmp(text_of(facts, "identity"), identity_text());
}

void snapshot_must_hold(const char *name)
{
    int store = open_store(false);
    if (!is_of_this(must_read(store, name)))
        fail(EXIT_OWN_FAILURE, "%s: was made by another pal-run or on another processor: snapshot run --remake makes it again", name);
    close(store);
}

/* One of its images: which one, nobody is to know. */
static int open_image(int store, const char *name, const json_t *facts)
{
    uint32_t bits = 0;
    json_int_t variants = json_integer_value(json_object_get(facts, "variants"));
    if (variants > 1 && getrandom(&bits, sizeof bits, 0) == sizeof bits)
        bits %= (uint32_t)variants;
    int image = open_file(store, name, suffix_of(variants > 1 ? bits : 0));
    if (image < 0)
        fail(EXIT_OWN_FAILURE, "%s: its image can't be opened: %s", name, strerror(errno));
    return image;
}

/* Of a pool, serve.c's: `--member=LISTENER,NEWS,TOUCHED,LEARNS,SERVER`. */
static bool read_member(struct options *options, const char *word)
{
    struct pool_member *member = &options->snapshot.member;
    int parent, learns;
    if (!word || sscanf(word, "--member=%d,%d,%d,%d,%d", &member->listener, &member->server, &member->touched, &learns, &parent) != 5)
        return false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pal-run"); /* not "exe" */
    if (getppid() != parent)
        fail(EXIT_OWN_FAILURE, "the pool's server ended");
    fcntl(member->listener, F_SETFD, FD_CLOEXEC);
    fcntl(member->server, F_SETFD, FD_CLOEXEC);
    fcntl(member->touched, F_SETFD, FD_CLOEXEC);
    member->learns = learns;
    options->snapshot.flags = PAL_SNAPSHOT_WAITS | (learns ? PAL_SNAPSHOT_LEARNS : 0);
    return true;
}

/* [--remake] [options] NAME [ARG...] */
static int run_clone(int argc, char **argv)
{
    static struct options options, pool;
    char **whole = argv;
    const char *path;
    char **words = argv + 1;
    if ((path = take_value(&words, "--pool")))
        return pool_run(path, (int)(argv + argc - words), words);
    bool member = read_member(&pool, argv[1]), remakes = argc > 1 && !strcmp(argv[1], "--remake");
    argc -= member || remakes;
    argv += member || remakes;
    options_read(&options, argc, argv);
    const char *name = options.command[0];
    if (!name)
        fail(EXIT_OWN_FAILURE, "usage: pal-run snapshot run [--remake] [options] NAME [ARG...]");
    int store = open_store(false);
    json_t *facts = must_read(store, name);
    bool old = !is_of_this(facts);
    if (old && !remakes)
        fail(EXIT_OWN_FAILURE, "%s: was made by another pal-run or on another processor: snapshot run --remake makes it again", name);
    if (old)
        make_again(name, facts);
    clone_options(&options, argc, argv, facts);
    options.snapshot = pool.snapshot;
    options.snapshot.use = PAL_SNAPSHOT_RUN;
    options.snapshot.name = name;
    options.snapshot.image = open_image(store, name, facts);
    if (remakes && !old)
        options.snapshot.flags = PAL_SNAPSHOT_TELLS;
    close(store);
    int status = palrun(&options);
    if (status != PALRUN_STALE)
        return status;
    make_again(name, facts);
    whole[1] = whole[0]; /* without --remake, and once */
    whole[0] = (char *)"snapshot";
    whole[-1] = (char *)"pal-run";
    execv("/proc/self/exe", whole - 1);
    fail(EXIT_OWN_FAILURE, "%s: pal-run can't be started again: %s", name, strerror(errno));
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
    json_object_set_new(facts, "usable", json_boolean(image >= 0 && is_of_this(facts)));
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
        remove_variants(store, argv[i], 1);
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

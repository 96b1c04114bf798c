/* SPDX-License-Identifier: MIT */
/*
 * pal-run in a bundle: the program that it holds, by the policy that it holds.  What follows on the command line is the program's, but for
 * words that begin with --pal-, of which there are few: they tell something, or grant less.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/launch/launch.h"
#include "loader/pack/pack.h"

#define OWN "--pal-"

static void damaged(const char *name, const char *why) __attribute__((noreturn));
static void damaged(const char *name, const char *why)
{
    fail(EXIT_OWN_FAILURE, "%s: not run: %s", name, why);
}

/* ---- What it takes ----------------------------------------------------------------------------------------------- */

static void take_report(struct options *options, const char *value) { (void)value; options->report = true; }
static void take_stats(struct options *options, const char *value) { (void)value; options->stats = true; }
static void take_strict(struct options *options, const char *value) { (void)value; options->walls_monitor = true; }

static void take_memory(struct options *options, const char *value)
{
    if (!size_read(value, &options->memory))
        fail(EXIT_OWN_FAILURE, OWN "memory=%s: expected bytes, or a size such as 512M", value);
}

static void take_timeout(struct options *options, const char *value)
{
    if (!duration_read(value, &options->wall_seconds))
        fail(EXIT_OWN_FAILURE, OWN "timeout=%s: expected seconds, or a time such as 5m", value);
}

static const struct sealed_option {
    const char *name;
    bool value;
    void (*take)(struct options *options, const char *value);
} table[] = {
    {"report", false, take_report}, {"stats", false, take_stats}, {"strict", false, take_strict},
    {"memory", true, take_memory},  {"timeout", true, take_timeout},
};

static void take(struct options *options, const char *word)
{
    const char *name = word + strlen(OWN), *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == size && !memcmp(table[i].name, name, size) && table[i].value == (equals != NULL)) {
            table[i].take(options, equals ? equals + 1 : NULL);
            return;
        }
    fail(EXIT_OWN_FAILURE, "%s: a bundle is sealed, and takes no other policy: only " OWN "policy, " OWN "report, " OWN "stats, " OWN "strict, "
         OWN "memory=SIZE, " OWN "timeout=TIME, each for less or to tell", word);
}

/* No limit that the bundle has is raised. */
static void narrow(struct options *options, const struct limits *limits)
{
    if (options->memory > limits->memory)
        options->memory = limits->memory;
    if (options->wall_seconds > limits->wall_seconds)
        options->wall_seconds = limits->wall_seconds;
}

/* ---- Its parts --------------------------------------------------------------------------------------------------- */

static char *read_policy(const char *name, int file, const struct bundle_end *end)
{
    char *text = must_allocate(end->policy_size + 1);
    if (pread(file, text, end->policy_size, (off_t)end->policy) != (ssize_t)end->policy_size)
        damaged(name, "its policy can't be read");
    return text;
}

/* The program's own arguments, and those of this run. */
static char **command(const struct manifest *manifest, char **more, int count)
{
    char **argv = must_allocate((manifest->arg_count + (size_t)count + 2) * sizeof *argv);
    size_t at = 0;
    argv[at++] = (char *)manifest->program;
    for (size_t i = 0; i < manifest->arg_count; i++)
        argv[at++] = manifest->args[i];
    for (int i = 0; i < count; i++)
        argv[at++] = more[i];
    return argv;
}

/* Its files and its policy, all checked.  Ends pal-run where something is wrong. */
static void open_bundle(const char *name, struct sealed *sealed, char **text, size_t *size)
{
    struct bundle_end end;
    struct stat status;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0)
        damaged(name, "its own file can't be read: bundles need the host's /proc");
    const char *wrong = bundle_read_end(file, (uint64_t)status.st_size, &end);
    if (wrong)
        damaged(name, wrong);
    sealed->files = unpacked_open(file, &end, &wrong);
    if (!wrong && !sealed->files)
        wrong = bundle_check(file, &end);
    if (wrong)
        damaged(name, wrong);
    sealed->image = "/proc/self/exe";
    sealed->offset = end.image;
    *text = read_policy(name, file, &end);
    *size = end.policy_size;
    close(file);
}

static int print_policy(const char *text, size_t size)
{
    launch_abandon();
    return fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

int bundle_main(int argc, char **argv)
{
    static struct options options;
    static struct manifest manifest;
    static struct sealed sealed = {.manifest = &manifest};
    const char *name = argc ? argv[0] : "bundle";
    int first = 1;
    char *text;
    size_t size;
    open_bundle(name, &sealed, &text, &size);
    char *error = manifest_parse(name, text, size, &manifest);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s", error);
    if (!manifest.program || manifest.extends)
        damaged(name, "its policy is not whole");
    for (; first < argc && !strncmp(argv[first], OWN, strlen(OWN)); first++) {
        if (!strcmp(argv[first], OWN "policy"))
            return print_policy(text, size);
        take(&options, argv[first]);
    }
    narrow(&options, &manifest.limits);
    sealed.name = name;
    options.sealed = &sealed;
    options.command = command(&manifest, argv + first, argc - first);
    return palrun(&options);
}

/* SPDX-License-Identifier: MIT */
/* The command line.  Options end at PROGRAM: its own arguments are left alone. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader.h"

#define VERSION "pal-run 0.1.0\n"

static const char help[] =
    "Usage: pal-run [options] [-m MANIFEST] [--] PROGRAM [ARG...]\n"
    "Runs an unmodified Linux program in a confined picoprocess.\n\n"
    "  -m, --manifest FILE      policy from a TOML file; without it, a built-in one\n"
    "      --ro PATH, --rw PATH show one more file or folder, read-only or writable; AT=FROM: elsewhere\n"
    "      --env NAME[=VALUE]   set a variable, or pass one on\n"
    "      --cwd DIR            folder to start in\n"
    "      --report             say at the end what was asked for and denied\n"
    "      --trace, --stats     each system call; counts of calls\n"
    "      --trap=sud|seccomp   how system calls reach the libOS (seccomp: hosts without Syscall User Dispatch)\n"
    "      --no-rewrite         leave every call site on the trap\n"
    "      --help, --version\n\n"
    "Without a manifest the program sees /usr, /lib*, /bin, /sbin, the public parts of /etc, its own folder and the\n"
    "current one, all read-only; a private, empty, writable /tmp and home; no network; a reduced environment.\n\n"
    "Exit status: the program's; 128+N if signal N killed it; 125 pal-run failed, 126 not executable, 127 not found.\n";

enum { OPTION_RO = 256, OPTION_RW, OPTION_ENV, OPTION_CWD, OPTION_REPORT, OPTION_TRACE, OPTION_STATS, OPTION_TRAP,
       OPTION_NO_REWRITE, OPTION_PICOPROCESS, OPTION_FAULT, OPTION_VERSION, OPTION_HELP };

static const struct option known[] = {
    {"manifest", required_argument, NULL, 'm'},
    {"ro", required_argument, NULL, OPTION_RO},
    {"rw", required_argument, NULL, OPTION_RW},
    {"env", required_argument, NULL, OPTION_ENV},
    {"cwd", required_argument, NULL, OPTION_CWD},
    {"report", no_argument, NULL, OPTION_REPORT},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"trap", required_argument, NULL, OPTION_TRAP},
    {"no-rewrite", no_argument, NULL, OPTION_NO_REWRITE},
    {"picoprocess", required_argument, NULL, OPTION_PICOPROCESS}, /* tests: another first program */
    {"fault", required_argument, NULL, OPTION_FAULT},             /* tests: the n-th PAL call fails */
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static void print_and_leave(const char *text) __attribute__((noreturn));
static void print_and_leave(const char *text)
{
    size_t size = strlen(text);
    launch_abandon();
    _exit(write(STDOUT_FILENO, text, size) == (ssize_t)size ? 0 : EXIT_OWN_FAILURE);
}

static void add_mount(struct options *options, char *argument, bool writable)
{
    if (options->mount_count == sizeof options->mounts / sizeof *options->mounts)
        fail(EXIT_OWN_FAILURE, "--%s %s: too many mounts: write a manifest", writable ? "rw" : "ro", argument);
    struct option_mount *mount = &options->mounts[options->mount_count++];
    char *equals = strchr(argument, '=');
    *mount = (struct option_mount){.at = argument, .writable = writable};
    if (equals) {
        *equals = 0;
        mount->from = equals + 1;
    }
    if (!*mount->at || (mount->from && !*mount->from) || (mount->from && mount->at[0] != '/'))
        fail(EXIT_OWN_FAILURE, "--%s: give PATH, or AT=FROM with an absolute AT", writable ? "rw" : "ro");
}

static void add_environment(struct options *options, const char *argument)
{
    if (options->environment_count == sizeof options->environment / sizeof *options->environment)
        fail(EXIT_OWN_FAILURE, "--env %s: too many: write a manifest", argument);
    if (!*argument || *argument == '=')
        fail(EXIT_OWN_FAILURE, "--env %s: give NAME or NAME=VALUE", argument);
    options->environment[options->environment_count++] = argument;
}

static uint32_t read_count(const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || !value || value > UINT32_MAX)
        fail(EXIT_OWN_FAILURE, "--%s %s: give a number from 1 on", option, text);
    return (uint32_t)value;
}

static void read_trap(struct options *options, const char *argument)
{
    options->trap_by_seccomp = !strcmp(argument, "seccomp");
    if (!options->trap_by_seccomp && strcmp(argument, "sud") != 0)
        fail(EXIT_OWN_FAILURE, "--trap=%s: give sud or seccomp", argument);
}

static void take(struct options *options, int option)
{
    switch (option) {
    case 'm': options->manifest = optarg; break;
    case OPTION_RO: add_mount(options, optarg, false); break;
    case OPTION_RW: add_mount(options, optarg, true); break;
    case OPTION_ENV: add_environment(options, optarg); break;
    case OPTION_CWD: options->cwd = optarg; break;
    case OPTION_REPORT: options->report = true; break;
    case OPTION_TRACE: options->trace = true; break;
    case OPTION_STATS: options->stats = true; break;
    case OPTION_TRAP: read_trap(options, optarg); break;
    case OPTION_NO_REWRITE: options->no_rewrite = true; break;
    case OPTION_PICOPROCESS: options->picoprocess = optarg; break;
    case OPTION_FAULT: options->fault = read_count("fault", optarg); break;
    case OPTION_VERSION: print_and_leave(VERSION);
    case OPTION_HELP: print_and_leave(help);
    }
}

void options_read(struct options *options, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:m:", known, NULL)) != -1) {
        if (option == ':')
            fail(EXIT_OWN_FAILURE, "option %s needs a value: see pal-run --help", argv[optind - 1]);
        if (option == '?')
            fail(EXIT_OWN_FAILURE, "unknown option %s: see pal-run --help", argv[optind - 1]);
        take(options, option);
    }
    options->command = argv + optind;
}

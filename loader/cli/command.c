/* SPDX-License-Identifier: MIT */
/* Commands beside running a program: `pal-run NAME ...`.  A program of such a name is run by `pal-run -- NAME`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"
#include "loader/review/review.h"

/* A shell in the sandbox that the options describe. */
static int run_shell(int argc, char **argv)
{
    static struct options options;
    static char *shell[2];
    options_read(&options, argc, argv);
    if (!options.command[0]) {
        char *wanted = getenv("SHELL");
        shell[0] = wanted && access(wanted, X_OK) == 0 ? wanted : (char *)"/bin/sh";
        options.command = shell;
    }
    return palrun(&options);
}

/* learn -o FILE [options] [--] PROGRAM... */
static int run_learn(int argc, char **argv)
{
    static struct options options;
    if (argc < 4 || (strcmp(argv[1], "-o") != 0 && strcmp(argv[1], "-l") != 0))
        fail(EXIT_OWN_FAILURE, "usage: pal-run learn -o|-l FILE [options] [--] PROGRAM [ARG...]");
    options.learn_names = argv[1][1] == 'l';
    options.learn = argv[2];
    argv[2] = argv[0];
    options_read(&options, argc - 2, argv + 2);
    if (options.manifest || options.sealed || options.network_count)
        fail(EXIT_OWN_FAILURE, "learn: takes no manifest, and the network stays closed");
    if (options.learn[0] != '/') { /* the sandbox's copy of the current directory is not where it goes */
        char *directory = realpath(".", NULL);
        options.learn = directory ? must_print("%s/%s", directory, options.learn) : options.learn;
    }
    options.no_profile = true;
    return palrun(&options);
}

static int run_completion(int argc, char **argv)
{
    if (argc != 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run completion bash|zsh|fish");
    completion_print(argv[1]);
}

static int run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    help_print();
}

const struct command_row command_rows[] = {
    {"shell", "[options]", "a shell in the sandbox that the options describe", run_shell},
    {"show", "[--json] [options] PROGRAM", "the policy that a run would have, in words", show_main},
    {"why", "[options] PATH|last", "which rule decides about a path, or what the last failed run was not shown", why_main},
    {"snapshot", "make|run|list|info|rm ...", "write a started program to an image; go on from there, as often as wanted",
     snapshot_main},
    {"serve", "NAME --socket PATH [--pool N] ...", "keep clones of a snapshot that wait for clients", serve_main},
    {"diff", "[--text|--json] [NAME]", "what a kept run changed, deletions first; NAME: the last by default", diff_main},
    {"apply", "[--force] [NAME [PATH...]]", "carry its changes over to the host's files, each at once or not at all", apply_main},
    {"drop", "NAME...", "throw kept runs away", drop_main},
    {"runs", "[--json]", "the runs that were kept", runs_main},
    {"image", "info|ls|cat|cp IMAGE[:PART] [PATH [TO]]", "look into a disk image (ext4, squashfs), or copy from it, without mounting it",
     image_main},
    {"learn", "-o FILE [options] PROGRAM", "run with nearly all shown and nothing changed; write the manifest that was needed",
     run_learn},
    {"pack", "[-o FILE] [--oci DIR] [--learn[=TIME]] [--calls LIST] [options] PROGRAM", "put a program into one file: pal-run, the files that it needs, and its policy; or into an OCI image",
     pack_main},
    {"exec", "[options] NAME|PID PROGRAM", "another program in a running sandbox: its policy, processes and loopback; streams of its own",
     exec_main},
    {"ps", "[--json]", "your running sandboxes", ps_main},
    {"kill", "[-SIGNAL] PID...", "end sandboxes; PID as `pal-run ps` shows it", kill_main},
    {"doctor", "[--json]", "what this host offers, what each part adds, what to do where one is missing", doctor_main},
    {"profile", "list|show NAME", "what is kept of programs' starts for their next one", profile_main},
    {"completion", "bash|zsh|fish", "the completion script for a shell", run_completion},
    {"help", "", "the options", run_help},
    {0},
};

const struct command_row *command_find(const char *name)
{
    for (const struct command_row *row = command_rows; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

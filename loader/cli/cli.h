/* SPDX-License-Identifier: MIT */
/* The command line.  One table of options: parsing, --help, completions and the manual page come from it. */
#ifndef LOADER_CLI_CLI_H
#define LOADER_CLI_CLI_H

#include "loader/monitor/monitor.h"

/* ---- options.c --------------------------------------------------------------------------------------------------- */

void options_read(struct options *options, int argc, char **argv);
struct option_row {
    const char *name;  /* long form, without dashes */
    char letter;       /* short form, or 0 */
    const char *value; /* what it takes, as help names it; NULL: none */
    const char *help;  /* one line; NULL: not shown (tests' own) */
    void (*take)(struct options *options, char *value);
};
extern const struct option_row option_rows[]; /* ends with a row without a name */

/* ---- command.c --------------------------------------------------------------------------------------------------- */

struct command_row {
    const char *name, *usage, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns pal-run's exit status */
};
extern const struct command_row command_rows[]; /* ends with a row without a name */
/* NULL: it is a program's name. */
const struct command_row *command_find(const char *name);

/* ---- show.c ------------------------------------------------------------------------------------------------------ */

int show_main(int argc, char **argv);
int why_main(int argc, char **argv);

/* Takes "--json" away where it stands first. */
bool command_wants_json(int *argc, char ***argv);
/* What was asked for then, to standard output.  Takes the value. */
struct json_t;
void command_print_json(struct json_t *value);

/* ---- fold.c ------------------------------------------------------------------------------------------------------ */

/* Of the terminal on standard output; of a file what is given. */
int output_width(int otherwise);
/* Words from `column` on; lines that follow begin at `indent`, where the column may stand, too.  Returns where it ends. */
int print_folded(int column, int indent, int width, const char *text);

/* ---- ps.c -------------------------------------------------------------------------------------------------------- */

int ps_main(int argc, char **argv);
int kill_main(int argc, char **argv);

/* ---- exec.c ------------------------------------------------------------------------------------------------------ */

int exec_main(int argc, char **argv);

/* ---- doctor.c ---------------------------------------------------------------------------------------------------- */

int doctor_main(int argc, char **argv);

/* ---- snapshot.c ------------------------------------------------------------------------------------------------- */

int snapshot_main(int argc, char **argv);
void snapshot_must_hold(const char *name); /* ends pal-run where it is none, or another pal-run's */

/* ---- serve.c, pool_client.c -------------------------------------------------------------------------------------- */

int serve_main(int argc, char **argv);
int pool_connect(const char *path); /* a descriptor; -1 and errno */
/* Takes a clone of the pool at `path`; argv: options and its arguments.  Its exit status. */
int pool_run(const char *path, int argc, char **argv);

/* ---- image.c ----------------------------------------------------------------------------------------------------- */

int image_main(int argc, char **argv);

/* ---- pack.c ------------------------------------------------------------------------------------------------------ */

int pack_main(int argc, char **argv);

/* ---- profile.c --------------------------------------------------------------------------------------------------- */

int profile_main(int argc, char **argv);

/* ---- help.c ------------------------------------------------------------------------------------------------------ */

/* Each prints and ends pal-run. */
void help_print(void) __attribute__((noreturn));
void version_print(void) __attribute__((noreturn));
/* SHELL: bash, zsh or fish; "scdoc": the manual page's list of options. */
void completion_print(const char *shell) __attribute__((noreturn));

#endif

/* SPDX-License-Identifier: MIT */
/* What is printed from the table of options: --help, --version, completions, the manual page's list. */
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "loader/cli/cli.h"
#include "loader/version.inc"
#include "loader/launch/launch.h"

#define HELP_COLUMN 28
#define FILE_WIDTH 80

static void leave(void) __attribute__((noreturn));
static void leave(void)
{
    launch_abandon();
    _exit(fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE);
}

/* "[=VALUE]": only behind an equals sign. */
static bool takes_optional(const struct option_row *row)
{
    return row->value && row->value[0] == '[';
}

static void print_help(int width, const char *text)
{
    if (width >= HELP_COLUMN)
        width = printf("\n") - 1;
    printf("%*s", HELP_COLUMN - width, "");
    print_folded(HELP_COLUMN, HELP_COLUMN, output_width(FILE_WIDTH), text);
    printf("\n");
}

static void print_row(const struct option_row *row)
{
    int width = row->letter ? printf("  -%c, --%s", row->letter, row->name) : printf("      --%s", row->name);
    if (row->value)
        width += printf("%s%s", takes_optional(row) ? "" : " ", row->value);
    print_help(width, row->help);
}

void help_print(void)
{
    printf("Usage: pal-run [options] [-m MANIFEST] [--] PROGRAM [ARG...]\n"
           "       pal-run COMMAND ...\n"
           "Runs an unmodified Linux program in a confined picoprocess.\n\n");
    for (const struct option_row *row = option_rows; row->name; row++)
        if (row->help)
            print_row(row);
    printf("\nCommands (a program of such a name: pal-run -- NAME):\n");
    for (const struct command_row *row = command_rows; row->name; row++) {
        print_help(printf("  %s %s", row->name, row->usage), row->help);
    }
    printf("\n");
    print_folded(0, 0, output_width(FILE_WIDTH), "Without a manifest the program sees /usr, /lib*, /bin, /sbin, the public parts of "
                 "/etc, its own directory and the current one, all read-only; a private, empty, writable /tmp and home; a reduced "
                 "environment.");
    printf("\n\n");
    print_folded(0, 0, output_width(FILE_WIDTH), "Exit status: the program's; 128+N if signal N killed it; 124 time limit exceeded; "
                 "125 pal-run failed, 126 not executable, 127 not found. Manual: pal-run(1), pal-manifest(5).");
    printf("\n");
    leave();
}

void version_print(void)
{
    size_t count;
    const struct sock_filter *filter = filter_program(false, true, &count);
    uLong digest = crc32(0, (const Bytef *)filter, (uInt)(count * sizeof *filter));
    printf("pal-run " VERSION " (commit " COMMIT ")\n"
           "filter: %u host calls admitted, all others kill (crc32 %08lx)\n", filter_calls(true), digest);
    leave();
}

/* ---- Completions ------------------------------------------------------------------------------------------------- */

static bool takes_file(const struct option_row *row)
{
    return row->value && (!strcmp(row->value, "FILE") || !strcmp(row->value, "PATH") || !strcmp(row->value, "DIR"));
}

static bool takes_choice(const struct option_row *row)
{
    return row->value && strchr(row->value, '|') && !strchr(row->value, '[');
}

/* "a|b" -> "a b" */
static void print_choices(const struct option_row *row)
{
    for (const char *at = row->value; *at; at++)
        putchar(*at == '|' ? ' ' : *at);
}

static void print_bash(void)
{
    printf("# bash completion for pal-run\n_pal_run() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} i word\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=${COMP_WORDS[i]}\n        case $word in\n"
           "        --) _command_offset $((i + 1)); return ;;\n        ");
    const char *bar = "";
    for (const struct option_row *row = option_rows; row->name; row++) {
        if (!row->help || !row->value || takes_optional(row))
            continue;
        printf("%s--%s", bar, row->name);
        if (row->letter)
            printf("|-%c", row->letter);
        bar = "|";
    }
    printf(") ((i++)) ;;\n        -*) ;;\n        *) _command_offset $i; return ;;\n        esac\n    done\n"
           "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n");
    for (const struct option_row *row = option_rows; row->name; row++) {
        if (!row->help || !row->value || takes_optional(row))
            continue;
        printf("    --%s", row->name);
        if (row->letter)
            printf("|-%c", row->letter);
        printf(") COMPREPLY=(");
        if (takes_choice(row)) {
            printf("$(compgen -W '");
            print_choices(row);
            printf("' -- \"$cur\")");
        } else if (takes_file(row)) {
            printf("$(compgen -f -- \"$cur\")");
        }
        printf("); return ;;\n");
    }
    printf("    esac\n    if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W '");
    for (const struct option_row *row = option_rows; row->name; row++)
        if (row->help)
            printf("--%s ", row->name);
    printf("' -- \"$cur\"))\n    else\n        COMPREPLY=($(compgen -c -- \"$cur\"))\n    fi\n}\n"
           "complete -o filenames -o bashdefault -F _pal_run pal-run\n");
}

/* Text within '...' of a shell, where [ ] : are zsh's own. */
static void print_quoted(const char *text, bool zsh)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (zsh && strchr("[]:", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void print_zsh(void)
{
    printf("#compdef pal-run\n_arguments -S \\\n");
    for (const struct option_row *row = option_rows; row->name; row++) {
        if (!row->help)
            continue;
        printf("    '*--%s%s[", row->name, row->value && !takes_optional(row) ? "=" : "");
        print_quoted(row->help, true);
        printf("]");
        if (takes_choice(row)) {
            printf(":value:(");
            print_choices(row);
            printf(")");
        } else if (row->value && !takes_optional(row)) {
            printf(":value:%s", takes_file(row) ? "_files" : "");
        }
        printf("' \\\n");
    }
    printf("    '(-):program:_command_names -e' \\\n    '*::arguments:_normal'\n");
}

static void print_fish(void)
{
    printf("# fish completion for pal-run\n"
           "complete -c pal-run -x -a '(__fish_complete_subcommand)'\n");
    for (const struct option_row *row = option_rows; row->name; row++) {
        if (!row->help)
            continue;
        printf("complete -c pal-run -l %s", row->name);
        if (row->letter)
            printf(" -s %c", row->letter);
        if (takes_choice(row)) {
            printf(" -x -a '");
            print_choices(row);
            printf("'");
        } else if (row->value) {
            printf(takes_file(row) ? " -r -F" : " -x");
        }
        printf(" -d '");
        print_quoted(row->help, false);
        printf("'\n");
    }
}

/* For docs/man/pal-run.1.scd: scdoc takes _ and * as marks. */
static void print_escaped(const char *text)
{
    for (; *text; text++) {
        if (strchr("_*\\[]", *text))
            putchar('\\');
        putchar(*text);
    }
}

static void print_scdoc(void)
{
    for (const struct option_row *row = option_rows; row->name; row++) {
        if (!row->help)
            continue;
        if (row->letter)
            printf("*-%c*, ", row->letter);
        printf("*--%s*", row->name);
        if (row->value) {
            printf(takes_optional(row) ? "" : " ");
            print_escaped(row->value);
        }
        printf("\n\t");
        print_escaped(row->help);
        printf("\n\n");
    }
}

static void print_scdoc_commands(void)
{
    for (const struct command_row *row = command_rows; row->name; row++) {
        printf("*%s* ", row->name);
        print_escaped(row->usage);
        printf("\n\t");
        print_escaped(row->help);
        printf("\n\n");
    }
}

void completion_print(const char *shell)
{
    static const struct { const char *name; void (*print)(void); } shells[] = {
        {"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}, {"scdoc", print_scdoc},
        {"scdoc-commands", print_scdoc_commands},
    };
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) != 0)
            continue;
        shells[i].print();
        leave();
    }
    fail(EXIT_OWN_FAILURE, "completion %s: expected bash, zsh or fish", shell);
}

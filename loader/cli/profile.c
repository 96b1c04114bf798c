/* SPDX-License-Identifier: MIT */
/* `pal-run profile`: what is kept of programs' starts, so that the next one is told ahead. */
#include <stdio.h>
#include <string.h>

#include "loader/cli/cli.h"
#include "loader/explain/explain.h"
#include "loader/launch/launch.h"

#define HEADER "pal-run profile 2\n"
#define NAME_SIZE 32

static char text[64 * 1024 + 1];

/* Names are a guest's: printable ASCII of them reaches a terminal. */
static void print_line(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (line[i] >= ' ' && line[i] <= '~')
            putchar(line[i]);
        else
            printf("\\x%02x", (unsigned char)line[i]);
    putchar('\n');
}

static size_t read_profile(const char *name)
{
    size_t size = strlen(name) == NAME_SIZE ? store_read(name, text, sizeof text - 1) : 0;
    text[size] = 0;
    return size > strlen(HEADER) && !strncmp(text, HEADER, strlen(HEADER)) ? size : 0;
}

static void list_one(const char *name, time_t used)
{
    char when[32] = "";
    size_t size = read_profile(name), names = 0;
    const char *line = text + strlen(HEADER), *program = "(program not noted)";
    if (!size)
        return;
    for (const char *at = line; *at; at += strcspn(at, "\n") + 1)
        names += *at == 'o' || *at == 's';
    if (*line == 'p')
        program = line + 2;
    strftime(when, sizeof when, "%Y-%m-%d", localtime(&used));
    printf("%s  %s  %4zu names  ", name, when, names);
    print_line(program, strcspn(program, "\n"));
}

/* Those of a program, or of that name. */
static const char *wanted;
static int shown;

static void show_one(const char *name, time_t used)
{
    (void)used;
    size_t wanted_size = strlen(wanted);
    if (!read_profile(name))
        return;
    const char *line = text + strlen(HEADER);
    bool of_program = *line == 'p' && !strncmp(line + 2, wanted, wanted_size) && line[2 + wanted_size] == '\n';
    if (!of_program && strcmp(name, wanted) != 0)
        return;
    size_t sites = 0;
    shown++;
    printf("%s:\n", name);
    for (; *line; line += strcspn(line, "\n") + 1) {
        if (!strncmp(line, "v\n", 2))
            printf("  many names: later ones are looked up by the program itself\n");
        sites += *line == 't';
        if (!strchr("pos", *line))
            continue;
        printf("  %s  ", *line == 'p' ? "program   " : *line == 'o' ? "opened    " : "looked up ");
        print_line(line + 2, strcspn(line + 2, "\n"));
    }
    if (sites)
        printf("  %zu call sites\n", sites);
}

int profile_main(int argc, char **argv)
{
    launch_abandon();
    store_open();
    if (argc == 2 && !strcmp(argv[1], "list")) {
        store_list(list_one);
    } else if (argc == 3 && !strcmp(argv[1], "show")) {
        wanted = argv[2];
        store_list(show_one);
        if (!shown)
            fail(1, "profile show %s: no such profile: see pal-run profile list", wanted);
    } else {
        fail(EXIT_OWN_FAILURE, "usage: pal-run profile list | show NAME|PROGRAM");
    }
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

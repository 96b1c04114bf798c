/* SPDX-License-Identifier: MIT */
/* The command line, as CommandLineToArgvW has it; and what is to be run by it. */
#include "pal/windows/windows.h"

#define TEXT_ROOM 0x20000

static char text[TEXT_ROOM]; /* of all arguments, a zero behind each */
static const char *arguments[MOST_ARGUMENTS + 1];

/* One argument: quotes group, a backslash is special before a quote alone.  Returns what follows it. */
static const WCHAR *read_argument(const WCHAR *at, WCHAR *out)
{
    int quoted = 0;
    while (*at && (quoted || (*at != ' ' && *at != '\t'))) {
        uint32_t slashes = 0;
        while (*at == '\\')
            slashes++, at++;
        uint32_t kept = *at == '"' ? slashes / 2 : slashes;
        while (kept--)
            *out++ = '\\';
        if (*at == '"' && slashes % 2)
            *out++ = *at++;
        else if (*at == '"')
            quoted = !quoted, at++;
        else if (*at && (quoted || (*at != ' ' && *at != '\t')))
            *out++ = *at++;
    }
    *out = 0;
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static uint32_t read_arguments(void)
{
    static WCHAR wide[TEXT_ROOM / 2];
    uint32_t count = 0, used = 0;
    for (const WCHAR *at = GetCommandLineW(); *at && count < MOST_ARGUMENTS; count++) {
        at = read_argument(at, wide);
        int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, text + used, (int)(TEXT_ROOM - used), NULL, NULL);
        if (size <= 0)
            die(EXIT_OWN_FAILURE, "the command line is too long", 0);
        arguments[count] = text + used;
        used += (uint32_t)size;
    }
    return count;
}

/* The value of "--name=value", or NULL. */
static const char *value_of(const char *argument, const char *name)
{
    size_t size = strlen(name);
    return memcmp(argument, name, MIN(size, strlen(argument) + 1)) == 0 && argument[size] == '=' ? argument + size + 1 : NULL;
}

static int is(const char *argument, const char *name)
{
    return strlen(argument) == strlen(name) && memcmp(argument, name, strlen(name)) == 0;
}

static void add_environment(struct options *options, const char *entry)
{
    if (options->environment_count == MOST_ENVIRONMENT)
        die(EXIT_OWN_FAILURE, "too many --env", 0);
    options->environment[options->environment_count++] = entry;
}

static int read_option(struct options *options, const char *argument)
{
    const char *value;
    if ((value = value_of(argument, "--root")))
        options->root = value;
    else if ((value = value_of(argument, "--cwd")))
        options->cwd = value;
    else if ((value = value_of(argument, "--env")))
        add_environment(options, value);
    else if (is(argument, "--trace"))
        options->trace = PAL_TRACE_ALL;
    else if (is(argument, "--stats"))
        options->stats = 1;
    else if (is(argument, "--picoprocess"))
        options->picoprocess = 1;
    else
        return 0;
    return 1;
}

void options_read(struct options *options)
{
    uint32_t count = read_arguments(), at = 1;
    *options = (struct options){.root = "Z:\\", .cwd = "/"};
    while (at < count && arguments[at][0] == '-' && read_option(options, arguments[at]))
        at++;
    if (at < count && is(arguments[at], "--"))
        at++;
    else if (at < count && arguments[at][0] == '-')
        die(EXIT_OWN_FAILURE, "unknown option: use --root=DIR, --cwd=PATH, --env=NAME=VALUE, --trace, --stats", 0);
    if (at >= count)
        die(EXIT_OWN_FAILURE, "usage: picoprocess [--root=DIR] [--cwd=PATH] [--env=NAME=VALUE] [--] PROGRAM [ARGUMENT...]", 0);
    options->argc = count - at;
    options->argv = arguments + at;
}

/* ---- A fork's child ---------------------------------------------------------------------------------------------- */

static const WCHAR fork_word[] = L"picoprocess --fork=";
#define FORK_WORD (sizeof fork_word / sizeof *fork_word - 1)

void options_fork_line(WCHAR *out, uint64_t section)
{
    memcpy(out, fork_word, sizeof fork_word);
    out += FORK_WORD;
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = (WCHAR)"0123456789abcdef"[section >> shift & 15];
    *out = 0;
}

uint64_t options_fork_section(void)
{
    const WCHAR *line = GetCommandLineW();
    uint64_t value = 0;
    for (uint32_t i = 0; i < FORK_WORD; i++)
        if (*line++ != fork_word[i])
            return 0;
    for (; *line; line++)
        value = value << 4 | (uint64_t)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
    return value;
}

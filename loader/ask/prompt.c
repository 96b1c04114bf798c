/* SPDX-License-Identifier: MIT */
/*
 * The question at the user's terminal.  Guests are stopped before it is drawn and until it is answered (monitor/decision.c):
 * none can draw over it.  What they drew before may have left the terminal in a state that hides it, or have asked the
 * terminal to type something: so the prompt first puts that state right, drops what was typed before, and takes only a whole
 * line that is one of its words.  A terminal's own answers begin with ESC, which no answer has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "loader/ask/ask.h"
#include "loader/explain/explain.h"

/* CAN ends a sequence, ST a string; then soft reset, one character set, no attributes, the palette, no paste brackets. */
#define SANE "\x18\x1b\\\x1b[!p\x1b(B\x0f\x1b[0m\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b[?25h\x1b[?2004l"

static struct termios before;
static bool changed;

bool name_shown(const char *name, char out[SHOWN_MAX + 1])
{
    size_t used = 0;
    for (; *name && used + 4 <= SHOWN_MAX; name++)
        if (*name >= ' ' && *name <= '~' && *name != '\\')
            out[used++] = *name;
        else
            used += (size_t)sprintf(out + used, "\\x%02x", (unsigned char)*name);
    out[used] = 0;
    return !*name;
}

/* Never waits: what has no room is lost, and then the question has to be shown again. */
static bool put(const struct ask *ask, const char *text, size_t size)
{
    return write(ask->fd, text, size) == (ssize_t)size;
}

static bool set_modes(const struct ask *ask)
{
    struct termios modes;
    if (!changed && tcgetattr(ask->fd, &before) < 0)
        return false;
    changed = true;
    modes = before;
    modes.c_iflag = (modes.c_iflag | ICRNL) & ~(tcflag_t)(INLCR | IGNCR);
    modes.c_oflag |= OPOST | ONLCR;
    modes.c_lflag |= ICANON | ECHO | ECHOE | ECHOCTL | ISIG | IEXTEN;
    modes.c_cc[VEOL] = modes.c_cc[VEOL2] = 0;
    return tcsetattr(ask->fd, TCSANOW, &modes) == 0 && tcflush(ask->fd, TCIFLUSH) == 0;
}

void prompt_restore(const struct ask *ask)
{
    if (changed)
        tcsetattr(ask->fd, TCSANOW, &before);
    changed = false;
}

static const char *verb_of(const struct question *question)
{
    static const char *const verbs[] = {[DENIED_READ] = "read", [DENIED_WRITE] = "write", [DENIED_NETWORK] = "connect to"};
    return verbs[question->kind];
}

/* As people write it; but a directory by its name, also where it is the current one. */
static char *said(const struct question *question, const char *what)
{
    char *shown = question->real ? advice_shown(what, false) : must_copy(what);
    if (strcmp(shown, ".") != 0)
        return shown;
    free(shown);
    return must_copy(what);
}

enum hold prompt_show(struct ask *ask, const struct question *question)
{
    char name[SHOWN_MAX + 1], grants[SHOWN_MAX + 1], real[SHOWN_MAX + 1] = "", keep[SHOWN_MAX + 1] = "", who[SHOWN_MAX + 1], text[4096];
    char *asked = said(question, question->name), *given = said(question, question->grants);
    bool whole = name_shown(asked, name) && name_shown(given, grants) && (!question->real || name_shown(question->real, real)) &&
                 (!ask->keep || name_shown(ask->keep, keep)) && name_shown(ask->policy->shown, who);
    const char *kind = getenv("TERM");
    bool elsewhere = question->real && strcmp(question->real, question->grants) != 0;
    int size = snprintf(text, sizeof text,
                        "%s\npal-run: %s wants to %s %s\n"
                        "    once    that, now\n"
                        "    run     %s%s%s%s%s, until it ends\n"
                        "%s%s%s"
                        "    never   not in this run; so it is after %u seconds, too\n"
                        "    quiet   never, and nothing more is asked\n"
                        "pal-run: answer: ",
                        kind && strcmp(kind, "dumb") != 0 ? SANE : "\x18", who, verb_of(question), name, grants,
                        elsewhere ? " (is " : "", elsewhere ? real : "", elsewhere ? ")" : "",
                        question->kind == DENIED_READ ? ", read-only" : question->kind == DENIED_WRITE ? ", writable" : "",
                        ask->keep ? "    always  the same, and kept in " : "", keep, ask->keep ? "\n" : "", ask->seconds);
    free(asked);
    free(given);
    if (!whole || size <= 0 || (size_t)size >= sizeof text || !set_modes(ask))
        return HOLD_NO;
    return put(ask, text, (size_t)size) ? HOLD_YES : HOLD_LATER;
}

void prompt_end(const struct ask *ask, const char *why)
{
    char text[128];
    int size = why ? snprintf(text, sizeof text, "\npal-run: %s\n", why) : snprintf(text, sizeof text, "\n");
    if (!put(ask, text, (size_t)size))
        return;
}

void prompt_again(const struct ask *ask)
{
    static const char text[] = "pal-run: answer with one of these words, or its first letter: ";
    if (!put(ask, text, sizeof text - 1))
        return; /* its time goes on */
}

bool prompt_read(const struct ask *ask, const char *line, enum answer *answer, bool *quiet)
{
    static const struct { const char *word; enum answer answer; } words[] = {
        {"once", ANSWER_ONCE}, {"run", ANSWER_RUN}, {"always", ANSWER_ALWAYS}, {"never", ANSWER_NEVER}, {"quiet", ANSWER_NEVER},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        bool same = !strcmp(line, words[i].word) || (line[0] == words[i].word[0] && !line[1]);
        if (!same || (words[i].answer == ANSWER_ALWAYS && !ask->keep))
            continue;
        *answer = words[i].answer;
        *quiet = words[i].word[0] == 'q';
        return true;
    }
    return false;
}

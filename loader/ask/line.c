/* SPDX-License-Identifier: MIT */
/* Questions for a program that embeds pal-run: a line of JSON each way, on a socket. */
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/ask/ask.h"

#define LINE_ROOM 4096

static json_int_t number_of(const struct ask *ask, const struct question *question)
{
    return question - ask->list + 1;
}

bool line_send(const struct ask *ask, const struct question *question)
{
    static const char *const kinds[] = {[DENIED_READ] = "read", [DENIED_WRITE] = "write", [DENIED_NETWORK] = "connect"};
    char line[LINE_ROOM];
    json_t *object = json_pack("{sI ss ss ss s[s s s] ss si}", "ask", number_of(ask, question), "access", kinds[question->kind],
                               "name", question->name, "grants", question->grants, "answers", "once", "run", "never", "reason",
                               question->reason, "seconds", (int)ask->seconds);
    if (object && question->real)
        json_object_set_new(object, "host", json_string(question->real));
    if (object && ask->keep)
        json_array_append_new(json_object_get(object, "answers"), json_string("always"));
    size_t size = object ? json_dumpb(object, line, sizeof line - 1, JSON_COMPACT | JSON_ENSURE_ASCII) : 0;
    json_decref(object); /* none: a name that is no UTF-8 */
    if (!size || size >= sizeof line)
        return false;
    line[size] = '\n';
    return send(ask->fd, line, size + 1, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(size + 1);
}

bool line_read(const struct ask *ask, const char *line, enum answer *answer, bool *quiet)
{
    static const struct { const char *word; enum answer answer; } words[] = {
        {"once", ANSWER_ONCE}, {"run", ANSWER_RUN}, {"always", ANSWER_ALWAYS}, {"never", ANSWER_NEVER},
    };
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *word = json_string_value(json_object_get(object, "answer"));
    bool good = false;
    (void)quiet;
    if (json_integer_value(json_object_get(object, "ask")) != number_of(ask, ask->standing))
        word = NULL;
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i].word) && (words[i].answer != ANSWER_ALWAYS || ask->keep)) {
            *answer = words[i].answer;
            good = true;
        }
    json_decref(object);
    return good;
}

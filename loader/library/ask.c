/* SPDX-License-Identifier: MIT */
/* Questions of pal-run --ask-fd, answered by a callback. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/library/library.h"

/* A line without its newline: 1; 0: no more come; or a negative errno.  One question stands at a time, so nothing is behind. */
static int read_line(int fd, char line[LINE_ROOM])
{
    size_t used = 0;
    while (!used || line[used - 1] != '\n') {
        ssize_t size = used == LINE_ROOM ? 0 : read(fd, line + used, LINE_ROOM - used);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return size < 0 && errno != ECONNRESET ? -errno : 0;
        used += (size_t)size;
    }
    line[used - 1] = 0;
    return 1;
}

static bool send_answer(int fd, json_int_t number, enum palrun_answer answer)
{
    static const char *const words[] = {"never", "once", "run", "always"};
    char line[64];
    size_t known = (size_t)answer < sizeof words / sizeof *words ? answer : PALRUN_NEVER;
    json_t *object = json_pack("{sI ss}", "ask", number, "answer", words[known]);
    size_t size = object ? json_dumpb(object, line, sizeof line - 1, JSON_COMPACT) : 0;
    json_decref(object);
    if (!size || size >= sizeof line)
        return false;
    line[size] = '\n';
    return send(fd, line, size + 1, MSG_NOSIGNAL) == (ssize_t)(size + 1);
}

int palrun_ask(struct palrun *run, palrun_decide *decide, void *context)
{
    char line[LINE_ROOM];
    int result;
    if (run->asks < 0)
        return -EINVAL;
    while ((result = read_line(run->asks, line)) > 0) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const struct palrun_question question = {
            .access = json_string_value(json_object_get(object, "access")),
            .name = json_string_value(json_object_get(object, "name")),
            .grants = json_string_value(json_object_get(object, "grants")),
            .reason = json_string_value(json_object_get(object, "reason")),
            .json = line,
        };
        json_int_t number = json_integer_value(json_object_get(object, "ask"));
        bool known = question.access && question.name && question.grants;
        bool sent = send_answer(run->asks, number, known ? decide(context, &question) : PALRUN_NEVER);
        json_decref(object);
        if (!sent) /* it has ended */
            return 0;
    }
    return result;
}

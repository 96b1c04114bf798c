/* SPDX-License-Identifier: MIT */
/*
 * The questions of a run.  A guest decides how many there could be, so they are bounded: one stands, few wait, each thing is
 * asked once, and after three in a row without an answer there are no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/ask/ask.h"

#define UNANSWERED_MAX 3
#define TRIES_MAX 3 /* lines that are no answer */
#define LATER_MS 100 /* until the terminal is looked at again, where another's question stands */

static void show_next(struct ask *ask);

/* ---- Which question is meant ------------------------------------------------------------------------------------- */

static bool covers(const struct question *question, const struct refusal *refusal)
{
    if (question->kind == DENIED_NETWORK || refusal->kind == DENIED_NETWORK)
        return question->kind == refusal->kind && !strcmp(question->name, refusal->path);
    if (question->kind != refusal->kind && !(question->answer == ANSWER_NEVER && question->kind == DENIED_READ))
        return false;
    const char *what = question->answer == ANSWER_ONCE ? question->name : question->grants;
    return path_is_within(refusal->path, refusal->size, what, strlen(what));
}

static struct question *find(struct ask *ask, const struct refusal *refusal)
{
    for (size_t i = ask->count; i-- > 0;)
        if (!ask->list[i].used && covers(&ask->list[i], refusal))
            return &ask->list[i];
    return NULL;
}

static size_t count_waiting(const struct ask *ask)
{
    size_t count = 0;
    for (size_t i = 0; i < ask->count; i++)
        count += ask->list[i].answer == ANSWER_NONE;
    return count;
}

static void drop(struct question *question)
{
    free(question->name);
    free(question->grants);
    free(question->real);
}

static void on_next(uv_timer_t *timer) { show_next(timer->data); }

static struct question *add(struct ask *ask, const struct refusal *refusal)
{
    struct question new;
    int ends[2];
    if (ask->quiet || count_waiting(ask) >= QUESTIONS_WAIT || !candidate_find(ask->policy, refusal, &new))
        return NULL;
    if (ask->count == QUESTIONS_MAX && !ask->told)
        warn("%d questions were asked: further requests are refused without asking", QUESTIONS_MAX);
    ask->told |= ask->count == QUESTIONS_MAX;
    if (ask->count == QUESTIONS_MAX || pipe2(ends, O_CLOEXEC) < 0) {
        drop(&new);
        return NULL;
    }
    new.waiting = ends[0];
    new.hold = ends[1];
    ask->list[ask->count] = new;
    if (!ask->standing) /* once this request is answered */
        uv_timer_start(&ask->next, on_next, 0, 0);
    return &ask->list[ask->count++];
}

enum verdict ask_about(struct ask *ask, const struct refusal *refusal, struct question **question)
{
    struct question *found = find(ask, refusal);
    if (!found)
        found = add(ask, refusal);
    *question = found;
    if (!found)
        return VERDICT_NO;
    if (!found->released)
        return VERDICT_WAIT;
    return found->answer == ANSWER_ONCE ? VERDICT_ONCE : VERDICT_NO;
}

/* ---- One stands -------------------------------------------------------------------------------------------------- */

static void watch(struct ask *ask, bool on);

static void on_time(uv_timer_t *timer)
{
    struct ask *ask = timer->data;
    if (++ask->unanswered == UNANSWERED_MAX)
        ask->quiet = true;
    if (ask->is_terminal)
        prompt_end(ask, ask->quiet ? "no answer: never, and nothing more is asked" : "no answer: never");
    ask_answer(ask, ANSWER_NEVER);
}

/* A whole line lies in the buffer. */
static void take_line(struct ask *ask)
{
    enum answer answer = ANSWER_NEVER;
    bool quiet = false, good = ask->is_terminal ? prompt_read(ask, ask->line, &answer, &quiet) : line_read(ask, ask->line, &answer, &quiet);
    if (!good && ask->is_terminal && ++ask->tries < TRIES_MAX) {
        prompt_again(ask);
        return;
    }
    ask->quiet |= quiet;
    ask->unanswered = 0;
    ask_answer(ask, good ? answer : ANSWER_NEVER);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ask *ask = poll->data;
    char *end;
    (void)status, (void)events;
    ssize_t size = read(ask->fd, ask->line + ask->line_size, sizeof ask->line - 1 - ask->line_size);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    ask->line_size += size > 0 ? (size_t)size : 0;
    ask->line[ask->line_size] = 0;
    if (size <= 0 || ask->line_size == sizeof ask->line - 1) { /* gone, or talks nonsense */
        ask_end(ask);
        return;
    }
    while (ask->standing && (end = memchr(ask->line, '\n', ask->line_size))) {
        size_t rest = ask->line_size - (size_t)(end + 1 - ask->line);
        *end = 0;
        take_line(ask);
        memmove(ask->line, end + 1, rest);
        ask->line_size = rest;
    }
}

static void watch(struct ask *ask, bool on)
{
    if (on)
        uv_poll_start(&ask->poll, UV_READABLE, on_readable);
    else
        uv_poll_stop(&ask->poll);
}

static void let_go(struct ask *ask)
{
    if (!ask->held)
        return;
    prompt_restore(ask);
    ask->hold(ask->context, false);
    ask->held = false;
}

/* HOLD_NO: it can't be asked. */
static enum hold show(struct ask *ask, const struct question *question)
{
    ask->line_size = ask->tries = 0;
    if (ask->fd < 0 || ask->quiet)
        return HOLD_NO;
    if (!ask->is_terminal)
        return line_send(ask, question) ? HOLD_YES : HOLD_NO;
    enum hold hold = ask->held ? HOLD_YES : ask->hold(ask->context, true);
    ask->held = hold == HOLD_YES;
    if (hold != HOLD_YES)
        return hold;
    /* Guests stand still: what they drew goes out, and then there is room. */
    hold = prompt_show(ask, question);
    ask->crowded = hold == HOLD_LATER ? ask->crowded + 1 : 0;
    return ask->crowded > ask->seconds * (1000 / LATER_MS) ? HOLD_NO : hold;
}

static void show_next(struct ask *ask)
{
    for (size_t i = 0; i < ask->count && !ask->standing; i++) {
        struct question *question = &ask->list[i];
        if (question->answer != ANSWER_NONE)
            continue;
        ask->standing = question;
        enum hold hold = show(ask, question);
        if (hold == HOLD_LATER) {
            ask->standing = NULL;
            uv_timer_start(&ask->next, on_next, LATER_MS, 0);
            return;
        }
        if (hold == HOLD_NO) {
            ask_answer(ask, ANSWER_NEVER);
            return;
        }
        watch(ask, true);
        uv_timer_start(&ask->timer, on_time, ask->seconds * 1000ull, 0);
    }
    if (!ask->standing)
        let_go(ask);
}

/* None stands any more.  The one that did, or NULL. */
static struct question *take_down(struct ask *ask)
{
    struct question *question = ask->standing;
    if (!question)
        return NULL;
    ask->standing = NULL;
    watch(ask, false);
    uv_timer_stop(&ask->timer);
    return question;
}

void ask_answer(struct ask *ask, enum answer answer)
{
    struct question *question = take_down(ask);
    if (!question)
        return;
    question->answer = answer;
    ask->answered(ask->context, question);
    uv_timer_start(&ask->next, on_next, 0, 0);
}

void ask_release(struct ask *ask, struct question *question)
{
    (void)ask;
    question->released = true;
    if (question->waiting >= 0)
        close(question->waiting);
    if (question->hold >= 0)
        close(question->hold);
    question->waiting = question->hold = -1;
}

void ask_withdraw(struct ask *ask)
{
    struct question *question = take_down(ask);
    if (!question)
        return;
    question->answer = ANSWER_ONCE; /* that is over already */
    question->used = true;
    ask_release(ask, question);
    let_go(ask);
    uv_timer_start(&ask->next, on_next, 0, 0);
}

void ask_end(struct ask *ask)
{
    ask->quiet = true;
    if (ask->standing && ask->is_terminal)
        prompt_end(ask, NULL);
    ask_answer(ask, ANSWER_NEVER);
    let_go(ask);
}

void ask_begin(struct ask *ask)
{
    ask->timer.data = ask->next.data = ask->poll.data = ask;
    uv_timer_init(ask->uv, &ask->timer);
    uv_timer_init(ask->uv, &ask->next);
    if (ask->fd >= 0 && uv_poll_init(ask->uv, &ask->poll, ask->fd) < 0)
        ask->fd = -1;
    ask->quiet |= ask->fd < 0;
}

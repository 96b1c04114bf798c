/* SPDX-License-Identifier: MIT */
/*
 * --ask: what policy refuses, somebody may allow while the program runs.
 *
 * A question is about what a yes would give: many refusals fold into one.  One question stands at a time, at the terminal
 * or as a line of JSON; the rest wait in order.  Without somebody to ask, or an answer, it is a no.
 */
#ifndef LOADER_ASK_H
#define LOADER_ASK_H

#include <uv.h>

#include "loader/policy/policy.h"

#define QUESTIONS_MAX 64 /* of a run */
#define QUESTIONS_WAIT 8 /* at a time; what comes meanwhile is refused */
#define SHOWN_MAX 400    /* a longer name can't be shown whole, so nobody is asked about it */

enum answer { ANSWER_NONE, ANSWER_ONCE, ANSWER_RUN, ANSWER_ALWAYS, ANSWER_NEVER };
struct question {
    enum denial_kind kind;
    char *name;    /* what was asked for: a guest path, or HOST:PORT */
    char *grants;  /* what `run` gives: a guest path that holds it, or a rule of the network */
    char *real;    /* where that is on the host; NULL: of the network */
    const char *reason;
    enum answer answer; /* ANSWER_NONE: it waits or stands */
    bool used;          /* of ANSWER_ONCE */
    bool released;      /* the waiting calls have been told */
    int waiting, hold;  /* the pipe that hangs up then; -1: none */
};

/* Can all be kept from drawing on a question? */
enum hold { HOLD_NO, HOLD_YES, HOLD_LATER };
struct ask {
    struct policy *policy;
    uv_loop_t *uv;
    const char *keep; /* the manifest that `always` writes; NULL: it can't */
    int fd;           /* the terminal, or the embedding program's socket; -1: none */
    bool is_terminal;
    unsigned seconds; /* to answer */
    /* Before a question stands at the terminal, and once none does. */
    enum hold (*hold)(void *context, bool stop);
    /* A question was answered: what is to be given is given; then ask_release. */
    void (*answered)(void *context, struct question *question);
    void *context;
    struct question list[QUESTIONS_MAX];
    size_t count;
    bool quiet; /* nothing more is asked */
    bool told;  /* that there are no more questions */
    struct question *standing;
    bool held;
    unsigned unanswered, tries, crowded; /* crowded: how often the terminal had no room for this question */
    uv_timer_t timer, next;
    uv_poll_t poll;
    size_t line_size;
    char line[1024];
};

/* ---- question.c -------------------------------------------------------------------------------------------------- */

void ask_begin(struct ask *ask);
/* What becomes of the refusal in the policy's record: it stands, *question is waited for, or *question allows it once. */
enum verdict { VERDICT_NO, VERDICT_WAIT, VERDICT_ONCE };
enum verdict ask_about(struct ask *ask, const struct refusal *refusal, struct question **question);
/* Of the question that stands. */
void ask_answer(struct ask *ask, enum answer answer);
/* It is asked again when it is run into again. */
void ask_withdraw(struct ask *ask);
void ask_release(struct ask *ask, struct question *question);
/* Nobody is there any more: all that waits is refused, and what comes. */
void ask_end(struct ask *ask);

/* ---- candidate.c ------------------------------------------------------------------------------------------------- */

/* May anybody be asked about it, and what would a yes give? */
bool candidate_find(struct policy *policy, const struct refusal *refusal, struct question *out);

/* ---- prompt.c: at the terminal ----------------------------------------------------------------------------------- */

enum hold prompt_show(struct ask *ask, const struct question *question); /* HOLD_LATER: the terminal has no room yet */
/* A line was typed.  False: not an answer. */
bool prompt_read(const struct ask *ask, const char *line, enum answer *answer, bool *quiet);
void prompt_again(const struct ask *ask);
/* The terminal's modes are the guest's again. */
void prompt_restore(const struct ask *ask);
void prompt_end(const struct ask *ask, const char *why);
/* Each byte that is no printable ASCII as \xNN.  False: it is longer than SHOWN_MAX. */
bool name_shown(const char *name, char out[SHOWN_MAX + 1]);

/* ---- line.c: for programs that embed pal-run --------------------------------------------------------------------- */

bool line_send(const struct ask *ask, const struct question *question);
bool line_read(const struct ask *ask, const char *line, enum answer *answer, bool *quiet);

/* ---- keep.c: what `always` writes -------------------------------------------------------------------------------- */

/* Before a guest runs: what was kept before is granted.  Ends pal-run where the file can't be had safely. */
void keep_load(struct policy *policy, const char *file);
/* Before a guest runs: where answers will be kept.  NULL: nowhere. */
void keep_find(const char *file);
/* NULL, or what went wrong. */
const char *keep_add(const struct policy *policy, const char *file, const struct question *question);

#endif

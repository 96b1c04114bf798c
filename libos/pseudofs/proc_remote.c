/* SPDX-License-Identifier: MIT */
/*
 * What /proc shows of another process of the sandbox is made by that process itself: the place is sent to it, and it makes
 * the text, follows the link or names the numbers as if it looked at itself.
 */
#include "libos/signal/remote.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/table.h"

enum about { ABOUT_TEXT, ABOUT_LINK, ABOUT_NUMBER, ABOUT_AFTER, ABOUT_TARGET, ABOUT_STORE };

struct proc_question {
    enum about about;
    int number;
    uint64_t offset; /* of TEXT: where to go on */
    struct pseudo_node node;
    struct pal_child look; /* what the host says of it: to be told before it is woken for this */
    char stored[64];
};
_Static_assert(sizeof(struct proc_question) <= ASK_INPUT, "it is sent");

bool proc_is_remote(const struct pseudo_node *node)
{
    return node->pid && node->entry->asked && !proc_is_self(node);
}

/* Permission as ptrace(2) decides it, without capabilities. */
static bool may_look(int pid)
{
    struct process_facts facts;
    uint32_t uid = current_process()->fsuid;
    return !uid || (process_facts(pid, &facts) && facts.uid == uid);
}

/* ---- In the process that is asked -------------------------------------------------------------------------------- */

static int64_t answer_text(const struct proc_question *question, char *out, size_t *out_size)
{
    struct seq_buffer text = {0};
    question->node.entry->text(&text, &question->node);
    int64_t result = text.failed ? -ENOMEM : (int64_t)text.size;
    if (question->offset < text.size) {
        *out_size = MIN(text.size - question->offset, ASK_OUTPUT);
        memcpy(out, text.bytes + question->offset, *out_size);
    }
    release(text.bytes);
    return result;
}

static int64_t answer(const void *input, size_t size, char *out, size_t *out_size)
{
    struct proc_question question;
    if (size != sizeof question)
        return -EINVAL;
    memcpy(&question, input, size);
    const struct pseudo_entry *entry = question.node.entry;
    question.node.look = &question.look;
    int64_t result = -ENOENT;
    struct file *file;
    switch (question.about) {
    case ABOUT_TEXT:
        return answer_text(&question, out, out_size);
    case ABOUT_LINK:
        *out_size = sizeof(struct pal_path_buffer);
        return entry->link(&question.node, (struct pal_path_buffer *)(void *)out);
    case ABOUT_NUMBER:
        result = entry->number(&question.node, question.number);
        memcpy(out, &question.node, *out_size = sizeof question.node);
        return result;
    case ABOUT_AFTER:
        return entry->number_after(&question.node, question.number);
    case ABOUT_TARGET:
        file = entry->target(&question.node);
        if (file) {
            result = file_attributes(file, (struct pal_attributes *)(void *)out);
            *out_size = sizeof(struct pal_attributes);
            file_put(file);
        }
        return result;
    case ABOUT_STORE:
        return entry->store(&question.node, question.stored, strlen(question.stored));
    }
    return -EINVAL;
}

/* ---- In the one that asks ---------------------------------------------------------------------------------------- */

static int64_t ask(struct proc_question *question, char *out, size_t *out_size)
{
    return process_ask(question->node.pid, answer, question, sizeof *question, out, out_size);
}

/* Up to `room` bytes of the answer. */
static int64_t ask_into(enum about about, const struct pseudo_node *node, int number, void *to, size_t room)
{
    struct proc_question question = {.about = about, .number = number, .node = *node};
    size_t size = 0;
    if (!may_look(node->pid))
        return -EACCES;
    char *out = alloc(ASK_OUTPUT);
    if (!out)
        return -ENOMEM;
    int64_t result = ask(&question, out, &size);
    if (to)
        memcpy(to, out, MIN(size, room));
    release(out);
    return result;
}

#define MS 1000000ull
#define STIRRED_MS 50u /* so long after a question it may yet run because of that */

/* A question wakes a sleeping process: if it runs just after, it is asked again until it sleeps, for some time. */
static bool host_look(int pid, struct pal_child *out)
{
    struct process_facts facts;
    if (!process_facts(pid, &facts) || !facts.host || PAL->process_wait(facts.host, PAL_WAIT_LOOK, out) != 1)
        return false;
    shared_lock();
    struct shared_process *slot = shared_find(pid);
    bool stirred = slot && time_now(PAL_CLOCK_MONOTONIC) - slot->asked_at < STIRRED_MS * MS;
    bool ran = stirred && slot->asked_state == 'R';
    shared_unlock();
    for (uint64_t pause = MS / 4; stirred && !ran && out->status == 'R' && pause < STIRRED_MS * MS; pause *= 2) {
        sleep_until(time_now(PAL_CLOCK_MONOTONIC) + pause);
        PAL->process_wait(facts.host, PAL_WAIT_LOOK, out);
    }
    shared_lock();
    slot = shared_find(pid);
    if (slot)
        slot->asked_state = (uint32_t)out->status;
    shared_unlock();
    return true;
}

static int64_t ask_text(struct seq_buffer *text, const struct pseudo_node *node, const struct pal_child *look)
{
    struct proc_question question = {.about = ABOUT_TEXT, .node = *node, .look = *look};
    char *out = alloc(ASK_OUTPUT);
    int64_t all = out ? 0 : -ENOMEM;
    size_t size;
    while (out && (all = ask(&question, out, &size)) >= 0 && size) {
        seq_write(text, out, size);
        question.offset += size;
        if (question.offset >= (uint64_t)all)
            break;
    }
    release(out);
    return all;
}

void proc_make_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    const struct pseudo_entry *entry = node->entry;
    struct pseudo_node looked = *node;
    struct pal_child look = {.status = 'S'};
    if (!proc_is_remote(node)) {
        entry->text(text, node);
        return;
    }
    if (entry->looked && host_look(node->pid, &look))
        looked.look = &look;
    bool is_private = !(entry->mode & 077);
    int64_t result = is_private && !may_look(node->pid) ? -EACCES : ask_text(text, &looked, &look);
    if (result < 0 && entry->known) {
        text->size = 0;
        entry->text(text, &looked);
    }
}

int64_t proc_follow(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    if (!proc_is_remote(node))
        return node->entry->link(node, out);
    int64_t result = node->pid == 1 ? -EACCES : ask_into(ABOUT_LINK, node, 0, out, sizeof *out);
    return result == -ESRCH || result == -EAGAIN ? -ENOENT : result;
}

bool proc_number(struct pseudo_node *node, int n)
{
    struct pseudo_node found = *node;
    if (!proc_is_remote(node))
        return node->entry->number(node, n);
    if (ask_into(ABOUT_NUMBER, node, n, &found, sizeof found) <= 0)
        return false;
    *node = found;
    node->look = NULL;
    return true;
}

int proc_number_after(const struct pseudo_node *node, int after)
{
    if (!proc_is_remote(node))
        return node->entry->number_after(node, after);
    return (int)MAX(ask_into(ABOUT_AFTER, node, after, NULL, 0), -1);
}

int64_t proc_target_attributes(const struct pseudo_node *node, struct pal_attributes *out)
{
    return ask_into(ABOUT_TARGET, node, 0, out, sizeof *out);
}

int64_t proc_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    struct proc_question question = {.about = ABOUT_STORE, .node = *node};
    size_t out_size;
    if (!proc_is_remote(node))
        return node->entry->store(node, bytes, size);
    if (!may_look(node->pid))
        return -EACCES;
    if (size >= sizeof question.stored)
        return -EINVAL;
    memcpy(question.stored, bytes, size);
    char *out = alloc(ASK_OUTPUT);
    int64_t result = out ? ask(&question, out, &out_size) : -ENOMEM;
    release(out);
    return result;
}

/* SPDX-License-Identifier: MIT */
/*
 * Lists of messages in the shared segment, for msgsnd and mq_send.
 *
 * A message is a chain of cells.  What is on a queue is said by the queue's `first` and each message's `next` alone, so
 * that putting in and taking out are one store each; cells that no queue leads to are free, and the list of free ones
 * is made anew when a holder of the lock has died.
 */
#include "libos/ipc/ipc.h"

struct cell {
    uint32_t next; /* of a message's first cell: the next message.  Of a free cell: the next free one */
    uint32_t more; /* the message's next cell */
    union {
        struct {
            int64_t type;
            uint64_t size;
            uint8_t bytes[104];
        } head;
        uint8_t bytes[120];
    };
};
_Static_assert(sizeof(struct cell) == 128, "cells pack");

struct store {
    uint32_t high; /* cells from here on have never been used */
    uint32_t free;
};

/* Addresses, the same in every picoprocess. */
static struct store *store;
static uint32_t cell_count;
static uint64_t *marks; /* a bit for each cell: for ipc_queue_recover only */
static struct cell *cells;

void ipc_queue_init(uint64_t start, uint64_t end)
{
    uint64_t count = (end - start - 2 * PAGE_SIZE) * 8 / (sizeof(struct cell) * 8 + 1);
    store = (struct store *)(uintptr_t)start;
    marks = (uint64_t *)(uintptr_t)(start + sizeof(struct cell));
    cells = (struct cell *)(uintptr_t)PAGE_UP(start + sizeof(struct cell) + count / 8 + sizeof *marks);
    cell_count = (uint32_t)count;
}

static struct cell *cell_at(uint32_t link)
{
    return &cells[link - 1];
}

static uint32_t cell_new(void)
{
    uint32_t link = store->free;
    if (link)
        store->free = cell_at(link)->next;
    else if (store->high < cell_count)
        link = ++store->high;
    return link;
}

static void cell_free(uint32_t link)
{
    cell_at(link)->next = store->free;
    store->free = link;
}

void ipc_message_free(uint32_t message)
{
    while (message) {
        uint32_t more = cell_at(message)->more;
        cell_free(message);
        message = more;
    }
}

uint32_t ipc_message_new(int64_t type, const void *bytes, uint64_t size)
{
    const uint8_t *from = bytes;
    uint32_t first = cell_new(), last = first;
    if (!first)
        return 0;
    struct cell *cell = cell_at(first);
    cell->next = cell->more = 0;
    cell->head.type = type;
    cell->head.size = size;
    uint64_t part = MIN(size, sizeof cell->head.bytes);
    memcpy(cell->head.bytes, from, part);
    for (from += part, size -= part; size; from += part, size -= part) {
        uint32_t link = cell_new();
        if (!link) {
            ipc_message_free(first);
            return 0;
        }
        part = MIN(size, sizeof cell->bytes);
        cell_at(last)->more = link;
        cell = cell_at(link);
        cell->more = 0;
        memcpy(cell->bytes, from, part);
        last = link;
    }
    return first;
}

int64_t ipc_message_type(uint32_t message) { return cell_at(message)->head.type; }
uint64_t ipc_message_size(uint32_t message) { return cell_at(message)->head.size; }
uint32_t ipc_message_next(uint32_t message) { return cell_at(message)->next; }

void ipc_message_read(uint32_t message, void *to, uint64_t size)
{
    uint8_t *at = to;
    const struct cell *cell = cell_at(message);
    uint64_t part = MIN(size, sizeof cell->head.bytes);
    memcpy(at, cell->head.bytes, part);
    for (at += part, size -= part; size; at += part, size -= part) {
        cell = cell_at(cell->more);
        part = MIN(size, sizeof cell->bytes);
        memcpy(at, cell->bytes, part);
    }
}

/* ---- Queues ------------------------------------------------------------------------------------------------------ */

static uint32_t *link_after(struct ipc_queue *queue, uint32_t before)
{
    return before ? &cell_at(before)->next : &queue->first;
}

void ipc_queue_add(struct ipc_queue *queue, uint32_t before, uint32_t message)
{
    uint32_t *at = link_after(queue, before);
    cell_at(message)->next = *at;
    atomic_set(at, message);
    if (queue->last == before)
        queue->last = message;
    queue->count++;
    queue->bytes += ipc_message_size(message);
}

uint32_t ipc_queue_take(struct ipc_queue *queue, uint32_t before)
{
    uint32_t *at = link_after(queue, before), message = *at;
    if (queue->last == message)
        queue->last = before;
    queue->count--;
    queue->bytes -= ipc_message_size(message);
    atomic_set(at, cell_at(message)->next);
    return message;
}

void ipc_queue_empty(struct ipc_queue *queue)
{
    while (queue->first)
        ipc_message_free(ipc_queue_take(queue, 0));
}

/* ---- After a holder's death -------------------------------------------------------------------------------------- */

/* The list's truth is `first` and `next`; marks the cells that it leads to. */
static void recount(struct ipc_queue *queue)
{
    queue->last = queue->count = 0;
    queue->bytes = 0;
    queue->senders = queue->receivers = 0;
    for (uint32_t message = queue->first; message; message = ipc_message_next(message)) {
        queue->last = message;
        queue->count++;
        queue->bytes += ipc_message_size(message);
        for (uint32_t link = message; link; link = cell_at(link)->more)
            marks[link / 64] |= 1ull << link % 64;
    }
}

void ipc_queue_recover(void)
{
    memset(marks, 0, store->high / 8 + sizeof *marks);
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MSG, object));)
        recount(sysv_msg_queue(object));
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MQ, object));)
        recount(mqueue_queue(object));
    store->free = 0;
    for (uint32_t link = store->high; link; link--)
        if (!(marks[link / 64] >> link % 64 & 1))
            cell_free(link);
}

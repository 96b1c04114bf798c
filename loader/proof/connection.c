/* SPDX-License-Identifier: MIT */
/*
 * The stand-ins: one end of a local pair is the program's, the other one here, beside the connection.
 *   - Filled at first, so that it takes nothing while the connection is on its way; then emptied, or told why there is none.
 *   - What is written to it lies here until it has named a host that may be reached (the monitor's outbound.c asks by rules).
 *   - Then it goes out, each holder of the stand-in is told by a word to be read, and may have the connection itself.
 * One that nobody holds any more ends, and with it, if it was not passed, the connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/proof/proof.h"

#define PROOFS_MAX 512
#define ROOM 16384 /* SO_SNDBUF of the stand-in: as many bytes again are the host's own */

struct proof {
    uv_poll_t connection, holders; /* of `socket`: when it is there, or has ended; of `end`: when it has */
    int socket, end;
    unsigned handles;      /* of uv's, that are not closed yet */
    uint64_t number;
    struct proof_target target;
    bool there, passed, ending;
    size_t filled, used;
    uint8_t *bytes;
};

static struct proof *proofs[PROOFS_MAX];
static uint64_t last_number;

static void on_closed(uv_handle_t *handle)
{
    struct proof *proof = handle->data;
    if (--proof->handles)
        return;
    free(proof->bytes);
    free(proof);
}

static void proof_end(struct proof *proof)
{
    if (proof->ending)
        return;
    proof->ending = true;
    proofs[proof->number % PROOFS_MAX] = NULL;
    uv_close((uv_handle_t *)&proof->connection, on_closed);
    uv_close((uv_handle_t *)&proof->holders, on_closed);
    close(proof->socket);
    close(proof->end);
}

/* An event of either side's end. */
static void on_end(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    proof_end(poll->data);
}

/* What fills it is over. */
static void take_filling(struct proof *proof)
{
    uint8_t bytes[4096];
    while (proof->filled) {
        ssize_t size = recv(proof->end, bytes, proof->filled < sizeof bytes ? proof->filled : sizeof bytes, MSG_DONTWAIT);
        if (size <= 0)
            return;
        proof->filled -= (size_t)size;
    }
}

static void tell(const struct proof *proof, int32_t word)
{
    if (send(proof->end, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* nobody holds it */
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
    struct proof *proof = poll->data;
    int error = 0;
    socklen_t size = sizeof error;
    (void)events;
    if (getsockopt(proof->socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (!error && status < 0)
        error = -status;
    if (error)
        tell(proof, error);
    take_filling(proof);
    uv_poll_stop(poll);
    proof->there = !error;
    if (error || uv_poll_start(poll, UV_DISCONNECT, on_end) < 0)
        proof_end(proof);
}

/* A local pair whose first end takes nothing. */
static int make_pair(int ends[2], size_t *filled)
{
    static const uint8_t nothing[4096];
    int room = ROOM;
    struct pollfd takes = {.events = POLLOUT};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    takes.fd = ends[0];
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    for (*filled = 0; poll(&takes, 1, 0) > 0;) {
        ssize_t size = send(ends[0], nothing, sizeof nothing, MSG_NOSIGNAL);
        if (size <= 0)
            break;
        *filled += (size_t)size;
    }
    return 0;
}

/* A place for one more: the oldest that was passed gives way, whose other holders then find their stand-in ended. */
static bool make_place(void)
{
    for (unsigned tries = 0; tries < PROOFS_MAX; tries++) {
        struct proof *proof = proofs[++last_number % PROOFS_MAX];
        if (!proof)
            return true;
        if (proof->passed) {
            proof_end(proof);
            return true;
        }
    }
    return false;
}

int64_t proof_begin(uv_loop_t *loop, int socket, const struct proof_target *target, int *out)
{
    int ends[2], error;
    struct proof *proof = make_place() ? calloc(1, sizeof *proof) : NULL;
    if (!proof)
        return -ENOBUFS;
    *proof = (struct proof){.socket = socket, .number = last_number, .target = *target, .bytes = malloc(PROOF_MAX)};
    error = proof->bytes ? make_pair(ends, &proof->filled) : -ENOMEM;
    if (error)
        goto no_pair;
    proof->end = ends[1];
    if ((error = uv_poll_init(loop, &proof->connection, socket)))
        goto no_poll;
    proof->connection.data = proof->holders.data = proof;
    proof->handles = 1;
    if ((error = uv_poll_init(loop, &proof->holders, proof->end))) {
        uv_close((uv_handle_t *)&proof->connection, on_closed);
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    proof->handles = 2;
    proofs[proof->number % PROOFS_MAX] = proof;
    if ((error = uv_poll_start(&proof->connection, UV_WRITABLE, on_connected)) ||
        (error = uv_poll_start(&proof->holders, UV_DISCONNECT, on_end))) {
        proof->socket = fcntl(socket, F_DUPFD_CLOEXEC, 0); /* the caller's stays */
        proof_end(proof);
        close(ends[0]);
        return error;
    }
    *out = ends[0];
    return (int64_t)proof->number;
no_poll:
    close(ends[0]);
    close(ends[1]);
no_pair:
    free(proof->bytes);
    free(proof);
    return error;
}

struct proof *proof_find(uint64_t number)
{
    struct proof *proof = proofs[number % PROOFS_MAX];
    return proof && proof->number == number ? proof : NULL;
}

const struct proof_target *proof_target(const struct proof *proof)
{
    return &proof->target;
}

bool proof_is_passed(const struct proof *proof)
{
    return proof->passed;
}

int proof_look(struct proof *proof, struct proof_names *out)
{
    if (!proof->there)
        return -EAGAIN;
    while (proof->used < PROOF_MAX) {
        ssize_t size = recv(proof->end, proof->bytes + proof->used, PROOF_MAX - proof->used, MSG_DONTWAIT);
        if (size <= 0)
            break;
        proof->used += (size_t)size;
    }
    enum proof_state state = proof_read(proof->bytes, proof->used, out);
    return state == PROOF_MORE && proof->used == PROOF_MAX ? PROOF_NONE : (int)state;
}

/* Later bytes of those who hold the stand-in still. */
static int send_rest(struct proof *proof)
{
    uint8_t bytes[4096];
    ssize_t size;
    while ((size = recv(proof->end, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        if (send(proof->socket, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) != size)
            return -ECONNRESET;
    return 0;
}

static int send_first(struct proof *proof)
{
    ssize_t size = send(proof->socket, proof->bytes, proof->used, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size != (ssize_t)proof->used)
        return size < 0 && errno != EAGAIN ? -errno : -ECONNRESET; /* a new connection has room for it */
    free(proof->bytes);
    proof->bytes = NULL;
    proof->passed = true;
    uv_poll_stop(&proof->connection);
    tell(proof, 0);
    return 0;
}

int proof_pass(struct proof *proof)
{
    int error = proof->passed ? 0 : send_first(proof);
    if (!error)
        error = send_rest(proof);
    int fd = error ? error : fcntl(proof->socket, F_DUPFD_CLOEXEC, 0);
    return fd == -1 ? -errno : fd;
}

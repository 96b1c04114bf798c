/* SPDX-License-Identifier: MIT */
/* Clients connect to a name, are answered, or killed meanwhile; the server never waits for one who has gone. */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "random.h"

enum { CLIENTS = 4 };

static struct sockaddr_un name;
static socklen_t name_size;
static int type;

static void choose_name(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    bool abstract = below(2);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    int size = snprintf(name.sun_path + abstract, sizeof name.sun_path - 1, "/tmp/random.%d", getpid());
    name_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size + 1);
    type = types[below(2)];
}

static void one_connection(void)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    long number = 1 + below(1000), answer;
    MUST(fd >= 0);
    MUST(!RETRY(connect(fd, (struct sockaddr *)&name, name_size)));
    family->counters[0] += number;
    MUST(RETRY(write(fd, &number, sizeof number)) == sizeof number);
    if (below(2))
        readable(fd);
    MUST(RETRY(read(fd, &answer, sizeof answer)) == sizeof answer && answer == 2 * number);
    MUST(!close(fd));
}

/* One connection; a number of 0 asks for the end. */
static bool serve(int listener)
{
    long number = 0;
    if (below(2))
        readable(listener);
    int fd = (int)RETRY(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    MUST(fd >= 0);
    long got = RETRY(read(fd, &number, sizeof number));
    MUST(got == sizeof number || got <= 0); /* the client may have been killed */
    if (got == sizeof number && number) {
        family->counters[1] += number;
        long answer = 2 * number;
        RETRY(send(fd, &answer, sizeof answer, MSG_NOSIGNAL));
    }
    MUST(!close(fd));
    return got != sizeof number || number;
}

static void stop_server(void)
{
    long none = 0;
    int fd = socket(AF_UNIX, type, 0);
    MUST(fd >= 0 && !RETRY(connect(fd, (struct sockaddr *)&name, name_size)));
    MUST(RETRY(write(fd, &none, sizeof none)) == sizeof none && !close(fd));
}

void game_connect(void)
{
    pid_t clients[CLIENTS];
    bool killed[CLIENTS], any = false;
    int count = 1 + (int)below(20);
    choose_name();
    family->counters[0] = family->counters[1] = 0;
    int listener = socket(AF_UNIX, type, 0);
    MUST(listener >= 0 && !bind(listener, (struct sockaddr *)&name, name_size) && !listen(listener, 1 + (int)below(4)));
    pid_t server = child();
    if (!server) {
        while (serve(listener))
            ;
        _exit(0);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (!(clients[i] = child())) {
            for (int j = 0; j < count; j++)
                one_connection();
            _exit(0);
        }
    for (int i = 0; i < CLIENTS; i++) {
        any |= killed[i] = !below(4);
        nap();
        if (killed[i])
            MUST(!kill(clients[i], SIGKILL));
    }
    for (int i = 0; i < CLIENTS; i++) {
        int status = reap_any(clients[i]);
        MUST(!status || (killed[i] && status == SIGKILL));
    }
    stop_server();
    reap(server, 0);
    MUST(any || family->counters[0] == family->counters[1]);
    MUST(!close(listener) && (!name.sun_path[0] || !unlink(name.sun_path)));
}

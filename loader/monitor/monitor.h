/* SPDX-License-Identifier: MIT */
/* What picoprocesses ask of the host by name: requests are decoded, then served by policy. */
#ifndef LOADER_MONITOR_H
#define LOADER_MONITOR_H

#include <time.h>

#include "loader/policy/policy.h"

/* ---- decode.c: requests, checked before anything is done --------------------------------------------------------- */

struct request {
    uint32_t op, sequence, flags, mode;
    const char *path, *other; /* not NUL-terminated; no NUL inside; `path` is absolute */
    size_t path_size, other_size;
    struct monitor_base from_base, other_base;
    const struct anchor *from, *other_from; /* what path and other begin at; NULL: the root */
    uint64_t arguments[2];
    struct pal_attributes values;
    pid_t sender;
};
/* 0, or a negative errno to reply with.  out->sequence is set in any case where the packet has one; -EBADMSG: it has
 * none. */
int request_decode(const void *packet, size_t size, struct request *out);

#define REPLY_DESCRIPTORS (1 + MONITOR_PREFETCH_MAX)
struct reply {
    struct monitor_reply packet;
    const struct mount *mount; /* serve_open: of what the name led to; NULL: it is not known */
    int descriptors[REPLY_DESCRIPTORS]; /* closed after the reply, unless kept */
    struct pal_path_buffer text;
};

/* Is it the open object itself, and no name beneath it? */
static inline bool is_object(const struct request *request)
{
    return request->from && request->path_size == request->from->size;
}

/* Functions serve_* return the reply's result. */

/* ---- lookup.c ---------------------------------------------------------------------------------------------------- */

int serve_open(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_stat(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_readlink(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_canonical(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_invalidator(const struct invalidator *invalidator, struct reply *reply);
int attributes_read(int fd, struct pal_attributes *out);

/* ---- modify.c ---------------------------------------------------------------------------------------------------- */

struct objects;
int serve_set(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_change(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_set_opened(struct mount_table *table, struct objects *objects, const struct request *request);

/* ---- git_config.c ------------------------------------------------------------------------------------------------ */

/* A file becomes a repository's settings, where it changes only what no program acts on: by a copy that the guest never had
 * open.  0, or a negative errno. */
int git_config_install(int source, const char *from, int target, const char *to);
/* May settings change so?  For tests, too. */
bool git_config_allows(const char *was, size_t was_size, const char *now, size_t now_size);

/* ---- objects.c --------------------------------------------------------------------------------------------------- */

#define TOKENS_MAX 256
#define LISTINGS_MAX 512
struct objects { /* starts zeroed but for the first three */
    bool walled;   /* picoprocesses have name calls */
    pid_t session; /* the first picoprocess: all are in its session and its process group */
    uint64_t memory_limit;
    size_t next;   /* the oldest token */
    struct token {
        uint64_t value; /* 0: none */
        int fd;
    } tokens[TOKENS_MAX];
    size_t listing_count;
    uint64_t clock;
    struct listing {
        dev_t device; /* of the file that stands for a directory */
        ino_t inode;
        int fd;       /* the directory's: O_PATH */
        int file;     /* that file's, which may be written */
        uint64_t used; /* when last, by the clock */
    } listings[LISTINGS_MAX];
};
/* Duplicates of a member's descriptors: 0, or a negative errno and none. */
int member_descriptors(struct objects *objects, pid_t pid, const int32_t *numbers, size_t count, int *out);
/* One such, or a negative errno.  What stands for a directory gives that, O_PATH. */
int member_descriptor(struct objects *objects, pid_t pid, int number);
int serve_interrupt(struct objects *objects, const struct request *request);
int serve_look(struct objects *objects, const struct request *request, struct reply *reply); /* process_status.c */
int serve_shutdown(struct objects *objects, const struct request *request);
int serve_allocate(struct objects *objects, const struct request *request);
struct mount_table;
int serve_send(const struct mount_table *table, struct objects *objects, const struct request *request,
               struct reply *reply);
int serve_tee(struct objects *objects, const struct request *request, struct reply *reply);
int serve_export(struct objects *objects, const struct request *request, struct reply *reply);
int serve_import(struct objects *objects, const struct request *request, struct reply *reply);
int serve_create(struct objects *objects, const struct request *request, struct reply *reply);
/* Of processes that died, in their own words: PAL_CORE_TOKEN. */
#define DEATHS_MAX 5
struct deaths { /* starts zeroed */
    bool wanted, of_others; /* of the first picoprocess, at list[0]; of others, too */
    int core;               /* --core's file, which goes to whoever dies first; 0: none */
    size_t count;           /* of others */
    struct death { int file; pid_t process; } list[DEATHS_MAX]; /* file 0: none */
};
int serve_core(struct deaths *deaths, const struct request *request, bool first, struct reply *reply);

/* ---- view.c: directories, and picoprocesses with name calls ------------------------------------------------------ */

int serve_view(const struct mount_table *table, struct reply *reply);
int serve_unchanged(struct mount_table *table, const struct request *request, struct reply *reply);
int serve_list(struct mount_table *table, struct objects *objects, const struct request *request);
int serve_space(const struct mount_table *table, const struct request *request, struct reply *reply);
/*
 * Before a picoprocess is given descriptors: directories become what the view shows of them, or listings.  0 or a negative
 * errno.  *flags: of the last one that is in the view, enum monitor_shown_flags and MONITOR_SHOWN.
 */
int view_admit(struct mount_table *table, struct objects *objects, int *descriptors, size_t count, uint64_t *flags);
/* May picoprocesses pass these to each other? */
bool view_may_pass(const struct mount_table *table, struct objects *objects, const int *descriptors, size_t count);
/* fd, or, closing that, the directory which it stands for (O_PATH) or a negative errno. */
int listing_directory(struct objects *objects, int fd);

/* ---- anchor.c: names that begin at a guest's descriptor ---------------------------------------------------------- */

#define ANCHORS_MAX 64
struct anchors { /* starts zeroed */
    uint64_t clock;
    struct cached {
        int fd;        /* O_PATH */
        uint64_t used; /* when last, by the clock; 0: free */
        struct identity is;
    } known[ANCHORS_MAX];
};
/* A name on its way to an absolute path. */
struct absolute_name {
    const char *path;
    size_t size;
    const struct anchor *from; /* &anchor, or NULL */
    struct anchor anchor;
    int own; /* closed by anchor_end; -1: none */
    char text[2 * PAL_PATH_MAX];
};
/* The name becomes an absolute path.  0 or a negative errno; anchor_end afterwards. */
int anchor_begin(struct anchors *anchors, struct mount_table *table, struct objects *objects, pid_t sender,
                 const struct monitor_base *base, struct absolute_name *name);
void anchor_end(struct absolute_name *name);
/* The object behind a member's descriptor, on the host's own mount; or a negative errno. */
int member_object(struct mount_table *table, struct objects *objects, pid_t pid, int number);
/* Does it still lie where the path begins? */
bool anchor_is_there(struct mount_table *table, const struct anchor *anchor, const char *path);

/* ---- xattr.c ----------------------------------------------------------------------------------------------------- */

int serve_extended(struct mount_table *table, struct objects *objects, const struct request *request,
                   struct reply *reply);

/* ---- inotify.c: inotify for guests ------------------------------------------------------------------------------- */

int serve_notify(struct mount_table *table, struct objects *objects, const struct request *request,
                 struct reply *reply);
int serve_notify_end(struct objects *objects, const struct request *request);

/* ---- unix_names.c: names of AF_UNIX sockets ---------------------------------------------------------------------- */

/* What stands behind a bound name: sequenced packets, of which its socket has the other end. */
struct queue {
    int end; /* ours */
    uint32_t backlog, message_cost;
};
int queue_new(struct queue *queue, struct reply *reply);
bool queue_has_reader(const struct queue *queue);
/* One more sender. */
int queue_share(const struct queue *queue, struct reply *reply);
/* A connected pair: one end into the queue with the request's info, the other is the answer.  buffer: of each end, 0 = the
 * host's default, QUEUE_TOKENS = the least. */
#define QUEUE_TOKENS 1
int queue_connect(struct queue *queue, const struct request *request, int type, int buffer, struct reply *reply);

#define UNIX_NAMES_MAX 256
#define UNIX_NAME_MAX 108 /* sun_path of struct sockaddr_un: an abstract name, its NUL in front included */
struct unix_names { /* starts zeroed */
    bool ready;
    uint64_t last_number;
    uint32_t picked;
    struct unix_name {
        struct queue queue; /* end -1: free */
        int object;    /* of a socket file: O_PATH, so that its inode number stays its own; -1: abstract */
        dev_t device;
        ino_t inode;
        uint64_t number;
        uint32_t kind;
        bool listening;
        size_t name_size, info_size;
        char name[UNIX_NAME_MAX], info[PAL_SOCKET_INFO];
    } names[UNIX_NAMES_MAX];
};
int serve_bind(struct mount_table *table, struct unix_names *unix_names, const struct request *request,
               struct reply *reply);
int serve_listen(struct unix_names *unix_names, const struct request *request);
int serve_connect(struct mount_table *table, struct unix_names *unix_names, const struct request *request,
                  struct reply *reply);

/* ---- inet_names.c: the loopback's addresses ---------------------------------------------------------------------- */

struct monitor;
#define INETS_MAX 1024
struct inets { /* starts zeroed */
    struct inet *names; /* INETS_MAX of them, made at the first use */
    uint64_t last_number;
    uint32_t turn; /* among sockets that share a port */
    uint16_t picked;
    struct network *network;
};
#define INET_NUMBER (1ull << 63) /* of a name's number: it is one of these */
struct outbound;
int inet_bind(struct monitor *monitor, const struct request *request, struct reply *reply);
int inet_listen(struct inets *inets, const struct outbound *outbound, const struct request *request);
int inet_connect(struct monitor *monitor, const struct request *request, struct reply *reply);

/* What is in front of each datagram in a queue, as the libOS lays it out: libos/net/socket.h. */
struct datagram_head {
    uint32_t ids[3], size;
    struct pal_inet from, to;
    uint8_t rest[64];
};
_Static_assert(sizeof(struct datagram_head) == 128, "struct socket_end");
/* Bytes in two parts to a datagram socket of the sandbox, if it is there. */
void inet_send(struct inets *inets, const struct pal_inet *to, const void *head, size_t head_size, const void *bytes,
               size_t size);
extern const uint8_t names_address[16]; /* where names are asked for: 127.0.0.53, port 53 */

/* ---- dns.c ------------------------------------------------------------------------------------------------------- */

/* Questions come from `reader`. */
void names_serve(struct monitor *monitor, int reader);
/* A connection to there. */
int names_connect(struct monitor *monitor, struct reply *reply);

/* One of the monitor's own, by the rules as they are now.  False: it can't be asked. */
typedef void names_callback(struct monitor *monitor, uint32_t number, uint8_t (*addresses)[16], uint32_t count);
bool names_ask(struct monitor *monitor, const char *name, bool is_6, uint32_t number, names_callback *callback);

/* ---- outbound.c: the host's network ------------------------------------------------------------------------------ */

#define BINDINGS_MAX 4096
#define REFUSED_MAX 256
struct outbound {
    struct network *network;
    struct denials *denials;
    bool quiet; /* nothing is noted now */
    struct binding { uint8_t address[16]; uint64_t rules; } *bindings; /* what names that rules allow led to */
    size_t binding_count, next; /* next: to be given up for another */
    size_t refused_next, granted_count;
    int changes;                /* netlink: the host's own addresses have changed */
    uint8_t (*own)[16];
    size_t own_count;
    char *refused[REFUSED_MAX];  /* names without a rule, the last ones: where their markers lead */
    struct granted_name { const char *name; uint8_t address[16]; } granted[NET_RULES_MAX]; /* later, while it ran */
};
/* Binds what is to be published, or ends pal-run. */
void outbound_open(struct outbound *outbound, struct network *network, struct denials *denials);
/* 0, or -EACCES: policy. */
int outbound_check(struct outbound *outbound, const uint8_t address[16], bool udp, uint16_t port);
/* A name that rules allow led there. */
void outbound_learn(struct outbound *outbound, const uint8_t address[16], uint64_t rules);
/* A name that no rule has was asked for, and given network_marker's address. */
void outbound_refused(struct outbound *outbound, const char *name);
/* A name got a rule after it had been refused: its marker leads there.  `name` is kept. */
void outbound_grant(struct outbound *outbound, const char *name, const uint8_t address[16]);
/* Where a marker leads by now, if anywhere. */
void outbound_redirect(const struct outbound *outbound, uint8_t address[16]);
/* Is it this rule that allows it? */
bool outbound_is_by(struct outbound *outbound, size_t rule, const uint8_t address[16], bool udp, uint16_t port);
/* A TCP socket on its way there: the answer. */
int outbound_connect(const struct pal_inet *to, struct reply *reply);
/* The rules by which names led there, one of which what is sent first has to name; 0: it need not.  Then: a stand-in for
 * such a connection; and the connection itself, once that has been.  -EAGAIN: more bytes are needed; -EACCES: policy. */
uint64_t outbound_due(struct outbound *outbound, const uint8_t address[16], uint16_t port);
int outbound_connect_named(struct monitor *monitor, const struct pal_inet *to, uint64_t rules, struct reply *reply);
int outbound_first(struct outbound *outbound, uint64_t number, struct pal_inet *to, struct reply *reply);
/* A UDP socket that is connected there, or (any) may name whom it likes.  like: one of the sender's, whose port it gets as
 * well; -1: none. */
int outbound_datagrams(const struct pal_inet *to, int like, bool any, struct reply *reply);
/* The n-th listener that pal-run was started with, and its name. */
int outbound_listener(const struct outbound *outbound, uint16_t number, struct reply *reply);
/* The entry of a port of the sandbox that is published: its index; -1: none. */
int outbound_published(const struct outbound *outbound, bool udp, const struct pal_inet *at);
/* In a container's network: one more, for a name that is being bound.  Its index, or a negative errno. */
int outbound_publish(struct network *network, bool udp, const struct pal_inet *at);
void outbound_unpublish(struct net_publish *publish);
bool outbound_host_port(const struct outbound *outbound, bool udp, uint16_t port);
/* Datagrams that came to a published port: each goes to `queue`, with a socket that is connected to its sender. */
void outbound_arrived(const struct net_publish *publish, int queue);
void outbound_discard(const struct net_publish *publish);
int serve_option(struct objects *objects, const struct request *request);

/* ---- terminal.c: the user's; pty.c: guests' own ------------------------------------------------------------------ */

#define TERMINALS_MAX 256
struct terminals {
    int own;      /* pal-run's controlling terminal, or -1 */
    int input;    /* the terminal that the guest may read while pal-run is in front, without waiting; or -1 */
    int stop;     /* stop by this signal after the reply */
    bool changed; /* the user's terminal has modes of the guest's */
    struct inner {
        unsigned number;
        int name; /* O_PATH descriptor of /dev/pts/number; -1: unused */
    } inner[TERMINALS_MAX];
};
void terminal_save(void); /* modes and flags of the standard streams; then: */
void terminals_init(struct terminals *terminals);
void terminal_restore(const struct terminals *terminals);
/* Is one of the standard streams a terminal, on which the guest can draw? */
bool terminal_is_shared(void);
/* Is no other job in the terminal's foreground? */
bool terminals_in_front(const struct terminals *terminals);
/* What a request asked for, once it is answered.  True: it stopped, or could not; the guest is to go on. */
bool terminals_stop(struct terminals *terminals);
int serve_terminal(struct terminals *terminals, struct objects *objects, const struct request *request,
                   struct reply *reply);

/* ---- pty.c ------------------------------------------------------------------------------------------------------- */

/* Either side of a pseudoterminal that was made here?  All others are not the guest's to act on. */
bool pty_is_ours(struct terminals *terminals, int fd);
int pty_control(int fd, enum monitor_terminal what, uint64_t value);
int serve_pty(struct terminals *terminals, struct reply *reply);
int serve_pty_inner(struct terminals *terminals, const struct request *request, struct reply *reply);

/* ---- prefetch.c: answers sent ahead ------------------------------------------------------------------------------ */

#define PREFETCH_MAX 256
#define PREFETCH_FIRST 8       /* room for what any program asks */
#define PREFETCH_DESCRIPTORS 80 /* that go with one packet; the picoprocess has room for 124 */
struct prefetch {
    size_t count, descriptor_count;
    struct prefetch_entry {
        const char *path;
        int result;
        int fd;
        struct pal_attributes attributes;
    } entries[PREFETCH_MAX];
};
/* An answer that was given already; takes its descriptor. */
void prefetch_add(struct prefetch *prefetch, const char *path, const struct reply *reply);
/* One more name; `path` is kept. */
void prefetch_ask(struct prefetch *prefetch, struct mount_table *table, const char *path, bool opens);
/* What glibc's ld.so asks of any program. */
void prefetch_ask_loader(struct prefetch *prefetch, struct mount_table *table);
/* MONITOR_START. */
int serve_start(struct mount_table *table, const struct request *request, struct reply *reply);

/* ---- prefetch_profile.c: what the program's last run asked ------------------------------------------------------- */

void prefetch_profile_use(const char *program, struct prefetch *prefetch, struct mount_table *table);
/* A request of this run's start. */
void prefetch_profile_note(const struct mount_table *table, const struct request *request, int result);
/* Whether its start asked for enough names to be given a view; and that this one's did. */
bool prefetch_profile_had_view(void);
void prefetch_profile_note_view(void);
/* PAL_SITE_PROGRAMS programs' call sites, perhaps none yet; NULL: profiles aren't kept.  And what this run has made of them. */
const struct pal_sites *prefetch_profile_sites(void);
void prefetch_profile_note_sites(const struct pal_sites *now);
void prefetch_profile_keep(void);

/* ---- join.c: programs that are put into the running sandbox ------------------------------------------------------ */

/* Between it and `pal-run exec`: packets, with descriptors where it says so. */
#define JOIN_DESCRIPTORS 4
enum join_requests {
    JOIN_TERMINAL, /* rows, columns: a pseudoterminal.  Answer: JOIN_IS_TERMINAL */
    JOIN_BEGIN,    /* struct pal_join in a sealed file, then streams: value's bit n: stream n.  Answer: JOIN_ENDED, JOIN_FAILED */
    JOIN_SIGNAL,   /* value, from_keys: to the joined process */
    JOIN_ABOUT,    /* Answer: JOIN_NAMED */
    JOIN_HOLD,     /* as long as this connection lasts, guests that have a terminal stand still.  Answer: JOIN_HELD, JOIN_FAILED */
};
struct join_request { int32_t what, value; uint16_t rows, columns; uint32_t from_keys; };
enum join_answers {
    JOIN_IS_TERMINAL, /* value: its number; its outer side */
    JOIN_ENDED,       /* value: wait(2)'s status */
    JOIN_FAILED,      /* value: an errno; text: why */
    JOIN_NAMED,       /* text: the sandbox's name, or nothing */
    JOIN_HELD,
};
struct join_answer { int32_t what, value; char text[120]; };
#define JOIN_NAME_MAX 80
/* The address of a sandbox of this user's, by its name, or by pal-run's pid.  0: the name is too long. */
struct sockaddr_un;
unsigned join_address(struct sockaddr_un *address, const char *name, pid_t pid);
/* Takes the name, or ends pal-run. */
void join_name(const char *name);
void join_watch(struct monitor *monitor);
void join_watch_pid(void);
/* The same before there is a loop, which then watches it; and not yet. */
void join_listen_pid(void);
void join_unlisten_pid(void);
int serve_join(const struct request *request, struct reply *reply);
bool join_ended(pid_t pid, int status); /* a child of pal-run's, which was waited for: had it joined? */

/* ---- process_status.c -------------------------------------------------------------------------------------------- */

struct process_state { /* of any process or thread of the host, as proc(5) has it */
    long session;
    unsigned terminal; /* its device; 0: none */
    bool stopped;      /* or it has ended */
};
/* `path`: its stat file.  False: it has gone. */
bool process_state(const char *path, struct process_state *out);

/* ---- fellows.c: other sandboxes of this user at the same terminal ------------------------------------------------- */

/* Before a guest begins: waits while a question of another stands where it could draw. */
void fellows_await(void);
/* Before a question is drawn at this terminal.  0; -EBUSY: another's stands there; -EAGAIN: some guests can't be held. */
int fellows_hold(int own_terminal);
void fellows_release(void);

/* ---- decision.c: --ask ------------------------------------------------------------------------------------------- */

struct options;
/* All guests of this sandbox stop, where one has a terminal.  False: they go on. */
bool guests_hold(const struct monitor *monitor, bool stop);
/* Once there is a loop, and before a guest is served. */
void decision_begin(struct monitor *monitor, const struct options *options);
/* The reply's result, as monitor_dispatch has it, or MONITOR_ASKED. */
int decision_serve(struct monitor *monitor, const struct request *request, struct reply *reply);
/* A connection was made. */
void decision_spend(struct monitor *monitor, const struct pal_inet *to, bool udp);
/* The user's terminal has sent a signal, or somebody else: the program is to get it. */
void decision_on_signal(const struct monitor *monitor, int number);
void decision_end(const struct monitor *monitor);

/* ---- loop.c ------------------------------------------------------------------------------------------------------ */

/* ---- waiting.c: a clone, and its server or client ---------------------------------------------------------------- */

struct uv_timer_s;
struct pool_member;
struct waiting {
    bool waits;           /* for a client, in a pool */
    int channel, inner;   /* to the clone; -1: it tells nothing.  inner: its end, until it has it */
    int listener, server; /* the pool's: where clients come, where its server reads news */
    int client;           /* the client; -1: none */
    int touched;          /* a file of struct pal_snapshot_range: what clones write; -1 */
    bool learns;          /* this one is to tell */
    int set, signals;
    struct uv_timer_s *again;
    void (*on_again)(struct uv_timer_s *timer);
};
/* flags: enum pal_snapshot_flags. */
void waiting_open(struct waiting *waiting, uint32_t flags, const struct pool_member *member);
bool waiting_told_stale(const struct waiting *waiting); /* once it has ended */
/* In monitor_run, for one that waits.  signals: the descriptor that the loop reads them from. */
struct monitor;
void waiting_begin(struct monitor *monitor, int signals);
void waiting_ended(struct waiting *waiting, int status);
/* A standard stream that somebody brings: flags of the description that others have, too, stay as they are, where that can be. */
void stream_open_anew(int *fd);

/* ---- loop.c ------------------------------------------------------------------------------------------------------ */

struct monitor {
    struct policy *policy;
    struct waiting waiting;
    struct objects objects;
    struct anchors anchors;
    struct terminals terminals;
    struct unix_names unix_names;
    struct inets inets;
    struct outbound outbound;
    struct deaths deaths;
    void (*on_end)(struct monitor *monitor, int wait_status); /* nothing of it lives, but its files are there */
    struct uv_loop_s *uv;
    int channel;
    pid_t pid, first; /* pal-run's; the first picoprocess's */
    bool exited; /* the program, with a status of its own */
    uint64_t served[MONITOR_OPS];
    bool view_at_once;    /* --walls=view */
    uint32_t names_asked; /* since the start, until the view is made */
};
/* Blocks the signals that monitor_run takes from a descriptor: all that can be, where they are passed on one to one. */
void monitor_block_signals(bool all);
/* A picoprocess, which was not waited for yet, is told what LINUX_INTERRUPT_SIGNAL brings. */
void monitor_tell(pid_t member, int number);
int signal_number(int number, bool from_keys); /* as it is told */
/* Sends bytes and descriptors as a packet, without waiting for room: see send_rights.  0 or a negative errno. */
int send_with(int socket, const void *bytes, size_t size, const int *descriptors, size_t count);
/* Serves until the first picoprocess has ended and nothing of the sandbox is left.  Returns pal-run's exit status. */
int monitor_run(struct monitor *monitor, const struct options *options);
/* A client's signal for the program; SIGKILL ends the sandbox. */
void monitor_signal(struct monitor *monitor, int number);
void monitor_taken(struct monitor *monitor); /* a client has it: time limits begin */
/* One request, by policy. */
int monitor_dispatch(struct monitor *monitor, const struct request *request, struct reply *reply);
/* One packet; answers it. */
void monitor_serve(struct monitor *monitor, const void *packet, size_t size, pid_t sender);

/* ---- trim.c ------------------------------------------------------------------------------------------------------ */

/* A timer's callback. */
struct uv_timer_s;
void idle_drop_text(struct uv_timer_s *timer);

/* ---- teardown.c -------------------------------------------------------------------------------------------------- */

/* Kills what is left of the sandbox and collects it; the first picoprocess has ended but was not waited for, or is
 * to be killed.  Returns its wait status. */
int end_all(struct monitor *monitor);
int end_status(int wait_status, const struct limits *limits);

#endif

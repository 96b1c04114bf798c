/* SPDX-License-Identifier: MIT */
/*
 * random SECONDS [SEED [GAME]]: families of processes and threads play randomly chosen games, while signals hit them at
 * random moments.  A wake-up, signal or child that is lost shows as a family without progress, or a wrong count: the
 * seed, the game, who waits where, and status 1.  Runs natively as well.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "random.h"

enum { FAMILIES = 4, PATIENCE = 30 };

static const struct game { const char *name; void (*play)(void); } games[] = {
    {"token", game_token},
    {"ring", game_ring},
    {"pool", game_pool},
    {"requeue", game_requeue},
    {"cancel", game_cancel},
    {"children", game_children},
    {"orphans", game_orphans},
    {"stops", game_stops},
    {"exec", game_exec},
    {"queued", game_queued},
    {"threads_hit", game_threads_hit},
    {"timers", game_timers},
    {"killed_writer", game_killed_writer},
    {"killed_holder", game_killed_holder},
    {"killed_caller", game_killed_caller},
    {"messages", game_messages},
    {"spliced", game_spliced},
    {"rights", game_rights},
    {"connect", game_connect},
    {"crowd", game_crowd},
    {"ticks", game_ticks},
};
enum { GAMES = sizeof games / sizeof *games };

static struct family *families;
static unsigned seed;
static const char *only;

static void ignore(int signal)
{
    (void)signal;
}

static void play(int number, time_t end)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    family = &families[number];
    setpgid(0, 0);
    appear();
    sigset_t queued;
    sigemptyset(&queued);
    for (int i = SIGRTMIN; i <= QUEUED_LAST; i++)
        sigaddset(&queued, i);
    MUST(!sigprocmask(SIG_BLOCK, &queued, NULL));
    while (time(NULL) < end) {
        const struct game *game = &games[below(GAMES)];
        if (only && strcmp(game->name, only))
            continue;
        family->game = game->name;
        family->way = 0;
        sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore, .sa_flags = below(2) ? SA_RESTART : 0}, NULL);
        game->play();
        MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
        family->rounds++;
    }
    _exit(0);
}

/* One line: where it is, and what /proc/PID/status says of why it does not go on. */
static void describe(const struct actor *of)
{
    static const char *const told[] = {"State:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigCgt:"};
    char path[64], line[256], value[64];
    if (syscall(SYS_tgkill, of->pid, of->tid, 0))
        return;
    fprintf(stderr, "  process %d thread %d at %s:%d", of->pid, of->tid, of->file, of->line);
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", of->pid, of->tid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof told / sizeof *told; i++)
            if (!strncmp(line, told[i], strlen(told[i])) && sscanf(line + strlen(told[i]), " %63s", value) == 1)
                fprintf(stderr, " %s%s", told[i], value);
    fprintf(stderr, "\n");
    if (status)
        fclose(status);
}

static int hangs(int number)
{
    const struct family *of = &families[number];
    fprintf(stderr, "seed %u: family %d hangs in game %s %d, after %u rounds\n", seed, number, of->game, of->way,
            of->rounds);
    for (int i = 0; i < ACTORS; i++)
        if (of->actors[i].tid)
            describe(&of->actors[i]);
    if (getenv("RANDOM_HOLD")) /* for a debugger */
        pause();
    return 1;
}

/* Hits the families with signals until all have ended. */
static int watch(const pid_t pids[FAMILIES])
{
    unsigned seen[FAMILIES] = {0}, total = 0;
    time_t moved[FAMILIES];
    bool gone[FAMILIES] = {0};
    for (int i = 0; i < FAMILIES; i++)
        moved[i] = time(NULL);
    for (int left = FAMILIES; left;) {
        usleep(500 + below(3000));
        for (int i = 0; i < FAMILIES; i++) {
            int status;
            if (gone[i])
                continue;
            if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                total += families[i].rounds;
                gone[i] = true;
                left--;
                if (status) {
                    fprintf(stderr, "seed %u: family %d, game %s %d: status %x\n", seed, i, families[i].game,
                            families[i].way, status);
                    return 1;
                }
                continue;
            }
            if (families[i].rounds != seen[i]) {
                seen[i] = families[i].rounds;
                moved[i] = time(NULL);
            } else if (time(NULL) > moved[i] + PATIENCE) {
                return hangs(i);
            }
            if (!below(3))
                kill(below(2) ? -pids[i] : pids[i], SIGUSR1);
        }
    }
    printf("%u rounds\n", total);
    return 0;
}

static void shared_init(void)
{
    pthread_mutexattr_t attributes;
    families = mmap(NULL, sizeof *families * FAMILIES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (families == MAP_FAILED)
        exit(1);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i < FAMILIES; i++) {
        sem_init(&families[i].semaphores[0], 1, 0);
        sem_init(&families[i].semaphores[1], 1, 0);
    }
    for (int protocol = 0; protocol < 2; protocol++) {
        pthread_mutexattr_setprotocol(&attributes, protocol ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
        for (int i = 0; i < FAMILIES; i++)
            pthread_mutex_init(&families[i].mutexes[protocol], &attributes);
    }
}

int main(int argc, char **argv)
{
    pid_t pids[FAMILIES];
    if (argc > 2 && !strcmp(argv[1], "exit"))
        return atoi(argv[2]);
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    only = argc > 3 ? argv[3] : NULL;
    self_path = argv[0];
    shared_init();
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore, .sa_flags = SA_RESTART}, NULL);
    random_seed(seed + FAMILIES);
    for (int i = 0; i < FAMILIES; i++)
        if (!(pids[i] = fork())) {
            random_seed(seed + (unsigned)i * 7919);
            play(i, end);
        }
    return watch(pids);
}

/* SPDX-License-Identifier: MIT */
/*
 * Runs tests, each in a process group of its own with a time limit, and fails one that leaves processes behind: the runner
 * is their subreaper, so whatever outlives its test comes to it.
 *
 *   runner [-j JOBS] [-t PATTERN] LIST
 *
 * LIST has a line a test: NAME SECONDS COMMAND..., the command for /bin/sh -c.  Exit status of the command: 0 passed, 77
 * skipped (its last line of output says why), anything else failed (its output is shown).  Prints TAP, then
 * `N passed, N failed, N skipped`.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 8, SHOWN = 6000, GRACE_MS = 10000 };

struct test {
    char name[128];
    int seconds;
    const char *command;
    pid_t pid;
    FILE *output;
    double deadline, started;
    int timed_out;
};

static int passed, failed, skipped, number;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct test *test)
{
    test->output = tmpfile();
    if (!test->output) {
        perror("runner: tmpfile");
        exit(1);
    }
    fcntl(fileno(test->output), F_SETFD, FD_CLOEXEC); /* the other jobs shall not have it */
    test->started = now();
    test->deadline = test->started + test->seconds;
    test->timed_out = 0;
    test->pid = fork();
    if (test->pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        for (int each = 1; each < NSIG; each++)
            signal(each, SIG_DFL); /* a shell's background jobs ignore some */
        setsid(); /* what it leaves behind is known by its session */
        dup2(null, 0);
        dup2(fileno(test->output), 1);
        dup2(fileno(test->output), 2);
        close(null);
        execl("/bin/sh", "sh", "-c", test->command, (char *)NULL);
        _exit(127);
    }
}

/* The session and parent of a process; 0 if it is gone. */
static int facts(const char *pid, int *session, int *parent)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = 0;
    char *after = strrchr(line, ')');
    char state;
    int group;
    return after && sscanf(after + 1, " %c %d %d %d", &state, parent, &group, session) == 4 && state != 'Z';
}

/* Kills our own children that are no running test's: returns how many there were. */
static int sweep(struct test *jobs, int job_count, int kill_them)
{
    char list[8192];
    FILE *file = fopen("/proc/thread-self/children", "re");
    if (!file)
        return 0;
    size_t n = fread(list, 1, sizeof list - 1, file);
    fclose(file);
    list[n] = 0;
    int found = 0;
    for (char *save = NULL, *pid = strtok_r(list, " \n", &save); pid; pid = strtok_r(NULL, " \n", &save)) {
        int session, parent, mine = 0;
        for (int i = 0; i < job_count; i++)
            mine |= jobs[i].pid > 0 && jobs[i].pid == atoi(pid);
        if (mine || !facts(pid, &session, &parent))
            continue;
        for (int i = 0; i < job_count; i++) /* a running test's orphan may still end by itself */
            mine |= jobs[i].pid > 0 && jobs[i].pid == session;
        if (mine)
            continue;
        found++;
        if (kill_them)
            kill(atoi(pid), SIGKILL);
    }
    return found;
}

static void show(FILE *output, int all, char *last, size_t last_size)
{
    char line[1024];
    fseek(output, 0, SEEK_END);
    long size = ftell(output);
    fseek(output, size > SHOWN ? size - SHOWN : 0, SEEK_SET);
    last[0] = 0;
    while (fgets(line, sizeof line, output)) {
        line[strcspn(line, "\n")] = 0;
        if (all)
            printf("    # %s\n", line);
        if (line[0])
            snprintf(last, last_size, "%.200s", line);
    }
}

static void finish(struct test *test, int status, struct test *jobs, int job_count)
{
    char last[256];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    double took = now() - test->started;
    test->pid = 0;
    int leaked = 0;
    for (double until = now() + GRACE_MS / 1e3; (leaked = sweep(jobs, job_count, 0)) && now() < until;) {
        usleep(20000);
    }
    if (leaked)
        sweep(jobs, job_count, 1);
    number++;
    if (code == 0 && !leaked && !test->timed_out) {
        passed++;
        printf("ok %d - %s (%.1f s)\n", number, test->name, took);
    } else if (code == 77 && !leaked) {
        show(test->output, 0, last, sizeof last);
        skipped++;
        printf("ok %d - %s # SKIP %s\n", number, test->name, last);
    } else {
        failed++;
        printf("not ok %d - %s (%.1f s): %s", number, test->name, took, test->timed_out ? "time limit, " : "");
        printf("status %d%s\n", code, leaked ? ", processes left behind" : "");
        show(test->output, 1, last, sizeof last);
    }
    fflush(stdout);
    fclose(test->output);
}

static int next_test(FILE *list, const char *pattern, struct test *test)
{
    static char lines[4096];
    while (fgets(lines, sizeof lines, list)) {
        int at = 0;
        lines[strcspn(lines, "\n")] = 0;
        if (lines[0] == '#' || sscanf(lines, "%127s %d %n", test->name, &test->seconds, &at) < 2 || !at)
            continue;
        if (pattern && fnmatch(pattern, test->name, 0) != 0 && !strstr(test->name, pattern))
            continue;
        test->command = strdup(lines + at);
        return 1;
    }
    return 0;
}

static void wait_some(struct test *jobs, int job_count)
{
    int status;
    pid_t pid;
    usleep(2000);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < job_count; i++)
            if (jobs[i].pid == pid)
                finish(&jobs[i], status, jobs, job_count);
    for (int i = 0; i < job_count; i++) {
        if (jobs[i].pid > 0 && now() > jobs[i].deadline) {
            jobs[i].timed_out = 1;
            jobs[i].deadline = now() + 5;
            kill(-jobs[i].pid, SIGKILL);
            kill(jobs[i].pid, SIGKILL);
        }
    }
}

int main(int argc, char **argv)
{
    struct test jobs[MOST_JOBS] = {0};
    int job_count = 2, option, more = 1, running = 0;
    const char *pattern = NULL;
    while ((option = getopt(argc, argv, "j:t:")) != -1) {
        if (option == 'j')
            job_count = atoi(optarg) > 0 && atoi(optarg) <= MOST_JOBS ? atoi(optarg) : 1;
        else if (option == 't')
            pattern = *optarg ? optarg : NULL;
        else
            return 2;
    }
    FILE *list = optind < argc ? fopen(argv[optind], "re") : NULL;
    if (!list) {
        fprintf(stderr, "runner: no test list: usage: runner [-j JOBS] [-t PATTERN] LIST\n");
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (more || running) {
        running = 0;
        for (int i = 0; i < job_count; i++) {
            if (!jobs[i].pid && more && (more = next_test(list, pattern, &jobs[i])))
                start(&jobs[i]);
            running += jobs[i].pid > 0;
        }
        wait_some(jobs, job_count);
    }
    fclose(list);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0 || passed == 0;
}

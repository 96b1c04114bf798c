/* SPDX-License-Identifier: MIT */
/* libpalrun, with a script in the place of pal-run that tells what it was started with. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/library/palrun.h"

#define THREADS 8
#define ROUNDS 20

static char script[64];

static void with(const char *text)
{
    strcpy(script, "/tmp/pal-unit.XXXXXX");
    int fd = mkstemp(script);
    cr_assert(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", text) > 0 && fchmod(fd, 0700) == 0);
    close(fd);
}

static void without(void)
{
    unlink(script);
}

/* What it wrote, up to its end. */
static int run_to_end(struct palrun_options *options, char *said, size_t size)
{
    int fds[2], status = -1;
    struct palrun *run;
    cr_assert(pipe2(fds, O_CLOEXEC) == 0);
    options->pal_run = script;
    options->output = fds[1];
    cr_assert_eq(palrun_start(&run, options), 0);
    close(fds[1]);
    size_t used = 0;
    ssize_t more;
    while ((more = read(fds[0], said + used, size - 1 - used)) > 0)
        used += (size_t)more;
    said[used] = 0;
    close(fds[0]);
    cr_assert_eq(palrun_wait(run, &status, -1), 0);
    palrun_free(run);
    return status;
}

Test(library, arguments_are_taken_as_they_are, .fini = without)
{
    char said[4096];
    with("for a; do printf '<%s>' \"$a\"; done; exit 7");
    const char *const own[] = {"--ro=/a b", NULL}, *const command[] = {"--rw", "$(id); 'x' *", "", NULL};
    struct palrun_options options = PALRUN_OPTIONS;
    options.options = own;
    options.command = command;
    options.manifest = "m.toml";
    options.flags = PALRUN_EVENTS;
    cr_assert_eq(run_to_end(&options, said, sizeof said), 7);
    cr_assert_str_eq(said, "<--ro=/a b><--json><3><-m><m.toml><--><--rw><$(id); 'x' *><>");
}

Test(library, manifest_text_is_a_file_of_its_own, .fini = without)
{
    char said[4096];
    with("[ \"$1\" = -m ] && cat \"$2\"; stat -Lc %F \"$2\"");
    struct palrun_options options = PALRUN_OPTIONS;
    options.manifest_text = "program = \"/bin/true\"\n";
    cr_assert_eq(run_to_end(&options, said, sizeof said), 0);
    cr_assert_str_eq(said, "program = \"/bin/true\"\nregular file\n");
    options.manifest = "both.toml";
    struct palrun *run;
    cr_assert_eq(palrun_start(&run, &options), -EINVAL);
    cr_assert_null(run);
}

/* Streams may be closed in the caller, or lie crosswise; nothing else of the caller's arrives; signals are as usual. */
Test(library, the_child_is_clean, .fini = without)
{
    char said[4096];
    with("[ -e /proc/self/fd/20 ] && echo leaked; kill -TERM $$; sleep 1; echo alive");
    cr_assert(dup2(1, 20) == 20);
    signal(SIGTERM, SIG_IGN);
    sigset_t term, now;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    struct palrun_options options = PALRUN_OPTIONS;
    options.input = -1;
    close(0);
    cr_assert_eq(run_to_end(&options, said, sizeof said), 128 + SIGTERM);
    cr_assert_str_eq(said, "");
    sigprocmask(SIG_BLOCK, NULL, &now);
    cr_assert(sigismember(&now, SIGTERM) && !sigismember(&now, SIGUSR1), "the caller's mask is as it was");
    struct sigaction action;
    sigaction(SIGTERM, NULL, &action);
    cr_assert(action.sa_handler == SIG_IGN, "the caller's signals are as they were");
}

Test(library, standard_streams_may_be_swapped, .fini = without)
{
    struct palrun *run;
    int out[2], error[2], status;
    char said[16] = "";
    with("echo out; echo error >&2");
    cr_assert(pipe(out) == 0 && pipe(error) == 0);
    int kept = dup(2);
    dup2(out[1], 2);
    dup2(error[1], 1);
    struct palrun_options options = PALRUN_OPTIONS;
    options.pal_run = script;
    options.output = 2;
    options.error = 1;
    int started = palrun_start(&run, &options);
    dup2(kept, 2);
    cr_assert_eq(started, 0);
    cr_assert_eq(palrun_wait(run, &status, -1), 0);
    palrun_free(run);
    cr_assert(read(out[0], said, sizeof said) == 4 && !memcmp(said, "out\n", 4));
    cr_assert(read(error[0], said, sizeof said) == 6 && !memcmp(said, "error\n", 6));
}

Test(library, events, .fini = without)
{
    struct palrun *run;
    struct palrun_event event;
    with("exec >&3; echo '{\"event\":\"denied\",\"access\":\"read\",\"name\":\"/x\",\"reason\":\"r\",\"lost\":3}'\n"
         "echo no json; echo '[1]'; echo '{\"event\":7}'; head -c 20000 /dev/zero | tr '\\0' x; echo\n"
         "printf '{\"event\":\"limit\",'; sleep 0.2; echo '\"name\":\"time\",\"value\":5000000000}'\n"
         "echo '{\"event\":\"ended\",\"status\":9}'; exit 9");
    struct palrun_options options = PALRUN_OPTIONS;
    options.pal_run = script;
    options.flags = PALRUN_EVENTS;
    cr_assert_eq(palrun_start(&run, &options), 0);
    cr_assert_eq(palrun_event(run, &event, -1), 1);
    cr_assert(!strcmp(event.kind, "denied") && !strcmp(event.access, "read") && !strcmp(event.name, "/x") &&
              !strcmp(event.reason, "r") && event.lost == 3 && event.json[0] == '{');
    cr_assert_eq(palrun_event(run, &event, -1), 1, "lines that are no events are left out");
    cr_assert(!strcmp(event.kind, "limit") && event.value == 5000000000 && !event.access && !event.lost);
    cr_assert_eq(palrun_event(run, &event, -1), 1);
    cr_assert(!strcmp(event.kind, "ended") && event.status == 9);
    cr_assert_eq(palrun_event(run, &event, -1), 0);
    cr_assert_eq(palrun_event(run, &event, -1), 0);
    palrun_free(run);
}

/* Where the kernel reaps for the program, pal-run's own word counts. */
Test(library, sigchld_ignored, .fini = without)
{
    struct palrun *run;
    struct palrun_event event;
    int status = 0;
    signal(SIGCHLD, SIG_IGN);
    with("echo '{\"event\":\"ended\",\"status\":9}' >&3; exit 9");
    struct palrun_options options = PALRUN_OPTIONS;
    options.pal_run = script;
    options.flags = PALRUN_EVENTS;
    cr_assert_eq(palrun_start(&run, &options), 0);
    cr_assert_eq(palrun_wait(run, &status, -1), -ECHILD);
    cr_assert_eq(palrun_event(run, &event, -1), 1);
    cr_assert_eq(palrun_wait(run, &status, -1), 0);
    cr_assert_eq(status, 9);
    palrun_free(run);
}

Test(library, times_and_signals, .fini = without)
{
    struct palrun *run;
    struct palrun_event event;
    int status;
    with("exec sleep 60");
    struct palrun_options options = PALRUN_OPTIONS;
    options.pal_run = script;
    cr_assert_eq(palrun_start(&run, &options), 0);
    cr_assert_eq(palrun_event(run, &event, 0), -EINVAL);
    cr_assert_eq(palrun_wait(run, &status, 50), -ETIMEDOUT);
    struct pollfd end = {.fd = palrun_end_descriptor(run), .events = POLLIN};
    cr_assert_eq(poll(&end, 1, 0), 0);
    cr_assert_eq(palrun_kill(run, SIGTERM), 0);
    cr_assert_eq(poll(&end, 1, -1), 1);
    cr_assert_eq(palrun_wait(run, &status, -1), 0);
    cr_assert_eq(status, 128 + SIGTERM);
    cr_assert_eq(palrun_wait(run, &status, 0), 0, "it is told again");
    cr_assert_eq(palrun_kill(run, SIGTERM), -ESRCH);
    palrun_free(run);
    cr_assert_eq(palrun_start(&run, &options), 0);
    palrun_free(run); /* kills it */
    cr_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
}

Test(library, no_program)
{
    struct palrun *run;
    struct palrun_options options = PALRUN_OPTIONS;
    options.pal_run = "/nonexistent/pal-run";
    cr_assert_eq(palrun_start(&run, &options), -ENOENT);
    options.pal_run = "/etc/passwd";
    cr_assert_eq(palrun_start(&run, &options), -EACCES);
    options.pal_run = "/bin/true";
    options.directory = "/nonexistent";
    cr_assert_eq(palrun_start(&run, &options), -ENOENT);
    options.size--;
    cr_assert_eq(palrun_start(&run, &options), -EINVAL);
    cr_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
}

static void *many(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        char number[12];
        struct palrun *run;
        struct palrun_event event;
        int status = -1;
        snprintf(number, sizeof number, "%d", i);
        const char *const command[] = {number, NULL};
        struct palrun_options options = PALRUN_OPTIONS;
        options.pal_run = script;
        options.command = command;
        options.flags = PALRUN_EVENTS;
        if (palrun_start(&run, &options) || palrun_event(run, &event, -1) != 1 || event.status != i ||
            palrun_event(run, &event, -1) || palrun_wait(run, &status, -1) || status != i)
            return (void *)1;
        palrun_free(run);
    }
    return NULL;
}

Test(library, threads, .fini = without)
{
    pthread_t threads[THREADS];
    with("echo \"{\\\"event\\\":\\\"ended\\\",\\\"status\\\":$4}\" >&3; exit $4");
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, many, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        cr_assert_null(wrong);
    }
    cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC) < 20, 1, "descriptors are left");
}

/* SPDX-License-Identifier: MIT */
/* `#!` scripts: argument, nesting, blanks, cut-off lines, missing and relative interpreters. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char self[4096], directory[] = "/tmp/exec_script.XXXXXX";

static void write_script(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* Runs `name` with arguments "zero", "one", "two": what came out, or -errno as "E<number>". */
static const char *run(const char *name)
{
    static char output[8192];
    int fds[2], status;
    CHECK(pipe(fds) == 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char *argv[] = {"zero", "one", "two", NULL}, *envp[] = {"SHOW=1", NULL};
        dup2(fds[1], 1);
        execve(name, argv, envp);
        dprintf(1, "E%d", errno);
        _exit(0);
    }
    close(fds[1]);
    ssize_t n, size = 0;
    while ((n = read(fds[0], output + size, sizeof output - 1 - (size_t)size)) > 0)
        size += n;
    output[size] = 0;
    close(fds[0]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return output;
}

static void expect(const char *name, const char *text, const char *expected)
{
    if (text)
        write_script(name, text);
    const char *got = run(name);
    if (strcmp(got, expected) != 0) {
        fprintf(stderr, "%s: got \"%s\", not \"%s\"\n", name, got, expected);
        _exit(1);
    }
}

static void lines(void)
{
    char text[10000], expected[10000];
    sprintf(text, "#!%s\n", self);
    sprintf(expected, "%s|./plain|one|two|", self);
    expect("./plain", text, expected);
    sprintf(text, "#! \t%s \t a  b\tc \t\nrest\n", self);
    sprintf(expected, "%s|a  b\tc|./blanks|one|two|", self);
    expect("./blanks", text, expected);
    sprintf(text, "#!%s", self); /* no newline */
    sprintf(expected, "%s|./bare|one|two|", self);
    expect("./bare", text, expected);
    sprintf(text, "#!%s -x", self);
    sprintf(expected, "%s|-x|./bare2|one|two|", self);
    expect("./bare2", text, expected);
    expect("./relative", "#!link -r\n", "link|-r|./relative|one|two|");
    /* 255 bytes of the line count; an argument may be cut, a name may not. */
    int size = sprintf(text, "#!%s ", self);
    memset(text + size, 'y', 600);
    strcpy(text + size + 600, "\n");
    sprintf(expected, "%s|%.*s|./long|one|two|", self, 255 - size, text + size);
    expect("./long", text, expected);
    memset(text, 'y', 600);
    memcpy(text, "#!/", 3);
    strcpy(text + 600, "\n");
    expect("./longname", text, "E8");
}

static void errors(void)
{
    expect("./empty", "#!\n", "E8");
    expect("./spaces", "#!   \t \n", "E8");
    expect("./missing", "#!/nonexistent/interpreter\n", "E2");
    expect("./folder", "#!/tmp\n", "E13");
    expect("./text", "just text\n", "E8");
    CHECK(chmod("./text", 0600) == 0);
    expect("./text", NULL, "E13");
    expect("./totext", "#!./text\n", "E13");
}

static void nesting(void)
{
    char text[8192], expected[10000];
    sprintf(text, "#!%s 0\n", self);
    write_script("./n0", text);
    sprintf(expected, "%s|0|./n0|1|./n1|2|./n2|3|./n3|4|./n4|one|two|", self);
    for (int i = 1; i < 6; i++) {
        char name[8];
        sprintf(name, "./n%d", i);
        sprintf(text, "#!./n%d %d\n", i - 1, i);
        write_script(name, text);
    }
    expect("./n4", NULL, expected);
    expect("./n5", NULL, "E40");
    expect("./loop", "#!./loop\n", "E40");
}

int main(int argc, char **argv)
{
    if (getenv("SHOW")) {
        for (int i = 0; i < argc; i++)
            printf("%s|", argv[i]);
        return 0;
    }
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(size > 0 && size < 200 && mkdtemp(directory) && chdir(directory) == 0 && symlink(self, "link") == 0);
    lines();
    errors();
    nesting();
    char command[100];
    sprintf(command, "rm -r %s", directory);
    return system(command);
}

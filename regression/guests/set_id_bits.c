/* SPDX-License-Identifier: MIT */
/* Set-user-ID and set-group-ID bits: given by chmod and open, shown by stat, taken by chown, gone with the file. */
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static mode_t mode_of(const char *name)
{
    struct stat status;
    CHECK(lstat(name, &status) == 0);
    return status.st_mode & 07777;
}

static void given(void)
{
    struct stat status;
    int fd = open("plain", O_CREAT | O_EXCL | O_RDWR, 0755);
    CHECK(fd >= 0 && mode_of("plain") == 0755);
    CHECK(chmod("plain", 04755) == 0 && mode_of("plain") == 04755);
    CHECK(fstat(fd, &status) == 0 && (status.st_mode & 07777) == 04755);
    CHECK(fchmod(fd, 06750) == 0 && mode_of("plain") == 06750);
    CHECK(chmod("plain", 0755) == 0 && mode_of("plain") == 0755);
    CHECK(fchmodat(AT_FDCWD, "plain", 02755, 0) == 0 && mode_of("plain") == 02755);
    close(fd);
}

static void seen_by_others(void)
{
    int status;
    CHECK(chmod("plain", 06755) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(mode_of("plain") == 06755 && chmod("plain", 04711) == 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0 && mode_of("plain") == 04711);
    CHECK(rename("plain", "moved") == 0 && mode_of("moved") == 04711);
    CHECK(link("moved", "plain") == 0 && mode_of("plain") == 04711);
    CHECK(unlink("moved") == 0 && mode_of("plain") == 04711);
}

static void taken_by_chown(void)
{
    CHECK(chmod("plain", 06755) == 0 && chown("plain", (uid_t)-1, getgid()) == 0 && mode_of("plain") == 0755);
    CHECK(chmod("plain", 06745) == 0 && chown("plain", (uid_t)-1, getgid()) == 0 && mode_of("plain") == 02745);
}

static void made_with(void)
{
    umask(022);
    int fd = open("made", O_CREAT | O_RDWR, 06777);
    CHECK(fd >= 0 && mode_of("made") == 06755);
    close(fd);
    fd = open("made", O_CREAT | O_RDWR, 0777); /* there is one */
    CHECK(fd >= 0 && mode_of("made") == 06755);
    close(fd);
    CHECK(mknod("node", S_IFREG | 02700, 0) == 0 && mode_of("node") == 02700);
    CHECK(mkdir("directory", 0755) == 0 && chmod("directory", 07755) == 0 && mode_of("directory") == 07755);
    CHECK(rmdir("directory") == 0 && mkdir("directory", 0755) == 0 && mode_of("directory") == 0755);
}

/* A file that gets the number of one that is gone has none of its bits. */
static void gone_with_the_file(void)
{
    for (int i = 0; i < 50; i++) {
        int fd = open("short", O_CREAT | O_EXCL | O_RDWR, 0700);
        CHECK(fd >= 0 && mode_of("short") == 0700);
        CHECK(fchmod(fd, 04700) == 0 && close(fd) == 0);
        CHECK((i & 1 ? rename("plain", "short") : unlink("short")) == 0);
        CHECK(i & 1 ? rename("short", "plain") == 0 : 1);
    }
}

static void copy_self(const char *to)
{
    static char bytes[65536];
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_CREAT | O_EXCL | O_WRONLY, 0755);
    ssize_t size;
    CHECK(in >= 0 && out >= 0);
    while ((size = read(in, bytes, sizeof bytes)) > 0)
        CHECK(write(out, bytes, (size_t)size) == size);
    close(in);
    close(out);
}

/* Root's program with S_ISUID, run by somebody else. */
static void runs_as_owner(void)
{
    int status;
    copy_self("helper");
    CHECK(chmod("helper", 04755) == 0 && chmod(".", 0755) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(setgid(12345) == 0 && setuid(12345) == 0);
        execl("./helper", "helper", "ids", NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(unlink("helper") == 0);
}

static int tell_ids(void)
{
    uid_t real, effective, saved;
    CHECK(getresuid(&real, &effective, &saved) == 0 && real == 12345 && effective == 0 && saved == 0);
    CHECK(getegid() == 12345 && getauxval(AT_SECURE) == 1);
    CHECK(seteuid(12345) == 0 && seteuid(0) == 0);
    return 0;
}

int main(int argc, char **argv)
{
    char name[256];
    if (argc > 1 && !strcmp(argv[1], "ids"))
        return tell_ids();
    const char *temporary = getenv("TMPDIR");
    snprintf(name, sizeof name, "%s/set_id_bits.XXXXXX", temporary ? temporary : "/tmp");
    CHECK(mkdtemp(name) && chdir(name) == 0);
    given();
    seen_by_others();
    taken_by_chown();
    made_with();
    gone_with_the_file();
    if (getuid() == 0)
        runs_as_owner();
    CHECK(unlink("plain") == 0 && unlink("made") == 0 && unlink("node") == 0 && rmdir("directory") == 0);
    CHECK(chdir("/") == 0 && rmdir(name) == 0);
    return 0;
}

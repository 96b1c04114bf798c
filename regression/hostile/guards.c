/* SPDX-License-Identifier: MIT */
/*
 * guards: what other programs act on, in a directory that may be written, and what a pattern hides.  Run in a directory with
 * repo/.git (a hook "old", settings), repo/.env, work/; each way to change or read those must fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int bad;
#define REFUSED(call)                                                                                                  \
    do {                                                                                                               \
        if ((call) >= 0) {                                                                                             \
            printf("line %d: not refused: %s\n", __LINE__, #call);                                                     \
            bad = 1;                                                                                                   \
        }                                                                                                              \
    } while (0)
#define DONE(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            printf("line %d: failed: %s: %s\n", __LINE__, #call, strerror(errno));                                     \
            bad = 1;                                                                                                   \
        }                                                                                                              \
    } while (0)

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return -1;
    if (write(fd, text, strlen(text)) < 0)
        return -1;
    return close(fd);
}

static int bind_at(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), result = bind(fd, (struct sockaddr *)&name, sizeof name);
    close(fd);
    return result;
}

#define HOOK "repo/.git/hooks/pre-commit"
#define OLD "repo/.git/hooks/old"
#define CONFIG "repo/.git/config"

static void write_by_name(const char *new, const char *old)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        REFUSED(open(old, flags[i], 0644));
    REFUSED(open(new, O_WRONLY | O_CREAT, 0755));
    REFUSED(open(new, O_RDONLY | O_CREAT | O_EXCL, 0755));
    REFUSED(mkdir(new, 0755));
    REFUSED(mknod(new, S_IFREG | 0755, 0));
    REFUSED(mkfifo(new, 0755));
    REFUSED(symlink("/tmp/x", new));
    REFUSED(bind_at(new));
    REFUSED(truncate(old, 0));
    REFUSED(setxattr(old, "user.x", "1", 1, 0));
    REFUSED(unlink(old));
    REFUSED(rename(old, "work/taken"));
    REFUSED(link(old, "work/linked"));
    DONE(put("work/file", "touch /tmp/owned\n"));
    REFUSED(rename("work/file", new));
    REFUSED(rename("work/file", old) == 0 && !strstr(old, "config") ? 0 : -1);
    REFUSED(syscall(SYS_renameat2, AT_FDCWD, "work/file", AT_FDCWD, old, 2 /* exchange */));
    REFUSED(link("work/file", new));
    int fd = open("work", O_TMPFILE | O_RDWR, 0755);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (fd >= 0)
        REFUSED(linkat(AT_FDCWD, name, AT_FDCWD, new, AT_SYMLINK_FOLLOW));
    close(fd);
}

static void write_by_descriptor(void)
{
    char name[64];
    int git = open("repo/.git", O_RDONLY | O_DIRECTORY), hooks = open("repo/.git/hooks", O_PATH | O_DIRECTORY);
    int old = open(OLD, O_RDONLY), config = open(CONFIG, O_RDONLY);
    REFUSED(openat(git, "hooks/pre-commit", O_WRONLY | O_CREAT, 0755));
    REFUSED(openat(hooks, "pre-commit", O_WRONLY | O_CREAT, 0755));
    REFUSED(openat(hooks, "./../hooks/old", O_WRONLY));
    REFUSED(openat(git, "config", O_RDWR));
    REFUSED(openat(git, "../.git/config", O_RDWR));
    REFUSED(unlinkat(hooks, "old", 0));
    REFUSED(fchmod(old, 0755));
    REFUSED(ftruncate(old, 0));
    REFUSED(fsetxattr(old, "user.x", "1", 1, 0));
    snprintf(name, sizeof name, "/proc/self/fd/%d", old);
    REFUSED(open(name, O_WRONLY));
    snprintf(name, sizeof name, "/proc/self/fd/%d", config);
    REFUSED(open(name, O_WRONLY | O_TRUNC));
    REFUSED((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, old, 0) == -1 ? -1 : 0);
    DONE(chdir("repo/.git/hooks"));
    REFUSED(put("pre-commit", "x"));
    REFUSED(put("../config", "x"));
    DONE(chdir("../../.."));
    close(git), close(hooks), close(old), close(config);
}

/* Directories under another name, and back. */
static void move_directories(void)
{
    REFUSED(rename("repo/.git", "repo/g"));
    REFUSED(rename("repo/.git/hooks", "repo/.git/h"));
    REFUSED(syscall(SYS_renameat2, AT_FDCWD, "repo/.git", AT_FDCWD, "work", 2));
    DONE(mkdir("work/made", 0755));
    DONE(mkdir("work/made/hooks", 0755));
    DONE(put("work/made/hooks/pre-commit", "x"));
    DONE(put("work/made/config", "[core]\n\tfsmonitor = x\n"));
    DONE(mkdir("work/new", 0755));
    REFUSED(rename("work/made", "work/new/.git"));
    REFUSED(rename("work/made", "work/new/.GIT"));
    REFUSED(symlink("../made", "work/new/.git"));
    DONE(symlink("../made", "work/new/link"));
    REFUSED(rename("work/new/link", "work/new/.git"));
    REFUSED(linkat(AT_FDCWD, "work/new/link", AT_FDCWD, "work/new/.git", 0));
    DONE(mkdir("work/new/.git", 0755)); /* as git init does */
    REFUSED(rename("work/made/hooks", "work/new/.git/hooks"));
    REFUSED(symlink("../../made/hooks", "work/new/.git/hooks"));
    REFUSED(rename("work/made/config", "work/new/.git/config"));
    DONE(mkdir("work/new/.git/hooks", 0755));
    REFUSED(put("work/new/.git/hooks/post-checkout", "x"));
    DONE(put("work/new/.git/hooks/x.sample", "x"));
    REFUSED(rename("work/new/.git/hooks/x.sample", "work/new/.git/hooks/x"));
    DONE(link("work/new/.git/hooks/x.sample", "work/new/y"));
    REFUSED(rename("work/new/y", "work/new/.git/hooks/y"));
    /* The directories above may go elsewhere: what is in them stays what it is. */
    int inner = open("work/new/.git/hooks", O_RDONLY | O_DIRECTORY);
    DONE(rename("work/new", "work/newer"));
    REFUSED(openat(inner, "pre-push", O_WRONLY | O_CREAT, 0755));
    REFUSED(put("work/newer/.git/hooks/pre-push", "x"));
    REFUSED(syscall(SYS_renameat2, AT_FDCWD, "work/made", AT_FDCWD, "work/newer/.git", 2));
    close(inner);
    DONE(symlink("../repo/.git", "work/way"));
    REFUSED(put("work/way/hooks/pre-commit", "x"));
    REFUSED(put("work/way/config", "x"));
    REFUSED(put("work/newer/../../repo/.git/config", "x"));
}

/* Settings that git may write are written by a copy: the guest's own open file is not what git reads later. */
static void keep_a_descriptor(void)
{
    static const char harmless[] = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";
    DONE(mkdir("work/own", 0755));
    DONE(mkdir("work/own/.git", 0755));
    int fd = open("work/own/.git/config.lock", O_RDWR | O_CREAT | O_EXCL, 0644);
    DONE(write(fd, harmless, sizeof harmless - 1));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    DONE(link("work/own/.git/config.lock", "work/own/second"));
    DONE(rename("work/own/.git/config.lock", "work/own/.git/config"));
    DONE(pwrite(fd, "[core]\n\tfsmonitor = \"touch /tmp/owned\"\n", 39, 0));
    if (map != MAP_FAILED)
        memcpy(map, "[alias]", 7);
    DONE(put("work/own/second", "[core]\n\tfsmonitor = x\n"));
    char text[4096] = "";
    int config = open("work/own/.git/config", O_RDONLY);
    DONE(read(config, text, sizeof text - 1));
    if (strcmp(text, harmless) != 0) {
        printf("the settings are: %s\n", text);
        bad = 1;
    }
    close(config), close(fd);
    static const char *const harmful[] = {
        "[core]\n\tfsmonitor = x\n", "[core] fsmonitor = x\n", "[CORE]\n\tHooksPath = x\n", "[include]\n\tpath = /tmp/x\n",
        "[core]\n\tbare = false \\\n\n", "[core]\n\tbare = \"false\"\n", "[remote \"x\"]\n\turl = ext::sh -c id\n",
        "[remote \"x\"]\n\turl = --upload-pack=x\n", "[remote \"x\"]\n\tuploadpack = x\n", "[alias]\n\tst = !id\n",
        "[core]\n\tbare = false\n[filter \"x\"]\n\tclean = x\n", "[user]\n\tsigningkey = x\n", "[core\n]\n\tfsmonitor = x\n",
        "\xef\xbb\xbf[core]\n\tfsmonitor = x\n", "[core]\r\n\tfsmonitor = x\r\n", "[branch \"x\"]\n\tremote = ext::x\n",
        "[url \"x\"]\n\tinsteadOf = y\n", "[core.x]\n\tpager = x\n", "[core]\n\tworktree = /\n",
    };
    for (size_t i = 0; i < sizeof harmful / sizeof *harmful; i++) {
        DONE(put("work/own/.git/config.lock", harmful[i]));
        REFUSED(rename("work/own/.git/config.lock", "work/own/.git/config"));
    }
}

/* Beyond the longest path, where nobody can tell a name as text. */
static void go_deep(const char *names[], size_t count)
{
    char name[201];
    int at = open("work", O_PATH | O_DIRECTORY);
    memset(name, 'd', 200);
    name[200] = 0;
    for (int i = 0; i < 30 && at >= 0; i++) {
        mkdirat(at, name, 0755);
        int next = openat(at, name, O_PATH | O_DIRECTORY);
        close(at);
        at = next;
    }
    if (at < 0)
        return; /* it went no deeper: as good */
    for (size_t i = 0; i < count; i++) {
        mkdirat(at, names[i], 0755);
        int next = openat(at, names[i], O_PATH | O_DIRECTORY);
        if (i + 1 == count)
            REFUSED(openat(at, names[i], O_WRONLY | O_CREAT, 0755));
        close(at);
        if ((at = next) < 0)
            return;
    }
}

static void others(void)
{
    static const char *const kept[] = {".vscode/tasks.json", ".idea/workspace.xml", ".mcp.json", ".bashrc", ".zshenv",
                                       ".profile", ".ssh/authorized_keys", ".BASHRC", ".Vscode/tasks.json"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        char path[256], copy[256], *slash;
        snprintf(path, sizeof path, "work/%s", kept[i]);
        strcpy(copy, path);
        if ((slash = strchr(copy + 5, '/'))) {
            *slash = 0;
            REFUSED(mkdir(copy, 0755));
            DONE(mkdir("work/dir", 0755));
            REFUSED(rename("work/dir", copy));
            DONE(rmdir("work/dir"));
        }
        REFUSED(put(path, "x"));
    }
}

static int reads(int fd)
{
    char text[64];
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return size > 0 ? 0 : -1;
}

static void hidden(void)
{
    struct stat status;
    char *const argv[] = {(char *)"x", NULL};
    int repo = open("repo", O_RDONLY | O_DIRECTORY);
    REFUSED(reads(open("repo/.env", O_RDONLY)));
    REFUSED(reads(open("repo/.env", O_RDWR)));
    REFUSED(reads(open("repo/.env", O_RDWR | O_CREAT, 0644)));
    REFUSED(open("repo/.env", O_PATH));
    REFUSED(reads(openat(repo, ".env", O_RDONLY)));
    REFUSED(reads(open("repo/../repo/./.env", O_RDONLY)));
    REFUSED(reads(open("/proc/self/cwd/repo/.env", O_RDONLY)));
    REFUSED(stat("repo/.env", &status));
    REFUSED(lstat("repo/.env", &status));
    REFUSED(rename("repo/.env", "work/env"));
    REFUSED(syscall(SYS_renameat2, AT_FDCWD, "repo/.env", AT_FDCWD, "work/file", 2));
    REFUSED(link("repo/.env", "work/env"));
    REFUSED(truncate("repo/.env", 0));
    REFUSED(unlink("repo/.env"));
    REFUSED(execv("repo/.env", argv));
    DONE(symlink("../repo/.env", "work/env"));
    REFUSED(reads(open("work/env", O_RDONLY)));
    REFUSED(link("work/env", "work/env2") == 0 && reads(open("work/env2", O_RDONLY)) == 0 ? 0 : -1);
    REFUSED(reads(open("repo/secrets/deep/key", O_RDONLY)));
    REFUSED(rename("repo/secrets", "work/s"));
    REFUSED(open("repo/secrets", O_RDONLY | O_DIRECTORY));
    DONE(rename("repo/sub", "repo/moved"));
    REFUSED(reads(open("repo/moved/.env", O_RDONLY)));
    DONE(rename("repo/moved", "repo/sub"));
    REFUSED(put("work/.env", "x"));
    REFUSED(mkdir("work/.env", 0755));
    close(repo);
}

int main(void)
{
    write_by_name(HOOK, OLD);
    write_by_name("repo/.git/config.worktree", CONFIG);
    write_by_name("repo/kept/new", "repo/kept/old"); /* --deny-write */
    write_by_descriptor();
    move_directories();
    keep_a_descriptor();
    go_deep((const char *[]){".git", "hooks", "pre-commit"}, 3);
    go_deep((const char *[]){".bashrc"}, 1);
    others();
    hidden();
    return bad;
}

/* SPDX-License-Identifier: MIT */
/* Which option would show a path: a directory rather than a file, but never one that holds far more than was asked for. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/explain/explain.h"

/* Programs keep what belongs to them in one directory beneath these, which are never granted whole. */
static const char *const shelves[] = {"/opt", "/srv", "/var/lib", "/var/cache", "/var/opt", "/usr/local", "/etc", "/run"};
static const char *const wide[] = {"/bin",  "/boot", "/dev",  "/etc",     "/home",   "/lib",       "/lib64", "/media",
                                   "/mnt",  "/opt",  "/proc", "/root",    "/run",    "/sbin",      "/srv",   "/sys",
                                   "/tmp",  "/usr",  "/var",  "/var/lib", "/var/tmp", "/var/cache", "/var/opt", "/usr/local",
                                   "/etc/ssh", "/etc/ssl"};

bool advice_is_noise(const char *path)
{
    static const char *const beneath[] = {"/var/run/nscd", "/run/nscd", "/var/lib/nscd", "/sys", "/proc", "/dev", "/etc/selinux",
                                          "/var/lib/selinux", "/selinux", "/run/systemd", "/usr/share/locale", "/usr/lib/locale",
                                          "/run/user", "/tmp/.X11-unix", "/tmp/.ICE-unix", "/run/dbus", "/var/run/dbus",
                                          "/run/resolvconf", "/lost+found"};
    static const char *const in_home[] = {".bashrc", ".bash_profile", ".bash_login", ".profile", ".bash_logout", ".bash_history",
                                          ".inputrc", ".terminfo", ".zshrc", ".zshenv", ".zprofile", ".python_history", ".cache",
                                          ".pythonrc", ".hushlogin", ".Xauthority", ".ICEauthority", ".curlrc", ".wgetrc",
                                          ".locale", ".dircolors", ".editrc", ".lesshst", ".sqliterc", ".perldb", ".perl5",
                                          ".gdbinit", ".config/gdb", ".vim", ".vimrc", ".config/nvim", ".selected_editor"};
    size_t size = strlen(path);
    for (size_t i = 0; i < sizeof beneath / sizeof *beneath; i++)
        if (path_is_within(path, size, beneath[i], strlen(beneath[i])))
            return true;
    if (strstr(path, "/__pycache__") || (size > 4 && !strcmp(path + size - 4, ".pyc")))
        return true;
    const char *home = getenv("HOME");
    size_t home_size = home ? strlen(home) : 0;
    if (home_size < 2 || !path_is_within(path, size, home, home_size))
        return false;
    if (size == home_size)
        return true;
    for (size_t i = 0; i < sizeof in_home / sizeof *in_home; i++)
        if (path_is_within(path + home_size + 1, size - home_size - 1, in_home[i], strlen(in_home[i])))
            return true;
    return false;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? must_copy("/") : must_print("%.*s", (int)(slash - path), path);
}

bool advice_is_wide(const char *directory, const struct policy *policy)
{
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strcmp(directory, wide[i]))
            return true;
    return policy_is_home(directory, policy->home, NULL) || policy_is_home(directory, getenv("HOME"), NULL);
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* "/opt/tool/bin/x" -> "/opt/tool"; NULL: it lies on no shelf. */
static char *unit_on_shelf(const char *path)
{
    size_t size = strlen(path);
    for (size_t i = 0; i < sizeof shelves / sizeof *shelves; i++) {
        size_t shelf = strlen(shelves[i]);
        if (!path_is_within(path, size, shelves[i], shelf) || size <= shelf + 1)
            continue;
        char *unit = must_print("%.*s", (int)(shelf + 1 + strcspn(path + shelf + 1, "/")), path);
        if (is_directory(unit))
            return unit;
        free(unit);
    }
    return NULL;
}

static char *directory_for(const struct policy *policy, const char *path)
{
    char *unit = unit_on_shelf(path);
    if (unit && !advice_is_wide(unit, policy))
        return unit;
    free(unit);
    char *directory = is_directory(path) ? must_copy(path) : parent_of(path);
    if (!advice_is_wide(directory, policy))
        return directory;
    free(directory);
    return NULL;
}

static bool is_systems(const char *path)
{
    static const char *const own[] = {"/etc", "/usr", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/var/spool", "/var/lib/dpkg"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (path_is_within(path, strlen(path), own[i], strlen(own[i])))
            return true;
    return false;
}

char *advice_option(const struct policy *policy, const char *path, bool writes, char **granted, const char **why_not)
{
    struct stat status;
    const char *home = getenv("HOME");
    bool there = stat(path, &status) == 0;
    *granted = NULL;
    if (policy_is_secret(path, policy->home) || policy_is_secret(path, home)) {
        *why_not = "holds secrets: no option is advised";
        return NULL;
    }
    if (writes && is_systems(path)) {
        *why_not = "of the system's: no option is advised";
        return NULL;
    }
    if (there && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
        *why_not = "neither a file nor a directory: those are never shown";
        return NULL;
    }
    char *target = writes && there && S_ISREG(status.st_mode) ? must_copy(path) : directory_for(policy, path);
    if (target && (policy_is_secret(target, policy->home) || policy_is_secret(target, home))) {
        free(target);
        target = NULL;
    }
    if (!target && there && !writes && S_ISREG(status.st_mode))
        target = must_copy(path);
    if (!target) {
        *why_not = "no option is advised for what holds so much else";
        return NULL;
    }
    *granted = target;
    char *shown = advice_shown(target, true), *option = must_print("--%s %s", writes ? "rw" : "ro", shown);
    free(shown);
    return option;
}

static bool needs_quotes(const char *text)
{
    for (; *text; text++)
        if (!strchr("/._-+,:@%", *text) && !(*text >= '0' && *text <= '9') && !((*text | 32) >= 'a' && (*text | 32) <= 'z'))
            return true;
    return false;
}

static char *quote(const char *text)
{
    char *out = must_allocate(4 * strlen(text) + 3), *at = out;
    *at++ = '\'';
    for (; *text; text++) {
        if (*text == '\'')
            at = stpcpy(at, "'\\'");
        *at++ = *text;
    }
    *at = '\'';
    return out;
}

char *advice_shown(const char *path, bool quoted)
{
    char cwd[PAL_PATH_MAX];
    const char *home = getenv("HOME");
    size_t size = strlen(path), home_size = home ? strlen(home) : 0;
    bool in_cwd = getcwd(cwd, sizeof cwd) && cwd[1] && path_is_within(path, size, cwd, strlen(cwd));
    if (quoted && (needs_quotes(path) || strchr(path, '='))) /* AT=FROM */
        return quote(path);
    if (in_cwd && size == strlen(cwd))
        return must_copy(".");
    if (in_cwd)
        return must_print("./%s", path + strlen(cwd) + 1);
    if (home_size > 1 && path_is_within(path, size, home, home_size))
        return must_print("~%s", path + home_size);
    return must_copy(path);
}

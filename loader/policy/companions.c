/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a program comes along by itself, read-only, where there is no manifest: its libraries beside bin/, the
 * installation that a virtual environment or a version manager leads to, packages above a script, a work tree's repository.
 *
 * The rule: a companion is found by where things lie, never because the program, or a file that an earlier sandbox may have
 * written, names it.  (So DT_RUNPATH is not followed: a download would choose what it is shown.  What pyvenv.cfg and a .git
 * file name must look like what they say it is, and a repository must know its work tree.)  It is no home and holds none, it
 * holds no secrets by secrets.c, and no symlink leads to it but from the user's own home.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/policy/policy.h"

#define LEVELS_MAX 12 /* of directories above */
#define FILE_MAX 4096u

static bool is_directory(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_there(const char *directory, const char *name)
{
    char *path = must_print("%s/%s", directory, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Takes the path. */
static struct mount *bring(struct policy *policy, char *path, const char *why)
{
    char *real = is_directory(path) ? realpath(path, NULL) : NULL;
    bool good = real && !strcmp(real, path) && !policy_is_secret(path, policy->home) && !policy_is_secret(path, getenv("HOME"));
    struct mount *mount = good ? policy_add_directory(policy, path) : NULL;
    if (mount)
        mount->why = why;
    free(real);
    free(path);
    return mount;
}

static char *above(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash || slash == path ? must_copy("/") : must_print("%.*s", (int)(slash - path), path);
}

static bool is_home(const struct policy *policy, const char *path)
{
    return policy_is_home(path, policy->home, NULL) || policy_is_home(path, getenv("HOME"), NULL);
}

/* X of X/bin/program, which is no home; NULL: it lies otherwise. */
static char *prefix_of(const struct policy *policy, const char *program)
{
    char *bin = above(program), *prefix = above(bin);
    const char *name = strrchr(bin, '/') + 1;
    bool fits = (!strcmp(name, "bin") || !strcmp(name, "sbin")) && prefix[1] && !is_home(policy, prefix);
    free(bin);
    if (fits)
        return prefix;
    free(prefix);
    return NULL;
}

static void bring_prefix(struct policy *policy, const char *prefix)
{
    static const char *const parts[] = {"lib", "lib64", "lib32", "libexec", "share"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        bring(policy, must_print("%s/%s", prefix, parts[i]), "beside the program's bin");
}

static size_t read_file(const char *path, char text[FILE_MAX])
{
    struct stat status;
    FILE *file = lstat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "re") : NULL;
    size_t size = file ? fread(text, 1, FILE_MAX - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = 0;
    return size;
}

/* Is it an installation of Python: X with lib/pythonN.N/os.py? */
static bool is_python(const char *prefix)
{
    for (int minor = 6; minor < 40; minor++) {
        char *name = must_print("lib/python3.%d/os.py", minor);
        bool there = is_there(prefix, name);
        free(name);
        if (there)
            return true;
    }
    return false;
}

/* X with pyvenv.cfg, and what its "home = Y/bin" leads to. */
static void bring_venv(struct policy *policy, const char *prefix)
{
    char text[FILE_MAX], *config = must_print("%s/pyvenv.cfg", prefix);
    size_t size = read_file(config, text);
    free(config);
    if (!size)
        return;
    bring(policy, must_copy(prefix), "the program's virtual environment");
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char bin[FILE_MAX];
        if (sscanf(line, " home = %4095[^\r\n]", bin) != 1 || bin[0] != '/')
            continue;
        char *real = realpath(bin, NULL), *base = real ? above(real) : NULL;
        if (base && !is_home(policy, base) && is_python(base))
            bring(policy, must_copy(base), "the virtual environment's Python");
        free(base);
        free(real);
    }
}

/* Programs of version managers lie in the home; what is theirs holds no secrets. */
static void bring_managed(struct policy *policy, const char *program)
{
    static const struct { const char *bin, *shown[3]; } managers[] = {
        {".pyenv", {".pyenv"}},
        {".rbenv", {".rbenv"}},
        {".nodenv", {".nodenv"}},
        {".nvm", {".nvm/versions"}},
        {".volta", {".volta/bin", ".volta/tools"}},
        {".cargo/bin", {".cargo/bin", ".rustup"}},
        {".rustup", {".rustup"}},
        {".sdkman", {".sdkman/candidates"}},
        {".asdf", {".asdf"}},
        {".local/share/mise", {".local/share/mise"}},
        {".local/share/uv", {".local/share/uv"}},
        {".local/share/pipx", {".local/share/pipx"}},
        {".ghcup", {".ghcup"}},
        {".opam", {".opam"}},
    };
    const char *home = getenv("HOME");
    if (!home || home[0] != '/' || !home[1] || !path_is_within(program, strlen(program), home, strlen(home)))
        return;
    for (size_t i = 0; i < sizeof managers / sizeof *managers; i++) {
        char *bin = must_print("%s/%s", home, managers[i].bin);
        bool fits = path_is_within(program, strlen(program), bin, strlen(bin));
        free(bin);
        for (size_t j = 0; fits && j < 3 && managers[i].shown[j]; j++)
            bring(policy, must_print("%s/%s", home, managers[i].shown[j]), "the program's version manager");
    }
}

/* node looks in each directory above. */
static void bring_packages(struct policy *policy, const char *program)
{
    static const char *const users[] = {"node", "nodejs", "npm", "npx", "yarn", "pnpm", "tsx", "bun", "deno", "corepack"};
    const char *name = strrchr(program, '/') + 1;
    bool fits = strstr(program, "/node_modules/") != NULL;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        fits |= !strcmp(name, users[i]);
    char cwd[PAL_PATH_MAX];
    if (!fits || !getcwd(cwd, sizeof cwd) || cwd[0] != '/')
        return;
    char *at = above(cwd);
    for (int i = 0; i < LEVELS_MAX && at[1] && !is_home(policy, at); i++) {
        bring(policy, must_print("%s/node_modules", at), "packages above the current directory");
        char *next = above(at);
        free(at);
        at = next;
    }
    free(at);
}

/* One line of a file, without its end. */
static bool read_line(const char *path, char text[FILE_MAX])
{
    size_t size = read_file(path, text);
    text[strcspn(text, "\r\n")] = 0;
    return size > 0;
}

/* "gitdir: X/.git/worktrees/N": X/.git, if that knows this work tree. */
static void bring_repository(struct policy *policy, const char *tree)
{
    char text[FILE_MAX], back[FILE_MAX], *dot = must_print("%s/.git", tree);
    if (read_line(dot, text) && !strncmp(text, "gitdir: /", 9)) {
        char *real = realpath(text + 8, NULL), *pointer = real ? must_print("%s/gitdir", real) : NULL;
        char *worktrees = real ? above(real) : NULL, *common = real ? above(worktrees) : NULL;
        bool known = real && !strcmp(strrchr(worktrees, '/'), "/worktrees") && read_line(pointer, back) && !strcmp(back, dot);
        if (known && is_there(common, "objects") && is_there(common, "HEAD")) {
            struct mount *mount = bring(policy, must_copy(common), "the work tree's repository");
            if (mount)
                policy->work_tree = must_copy(tree);
        }
        free(common);
        free(worktrees);
        free(pointer);
        free(real);
    }
    free(dot);
}

static void bring_work_tree(struct policy *policy)
{
    char cwd[PAL_PATH_MAX];
    struct stat status;
    if (!getcwd(cwd, sizeof cwd) || cwd[0] != '/')
        return;
    for (int i = 0; i < LEVELS_MAX && cwd[1]; i++) {
        char dot[PAL_PATH_MAX + 8];
        snprintf(dot, sizeof dot, "%s/.git", cwd);
        if (lstat(dot, &status) == 0) {
            if (S_ISREG(status.st_mode))
                bring_repository(policy, cwd);
            return;
        }
        char *slash = strrchr(cwd, '/');
        slash[slash == cwd] = 0;
    }
}

/* Public parts of /var that programs in /usr read. */
static void bring_caches(struct policy *policy)
{
    static const char *const shared[] = {"/var/cache/fontconfig", "/var/lib/texmf", "/var/lib/ghc"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        if (access(shared[i], F_OK) < 0)
            continue;
        struct mount *mount = policy_add_directory(policy, shared[i]);
        if (mount) {
            mount->why = "what programs in /usr share";
            mount->public_only = true;
        }
    }
}

/* The system's own: nothing of it lies elsewhere. */
static bool is_systems(const char *program)
{
    size_t size = strlen(program);
    return path_is_within(program, size, "/usr", 4) || path_is_within(program, size, "/bin", 4) ||
           path_is_within(program, size, "/sbin", 5);
}

static void bring_of(struct policy *policy, const char *program)
{
    bring_packages(policy, program);
    if (is_systems(program))
        return;
    bring_managed(policy, program);
    char *prefix = prefix_of(policy, program);
    if (prefix) {
        bring_venv(policy, prefix);
        bring_prefix(policy, prefix);
    }
    free(prefix);
}

void companions_bring(struct policy *policy)
{
    struct stat status;
    bring_of(policy, policy->program);
    char *real = lstat(policy->program, &status) == 0 && S_ISLNK(status.st_mode) ? realpath(policy->program, NULL) : NULL;
    if (real) { /* /usr/local/bin/x -> /opt/x/bin/x */
        bring(policy, above(real), "where the program's symlink leads");
        bring_of(policy, real);
    }
    free(real);
    bring_work_tree(policy);
    bring_caches(policy);
}

void companions_settle(struct policy *policy)
{
    const struct mount *tree = policy->work_tree ? mount_table_find(&policy->mounts, policy->work_tree, strlen(policy->work_tree))
                                                 : NULL;
    for (size_t i = 0; tree && tree->kind == MOUNT_HOST && tree->writable && i < policy->mounts.count; i++) {
        struct mount *mount = &policy->mounts.mounts[i];
        if (mount->why && !strcmp(mount->why, "the work tree's repository"))
            mount->writable = true;
    }
}

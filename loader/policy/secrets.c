/* SPDX-License-Identifier: MIT */
/*
 * What holds keys, tokens and passwords.  It never comes along by itself, and no option for it is advised: a program that
 * looks for it and then fails must not have its user talked into showing it.  A user who names such a path grants it.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "loader/policy/policy.h"

/* Beneath a home, whosever. */
static const char *const in_home[] = {
    ".ssh", ".gnupg", ".pki", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh", ".config/hub",
    ".config/op", ".config/rclone", ".config/sops", ".config/age", ".config/git/credentials", ".config/containers/auth.json",
    ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/microsoft-edge", ".mozilla",
    ".thunderbird", ".password-store", ".local/share/keyrings", ".local/share/kwalletd", ".netrc", "_netrc", ".authinfo",
    ".authinfo.gpg", ".git-credentials", ".npmrc", ".yarnrc.yml", ".pypirc", ".gem/credentials", ".cargo/credentials",
    ".cargo/credentials.toml", ".m2/settings.xml", ".gradle/gradle.properties", ".terraform.d", ".vault-token", ".pgpass",
    ".my.cnf", ".mylogin.cnf", ".s3cfg", ".boto", ".msmtprc", ".fetchmailrc", ".electrum", ".bitcoin", ".ethereum",
    ".claude", ".claude.json", ".codex", ".gemini", ".config/github-copilot", ".bash_history", ".zsh_history",
    ".python_history", ".psql_history", ".mysql_history", ".node_repl_history", ".lesshst", ".viminfo",
};
static const char *const anywhere[] = {"/etc/shadow",  "/etc/gshadow",        "/etc/shadow-",     "/etc/gshadow-",
                                       "/etc/sudoers", "/etc/sudoers.d",      "/etc/ssl/private", "/etc/security/opasswd",
                                       "/etc/krb5.keytab", "/var/lib/private", "/run/secrets",    "/var/run/secrets",
                                       "/run/credentials", "/etc/NetworkManager/system-connections", "/etc/wireguard"};
/* Names of files, in any directory. */
static const char *const names[] = {".env", ".envrc", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", ".htpasswd",
                                    "credentials", "credentials.json", "secrets.json", "secrets.yaml", "secrets.yml", "id_rsa",
                                    "id_dsa", "id_ecdsa", "id_ed25519", "id_ed25519_sk", "id_ecdsa_sk"};
static const char *const endings[] = {".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".gpg", ".asc"};

static bool is_below_home(const char *path, size_t size, const char *home)
{
    size_t home_size = home ? strlen(home) : 0;
    if (home_size < 2 || !path_is_within(path, size, home, home_size) || size == home_size)
        return false;
    const char *rest = path + home_size + 1;
    for (size_t i = 0; i < sizeof in_home / sizeof *in_home; i++)
        if (path_is_within(rest, size - home_size - 1, in_home[i], strlen(in_home[i])))
            return true;
    return false;
}

/* Beneath a directory of homes. */
static bool is_in_one_of(const char *path, size_t size, const char *homes)
{
    char home[NAME_ROOM + 16];
    size_t end = strlen(homes) + 1;
    if (!path_is_within(path, size, homes, end - 1) || size <= end)
        return false;
    while (end < size && path[end] != '/')
        end++;
    if (end >= sizeof home)
        return false;
    memcpy(home, path, end);
    home[end] = 0;
    return is_below_home(path, size, home);
}

/* /root, or /home/NAME: of whom the user is not. */
static bool is_in_a_home(const char *path, size_t size)
{
    return is_below_home(path, size, "/root") || is_in_one_of(path, size, "/home") || is_in_one_of(path, size, "/var/home");
}

/* A home that is reached by a symlink has two names.  NULL: it is not there. */
static const char *real_home(const char *home)
{
    static char known[PATH_MAX], real[PATH_MAX];
    if (!home || home[0] != '/' || strlen(home) >= sizeof known)
        return NULL;
    if (strcmp(home, known) != 0) {
        strcpy(known, home);
        if (!realpath(home, real))
            real[0] = 0;
    }
    return real[0] && real[1] ? real : NULL;
}

bool policy_is_secret(const char *path, const char *home)
{
    size_t size = strlen(path);
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    size_t name_size = strlen(name);
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (path_is_within(path, size, anywhere[i], strlen(anywhere[i])))
            return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i]))
            return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (name_size > strlen(endings[i]) && !strcasecmp(name + name_size - strlen(endings[i]), endings[i]))
            return true;
    if (!strncasecmp(name, ".env.", 5) || !strncmp(path, "/etc/ssh/ssh_host_", 18))
        return true;
    return is_below_home(path, size, home) || is_below_home(path, size, real_home(home)) || is_in_a_home(path, size);
}

static void hide(struct policy *policy, char *pattern)
{
    struct guard guard;
    if (!guard_parse(pattern, GUARD_HIDE, &guard) || !guards_add(&policy->mounts.guards, &guard))
        fail(EXIT_OWN_FAILURE, "too many patterns in --hide");
}

void policy_hide_secrets(struct policy *policy)
{
    for (size_t i = 0; i < sizeof in_home / sizeof *in_home; i++)
        hide(policy, must_copy(in_home[i]));
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        hide(policy, must_copy(anywhere[i]));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        hide(policy, must_copy(names[i]));
    const char *const homes[] = {"/home", "/root", real_home(getenv("HOME"))};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) /* the system has public certificates of such names */
        for (size_t j = 0; j < sizeof homes / sizeof *homes && homes[j]; j++)
            hide(policy, must_print("%s/**/*%s", homes[j], endings[i]));
    hide(policy, must_copy("/etc/ssh/ssh_host_*_key"));
}

bool variable_is_secret(const char *name, size_t size)
{
    static const char *const words[] = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY",
                                        "ACCESS_KEY", "PRIVATE_KEY", "AUTH", "COOKIE", "SESSION", "_PAT", "_PW", "_KEY", "DSN",
                                        "DATABASE_URL", "CONNECTION_STRING", "INDEX_URL"};
    char copy[256];
    if (size >= sizeof copy)
        return true;
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    copy[size] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(copy, words[i]))
            return true;
    return false;
}

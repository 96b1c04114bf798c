/* SPDX-License-Identifier: MIT */
/*
 * A manifest: TOML in, struct manifest out.  An unknown key, a wrong type or a bad value is an error with file, line
 * and the nearest known key; a manifest is policy, so nothing in it is ever skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/nearest.h"
#include "loader/policy/policy.h"
#include "loader/policy/toml.h"

/* toml++ recurses for each level of nesting, of which a byte or two can make one. */
#define EXTENDS_MAX 8
#define MANIFEST_MAX (32u << 10)

struct reader {
    const char *file;
    struct manifest *out;
    char *error; /* the first one */
};

/* false, with the error noted: for `return complain(...)`. */
__attribute__((format(printf, 3, 0))) static bool complain(struct reader *reader, unsigned line, const char *what,
                                                           const char *argument)
{
    if (reader->error)
        return false;
    char *text = must_print(what, argument);
    reader->error = must_print("%s:%u: %s", reader->file, line, text);
    free(text);
    return false;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static bool is_kind(struct reader *reader, const struct toml_value *value, enum toml_kind kind)
{
    static const char *const names[] = {
        [TOML_STRING] = "%s must be a string",   [TOML_INTEGER] = "%s must be an integer",
        [TOML_BOOLEAN] = "%s must be a boolean", [TOML_OTHER] = "%s has a wrong type",
        [TOML_ARRAY] = "%s must be an array",    [TOML_TABLE] = "%s must be a table",
    };
    return value->kind == kind || complain(reader, value->line, names[kind], value->key ? value->key : "each entry");
}

static bool read_string(struct reader *reader, const struct toml_value *value, const char **out)
{
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    *out = value->string;
    return true;
}

/* Where the manifest lies: its relative paths begin there. */
static const char *directory_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *real = realpath(slash ? must_print("%.*s", (int)(slash - file) + 1, file) : ".", NULL);
    return real ? real : "/";
}

/* As mounts and cwd need it.  ".." is refused: what it means depends on symlinks.  relative: it may begin where the
 * manifest lies. */
static bool read_place(struct reader *reader, const struct toml_value *value, bool relative, const char **out)
{
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    char clean[PAL_PATH_MAX];
    const char *wrong, *directory = relative ? directory_of(reader->file) : NULL;
    bool slash;
    char *path = place_expand(value->string, directory, &wrong);
    if (!path)
        return complain(reader, value->line, must_print("%%s: %s", wrong), value->key);
    ssize_t size = path_clean(clean, sizeof clean, path, strlen(path), &slash);
    if (size < 0)
        return complain(reader, value->line, size == -ELOOP ? "%s must not contain '..'" : "%s is too long",
                        value->key);
    *out = must_copy(clean);
    return true;
}

static bool read_path(struct reader *reader, const struct toml_value *value, const char **out)
{
    return read_place(reader, value, false, out);
}

static bool read_strings(struct reader *reader, const struct toml_value *value, char ***out, size_t *count)
{
    if (!is_kind(reader, value, TOML_ARRAY))
        return false;
    *out = must_allocate((value->count + 1) * sizeof **out);
    for (size_t i = 0; i < value->count; i++) {
        if (value->items[i].kind != TOML_STRING)
            return complain(reader, value->line, "%s must hold strings only", value->key);
        (*out)[i] = (char *)value->items[i].string;
    }
    *count = value->count;
    return true;
}

static bool read_number(struct reader *reader, const struct toml_value *value, int64_t most, int64_t *out)
{
    if (!is_kind(reader, value, TOML_INTEGER))
        return false;
    if (value->integer < 0 || value->integer > most)
        return complain(reader, value->line, "%s is out of range", value->key);
    *out = value->integer;
    return true;
}

static bool read_limit(struct reader *reader, const struct toml_value *value, uint64_t *out)
{
    int64_t number;
    if (!read_number(reader, value, INT64_MAX, &number))
        return false;
    if (!number)
        return complain(reader, value->line, "%s must be at least 1; leave it out for no limit", value->key);
    *out = (uint64_t)number;
    return true;
}

/* An integer of bytes, or "512M". */
static bool read_size(struct reader *reader, const struct toml_value *value, uint64_t *out)
{
    if (value->kind == TOML_INTEGER)
        return read_limit(reader, value, out);
    return (value->kind == TOML_STRING && size_read(value->string, out)) ||
           complain(reader, value->line, "%s must be bytes, or a size such as \"512M\"", value->key);
}

/* An integer of seconds, or "5m". */
static bool read_duration(struct reader *reader, const struct toml_value *value, uint64_t *out)
{
    if (value->kind == TOML_INTEGER)
        return read_limit(reader, value, out);
    return (value->kind == TOML_STRING && duration_read(value->string, out)) ||
           complain(reader, value->line, "%s must be seconds, or a time such as \"5m\"", value->key);
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

struct key {
    const char *name;
    bool (*read)(struct reader *reader, const struct toml_value *value, struct mount *mount);
};

static bool unknown_key(struct reader *reader, const struct toml_value *value, const char *where,
                        const struct key *keys)
{
    const char *nearest = NULL;
    for (const struct key *key = keys; key->name; key++)
        if (name_is_near(value->key, key->name) &&
            (!nearest || name_distance(value->key, key->name) < name_distance(value->key, nearest)))
            nearest = key->name;
    static const struct { const char *theirs, *ours; } others[] = {
        {"volumes", "[[mounts]]"}, {"volume", "[[mounts]]"}, {"binds", "[[mounts]]"}, {"bind", "[[mounts]]"},
        {"filesystem", "[[mounts]]"}, {"fs", "[[mounts]]"}, {"files", "[[mounts]]"}, {"read", "[[mounts]]"},
        {"write", "[[mounts]] with access = \"rw\""}, {"environment", "[env] and pass_env"}, {"rlimits", "[limits]"},
        {"resources", "[limits]"}, {"command", "program and args"}, {"entrypoint", "program"}, {"cmd", "program and args"},
        {"workdir", "cwd"}, {"working_dir", "cwd"}, {"user", "uid and gid"}, {"net", "[network]"}, {"ports", "[network] publish"},
        {"source", "from"}, {"src", "from"}, {"target", "at"}, {"dest", "at"}, {"destination", "at"}, {"path", "at"},
        {"mode", "access"}, {"readonly", "access"}, {"mem", "memory"}, {"pids", "processes"}, {"nofile", "files"},
    };
    for (size_t i = 0; !nearest && i < sizeof others / sizeof *others; i++)
        if (!strcmp(value->key, others[i].theirs)) {
            complain(reader, value->line, must_print("unknown key '%%s': pal-run has %s", others[i].ours), value->key);
            return false;
        }
    char *text = nearest ? must_print("unknown key '%s'%s; did you mean '%s'?", value->key, where, nearest)
                         : must_print("unknown key '%s'%s: see pal-manifest(5) or docs/manifest.md", value->key, where);
    complain(reader, value->line, "%s", text);
    free(text);
    return false;
}

static bool read_table(struct reader *reader, const struct toml_value *table, const char *where, const struct key *keys,
                       struct mount *mount)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct key *key = keys;
        while (key->name && strcmp(key->name, table->items[i].key) != 0)
            key++;
        if (!key->name)
            return unknown_key(reader, &table->items[i], where, keys);
        if (!key->read(reader, &table->items[i], mount))
            return false;
    }
    return true;
}

/* [limits] */
#define LIMIT_READER(field, read)                                                                                      \
    static bool limit_##field(struct reader *reader, const struct toml_value *value, struct mount *mount)              \
    {                                                                                                                  \
        (void)mount;                                                                                                   \
        return read(reader, value, &reader->out->limits.field);                                                        \
    }
LIMIT_READER(memory, read_size)
LIMIT_READER(processes, read_limit)
LIMIT_READER(files, read_limit)
LIMIT_READER(cpu_seconds, read_limit)
LIMIT_READER(wall_seconds, read_duration)

static const struct key limit_keys[] = {
    {"memory", limit_memory}, {"processes", limit_processes}, {"files", limit_files},
    {"cpu_seconds", limit_cpu_seconds}, {"wall_seconds", limit_wall_seconds}, {"timeout", limit_wall_seconds},
    {NULL, NULL},
};

/* [[mounts]] */
static bool mount_at(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    return read_path(reader, value, &mount->at);
}

static bool mount_from(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    return read_place(reader, value, true, &mount->from);
}

static bool mount_access(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    bool copy = !strcmp(value->string, "cow");
    mount->writable = copy || !strcmp(value->string, "rw");
    mount->copied = copy;
    if (copy && mount->kind == MOUNT_HOST)
        mount->kind = MOUNT_COPY;
    return mount->writable || !strcmp(value->string, "ro") ||
           complain(reader, value->line, "access is \"ro\", \"rw\" or \"cow\", not \"%s\"", value->string);
}

static bool mount_type(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    if (!strcmp(value->string, "tmpfs"))
        mount->kind = MOUNT_SCRATCH;
    else if (!strcmp(value->string, "image"))
        mount->kind = MOUNT_IMAGE;
    return mount->kind == MOUNT_SCRATCH || mount->kind == MOUNT_IMAGE || !strcmp(value->string, "host") ||
           complain(reader, value->line, "type is \"host\", \"tmpfs\" or \"image\", not \"%s\"", value->string);
}

static bool mount_size(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    return read_size(reader, value, &mount->memory);
}

/* Where in its file an image begins. */
static bool mount_offset(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    int64_t number;
    if (!read_number(reader, value, INT64_MAX, &number))
        return false;
    mount->offset = (uint64_t)number;
    return true;
}

static bool mount_part(struct reader *reader, const struct toml_value *value, struct mount *mount)
{
    int64_t number;
    if (!read_number(reader, value, UINT32_MAX, &number))
        return false;
    mount->part = (uint32_t)number;
    return number > 0 || complain(reader, value->line, "%s is counted from 1", value->key);
}

static const struct key mount_keys[] = {
    {"at", mount_at}, {"from", mount_from}, {"file", mount_from}, {"offset", mount_offset}, {"part", mount_part}, {"access", mount_access}, {"type", mount_type}, {"size", mount_size},
    {NULL, NULL},
};

/* A directory shown inside of itself has no end; two that show each other neither. */
static bool is_cyclic(const struct mount *a, const struct mount *b)
{
    if (!a->from || !b->from)
        return false;
    size_t a_from = strlen(a->from), b_from = strlen(b->from);
    if (a == b)
        return a->at_size > a_from && path_is_within(a->at, a->at_size, a->from, a_from);
    return path_is_within(a->at, a->at_size, b->from, b_from) && path_is_within(b->at, b->at_size, a->from, a_from);
}

static bool check_mount(struct reader *reader, struct mount *mount, unsigned line)
{
    struct stat status;
    if (!mount->at)
        return complain(reader, line, "%s has no 'at': the path in the sandbox", "this mount");
    mount->at_size = strlen(mount->at);
    if (mount->kind == MOUNT_SCRATCH) {
        if (mount->from)
            return complain(reader, line, "%s: a tmpfs has no 'from'", mount->at);
        mount->writable = true;
    } else {
        bool image = mount->kind == MOUNT_IMAGE;
        if (mount->memory && !image)
            return complain(reader, line, "%s: only a tmpfs or an image has a 'size'", mount->at);
        if (!image && (mount->part || mount->offset != UINT64_MAX))
            return complain(reader, line, "%s: only an image has an 'offset' or a 'part'", mount->at);
        mount->copied &= image;
        if (image && (!mount->from || (mount->writable && !mount->copied)))
            return complain(reader, line, mount->from ? "%s: an image is read-only, or copied: access = \"cow\"" : "%s: an image needs its 'file'", mount->at);
        if (image && mount->part && mount->offset != UINT64_MAX)
            return complain(reader, line, "%s: give 'offset' or 'part'", mount->at);
        if (!mount->from)
            mount->from = mount->at;
        if (stat(mount->from, &status) < 0)
            return complain(reader, line, errno == ENOENT ? "%s is missing on the host: make it, or correct 'from'"
                                                          : "%s can't be looked at: grant access, or correct 'from'",
                            mount->from);
        if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
            return complain(reader, line, "%s is neither a directory nor a plain file", mount->from);
        if (image && !S_ISREG(status.st_mode))
            return complain(reader, line, "%s is no plain file: an image is one", mount->from);
    }
    for (size_t i = 0; i < reader->out->mount_count; i++) {
        const struct mount *other = &reader->out->mounts[i];
        if (!strcmp(other->at, mount->at))
            return complain(reader, line, "%s is mounted twice", mount->at);
        if (is_cyclic(mount, other))
            return complain(reader, line, "%s: this mount and an earlier one contain each other: a cycle", mount->at);
    }
    return !is_cyclic(mount, mount) ||
           complain(reader, line, "%s lies inside its own 'from': it would contain itself", mount->at);
}

static bool read_mounts(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (value->kind == TOML_TABLE)
        return complain(reader, value->line, "%s: write [[mounts]], in two brackets: one for each", value->key);
    if (!is_kind(reader, value, TOML_ARRAY))
        return false;
    struct manifest *out = reader->out;
    for (size_t i = 0; i < value->count; i++) {
        const struct toml_value *item = &value->items[i];
        if (item->kind != TOML_TABLE)
            return complain(reader, value->line, "%s must be tables: write [[mounts]]", value->key);
        if (out->mount_count == MOUNTS_MAX / 2)
            return complain(reader, item->line, "too many %s", "mounts");
        struct mount *mount = &out->mounts[out->mount_count];
        *mount = (struct mount){.root = -1, .offset = UINT64_MAX};
        if (!read_table(reader, item, " in [[mounts]]", mount_keys, mount) || !check_mount(reader, mount, item->line))
            return false;
        out->mount_count++;
    }
    return true;
}

/* The top. */
static void add_environment(struct manifest *out, char *assignment)
{
    size_t size = (out->environment_count + 2) * sizeof *out->environment;
    char **grown = realloc(out->environment, size);
    if (!grown)
        fail(EXIT_OWN_FAILURE, "no memory for the environment");
    grown[out->environment_count++] = assignment;
    grown[out->environment_count] = NULL;
    out->environment = grown;
}

static bool read_environment(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (!is_kind(reader, value, TOML_TABLE))
        return false;
    for (size_t i = 0; i < value->count; i++) {
        const struct toml_value *item = &value->items[i];
        if (!is_kind(reader, item, TOML_STRING))
            return false;
        if (!*item->key || strchr(item->key, '='))
            return complain(reader, item->line, "'%s' is not a valid variable name", item->key);
        add_environment(reader->out, must_print("%s=%s", item->key, item->string));
    }
    return true;
}

static bool read_pass(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    char **names;
    size_t count;
    (void)unused;
    if (!read_strings(reader, value, &names, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!*names[i] || strchr(names[i], '='))
            return complain(reader, value->line, "'%s' is not a valid variable name", names[i]);
        add_environment(reader->out, names[i]);
    }
    return true;
}

static bool read_program(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_string(reader, value, &reader->out->program) &&
           (*reader->out->program || complain(reader, value->line, "%s is empty", value->key));
}

static bool read_args(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_strings(reader, value, &reader->out->args, &reader->out->arg_count);
}

static bool read_cwd(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_path(reader, value, &reader->out->cwd);
}

static bool read_uid(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_number(reader, value, UINT32_MAX - 1, value->key[0] == 'u' ? &reader->out->uid : &reader->out->gid);
}

static bool read_limits(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return is_kind(reader, value, TOML_TABLE) && read_table(reader, value, " in [limits]", limit_keys, NULL);
}

static bool read_extends(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_place(reader, value, true, &reader->out->extends);
}

/* hide, deny_write */
static bool read_guards(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    char **patterns;
    size_t count;
    (void)unused;
    struct manifest *out = reader->out;
    if (!read_strings(reader, value, &patterns, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (out->guard_count == sizeof out->guards / sizeof *out->guards)
            return complain(reader, value->line, "too many patterns in %s", value->key);
        out->guards[out->guard_count].pattern = patterns[i];
        out->guards[out->guard_count++].hides = !strcmp(value->key, "hide");
    }
    return true;
}

static bool read_allow_repo_config(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (!is_kind(reader, value, TOML_BOOLEAN))
        return false;
    reader->out->allow_repo_config = value->integer != 0;
    return true;
}

static bool read_rewrite(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    reader->out->rewrite = rewrite_read(value->string);
    return reader->out->rewrite ||
           complain(reader, value->line, "rewrite is \"trapped\", \"ahead\" or \"never\", not \"%s\"", value->string);
}

/* [network] */
static bool each_string(struct reader *reader, const struct toml_value *value,
                        const char *(*add)(struct network *network, const char *text))
{
    char **texts;
    size_t count;
    if (!read_strings(reader, value, &texts, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *error = add(&reader->out->network, texts[i]);
        if (error) {
            char *what = must_print("\"%s\": %s", texts[i], error);
            complain(reader, value->line, "%s", what);
            free(what);
            return false;
        }
    }
    return true;
}

static bool network_mode(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (!is_kind(reader, value, TOML_STRING))
        return false;
    return !network_set_mode(&reader->out->network, value->string) ||
           complain(reader, value->line, "mode is \"none\", \"loopback\", \"rules\" or \"host\", not \"%s\"", value->string);
}

static bool network_allow(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return each_string(reader, value, network_add_rule);
}

static bool network_publish(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return each_string(reader, value, network_add_publish);
}

static bool network_ports(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    if (!is_kind(reader, value, TOML_ARRAY))
        return false;
    for (size_t i = 0; i < value->count; i++) {
        char text[24];
        const struct toml_value *item = &value->items[i];
        if (item->kind != TOML_STRING && !is_kind(reader, item, TOML_INTEGER))
            return false;
        snprintf(text, sizeof text, "%lld", (long long)item->integer);
        const char *error = network_add_host_port(&reader->out->network, item->kind == TOML_STRING ? item->string : text);
        if (error)
            return complain(reader, value->line, "%s", error);
    }
    return true;
}

static bool network_dns(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return read_string(reader, value, &reader->out->network.dns);
}

static bool network_udp(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    const char *text = NULL;
    (void)unused;
    if (!read_string(reader, value, &text))
        return false;
    const char *error = network_set_udp(&reader->out->network, text);
    return !error || complain(reader, value->line, "%s", error);
}

static const struct key network_keys[] = {
    {"dns", network_dns}, {"udp", network_udp},
    {"mode", network_mode}, {"allow", network_allow}, {"publish", network_publish}, {"host_ports", network_ports},
    {NULL, NULL},
};

static bool read_network(struct reader *reader, const struct toml_value *value, struct mount *unused)
{
    (void)unused;
    return is_kind(reader, value, TOML_TABLE) && read_table(reader, value, " in [network]", network_keys, NULL);
}

static const struct key top_keys[] = {
    {"extends", read_extends},
    {"program", read_program}, {"args", read_args}, {"env", read_environment}, {"pass_env", read_pass},
    {"cwd", read_cwd}, {"uid", read_uid}, {"gid", read_uid}, {"mounts", read_mounts},
    {"limits", read_limits}, {"network", read_network}, {"hide", read_guards}, {"deny_write", read_guards},
    {"allow_repo_config", read_allow_repo_config}, {"rewrite", read_rewrite}, {NULL, NULL},
};

/* ---- The file ---------------------------------------------------------------------------------------------------- */

void toml_fails(void)
{
    fail(EXIT_OWN_FAILURE, "the manifest can't be read: it is not TOML");
}

char *manifest_parse(const char *file, const char *text, size_t size, struct manifest *out)
{
    memset(out, 0, sizeof *out);
    out->uid = out->gid = -1;
    out->limits = (struct limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct reader reader = {.file = file, .out = out};
    struct toml_error error;
    const struct toml_value *root = toml_parse_text(text, size, &error);
    if (!root)
        complain(&reader, error.line, "%s", error.what);
    else
        read_table(&reader, root, "", top_keys, NULL);
    return reader.error;
}

static void load_one(const char *file, struct manifest *out)
{
    /* O_NONBLOCK: a FIFO is to be an error, not a wait. */
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        fail(EXIT_OWN_FAILURE, "%s: can't read the manifest: %s", file, strerror(errno));
    if (!S_ISREG(status.st_mode))
        fail(EXIT_OWN_FAILURE, "%s: not a regular file: expected a TOML manifest", file);
    if (status.st_size > MANIFEST_MAX)
        fail(EXIT_OWN_FAILURE, "%s: larger than 32 KiB", file);
    char *text = must_allocate((size_t)status.st_size + 1);
    ssize_t size = read(fd, text, (size_t)status.st_size);
    if (size < 0)
        fail(EXIT_OWN_FAILURE, "%s: can't read the manifest: %s", file, strerror(errno));
    close(fd);
    char *error = manifest_parse(file, text, (size_t)size, out);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s", error);
}

static void override_limits(struct limits *base, const struct limits *own)
{
    base->memory = own->memory != UINT64_MAX ? own->memory : base->memory;
    base->processes = own->processes != UINT64_MAX ? own->processes : base->processes;
    base->files = own->files != UINT64_MAX ? own->files : base->files;
    base->cpu_seconds = own->cpu_seconds != UINT64_MAX ? own->cpu_seconds : base->cpu_seconds;
    base->wall_seconds = own->wall_seconds != UINT64_MAX ? own->wall_seconds : base->wall_seconds;
}

/* What `own` says takes the place of what the manifest it extends says: mounts by their place, variables by name. */
static void override(struct manifest *base, const struct manifest *own, const char *file)
{
    base->program = own->program ? own->program : base->program;
    base->cwd = own->cwd ? own->cwd : base->cwd;
    if (own->args) {
        base->args = own->args;
        base->arg_count = own->arg_count;
    }
    base->uid = own->uid >= 0 ? own->uid : base->uid;
    base->gid = own->gid >= 0 ? own->gid : base->gid;
    override_limits(&base->limits, &own->limits);
    const char *error = network_merge(&base->network, &own->network);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: [network], together with that of the manifest it extends: %s", file, error);
    for (size_t i = 0; i < own->environment_count; i++)
        add_environment(base, own->environment[i]);
    for (size_t i = 0; i < own->guard_count; i++) {
        if (base->guard_count == sizeof base->guards / sizeof *base->guards)
            fail(EXIT_OWN_FAILURE, "%s: too many patterns, together with those of the manifest it extends", file);
        base->guards[base->guard_count++] = own->guards[i];
    }
    base->allow_repo_config |= own->allow_repo_config;
    base->rewrite = own->rewrite ? own->rewrite : base->rewrite;
    for (size_t i = 0; i < own->mount_count; i++) {
        size_t at = 0;
        while (at < base->mount_count && strcmp(base->mounts[at].at, own->mounts[i].at) != 0)
            at++;
        if (at == MOUNTS_MAX / 2)
            fail(EXIT_OWN_FAILURE, "%s: too many mounts, together with those of the manifest it extends", file);
        base->mounts[at] = own->mounts[i];
        base->mount_count += at == base->mount_count;
    }
}

static const char *files[2 * EXTENDS_MAX]; /* that have been read */
static size_t file_count;

const char *manifest_file(size_t number)
{
    return number < file_count ? files[number] : NULL;
}

static void load(const char *file, struct manifest *out, unsigned depth)
{
    if (depth == EXTENDS_MAX)
        fail(EXIT_OWN_FAILURE, "%s: manifests extend each other more than %d deep, perhaps in a circle", file, EXTENDS_MAX);
    if (file_count < sizeof files / sizeof *files)
        files[file_count++] = must_copy(file);
    load_one(file, out);
    if (!out->extends)
        return;
    struct manifest *own = must_allocate(sizeof *own);
    *own = *out;
    load(own->extends, out, depth + 1);
    override(out, own, file);
}

void manifest_load(const char *file, struct manifest *out)
{
    load(file, out, 0);
}

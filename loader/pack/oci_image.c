/* SPDX-License-Identifier: MIT */
/*
 * Container images: a folder or an archive as skopeo, podman and docker make them, converted to one squashfs at its first use.
 *
 *      ~/.cache/pal-run/images/DIGEST.squashfs     its files; DIGEST is of the digests of its config and of all layers, as they are
 *                             /KEY.toml            what an image of that name, unchanged since, is: DIGEST, and what it runs
 *
 * All that is in it is parsed by the helper of layers/.  Blobs are checked by their digests, so that what is kept is what was meant; where
 * the config names layers by what they unpack to, packed ones are not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loader/layers/layers.h"
#include "loader/pack/pack.h"

#define VALUES_MAX 8192
#define LAYERS_MAX 512
#define DIGEST_NAME "sha256:"
#define POLICY_ROOM (64u << 10)
#define IMAGES_MAX 16
#define SETTLED_S 2

static const char *shown; /* the image, as it was named */

static void give_up(const char *part, int error) __attribute__((noreturn));
static void give_up(const char *part, int error)
{
    fail(EXIT_OWN_FAILURE, "--image %s: %s%s%s", shown, part, *part ? ": " : "", layers_error(error));
}

static void must(int error, const char *part)
{
    if (error)
        give_up(part, error);
}

/* ---- JSON, as values by their keys ------------------------------------------------------------------------------- */

struct description {
    struct value { char *keys, *text; } *values;
    size_t count;
};

static int add_value(void *argument, const char *keys, const char *text)
{
    struct description *out = argument;
    if (out->count == VALUES_MAX)
        return -E2BIG;
    out->values[out->count++] = (struct value){must_copy(keys), must_copy(text)};
    return 0;
}

static void describe(const struct layer_part *part, const char *name, struct description *out)
{
    const struct layer_visit visit = {.value = add_value};
    *out = (struct description){.values = must_allocate(VALUES_MAX * sizeof *out->values)};
    must(layers_read_json(part, &visit, out), name);
}

__attribute__((format(printf, 2, 3))) static const char *value_of(const struct description *in, const char *pattern, ...)
{
    char keys[256];
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(keys, sizeof keys, pattern, arguments);
    va_end(arguments);
    for (size_t i = 0; i < in->count; i++)
        if (!strcmp(in->values[i].keys, keys))
            return in->values[i].text;
    return NULL;
}

/* ---- Where its parts lie ----------------------------------------------------------------------------------------- */

struct source {
    enum { OCI_FOLDER, OCI_ARCHIVE, DOCKER_ARCHIVE } kind;
    char *path, *tag;
    int file;        /* the folder, or the archive */
    struct tree tree; /* of an archive */
};

static const struct { const char *prefix; int kind; } prefixes[] = {
    {"oci:", OCI_FOLDER}, {"oci-archive:", OCI_ARCHIVE}, {"docker-archive:", DOCKER_ARCHIVE}};

bool oci_image_is(const char *name)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (!strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)))
            return true;
    return false;
}

/* "PATH" or "PATH:TAG". */
static void source_name(const char *name, struct source *out)
{
    size_t i = 0;
    while (strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)) != 0)
        i++;
    out->kind = prefixes[i].kind;
    out->path = must_copy(name + strlen(prefixes[i].prefix));
    char *colon = strchr(out->path, ':');
    if (colon && access(out->path, F_OK) < 0) {
        *colon = 0;
        out->tag = colon + 1;
    }
    out->file = open(out->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (out->kind == OCI_FOLDER ? O_DIRECTORY : 0));
    if (out->file < 0)
        give_up("", -errno);
}

static int nameless_file(void)
{
    char path[PAL_PATH_MAX];
    int cache = cache_open("images", path), file = cache < 0 ? -1 : openat(cache, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (cache >= 0)
        close(cache);
    if (file < 0)
        file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0)
        file = memfd_create("pal-image", MFD_CLOEXEC);
    must(file < 0 ? -errno : 0, "a place for its files");
    return file;
}

static uint64_t size_of(int file)
{
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

/* An archive's own members. */
static void source_unpack(struct source *source)
{
    uint64_t used = 0;
    const struct layer_part whole = {source->file, 0, size_of(source->file)};
    tree_init(&source->tree);
    source->tree.contents = nameless_file();
    must(layer_add(&source->tree, &whole, 1, &used), "");
}

static int source_part(const struct source *source, const char *name, struct layer_part *out)
{
    if (source->kind == OCI_FOLDER) {
        const struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
        long file = syscall(SYS_openat2, source->file, name, &how, sizeof how);
        *out = (struct layer_part){(int)file, 0, file < 0 ? 0 : size_of((int)file)};
        return file < 0 ? -errno : 0;
    }
    const struct tree_node *node = layer_find(&source->tree, name);
    if (!node || !S_ISREG(node->mode))
        return -ENOENT;
    *out = (struct layer_part){source->tree.contents, node->offset, node->size};
    return 0;
}

static bool is_digest(const char *text)
{
    size_t size = sizeof DIGEST_NAME - 1;
    return text && !strncmp(text, DIGEST_NAME, size) && strlen(text) == size + 2 * DIGEST_SIZE && strspn(text + size, "0123456789abcdef") == 2 * DIGEST_SIZE;
}

static bool has_digest(const struct layer_part *part, const char *digest)
{
    uint8_t bytes[DIGEST_SIZE];
    char text[DIGEST_TEXT];
    must(digest_of(part->file, part->offset, part->size, bytes), "");
    digest_text(bytes, text);
    return !strcmp(text, digest + sizeof DIGEST_NAME - 1);
}

/* A blob by its digest, whose bytes are what that says. */
static void source_blob(const struct source *source, const char *digest, struct layer_part *out)
{
    char name[sizeof "blobs/sha256/" + DIGEST_TEXT];
    must(is_digest(digest) ? 0 : -EUCLEAN, digest ? digest : "a part without a digest");
    snprintf(name, sizeof name, "blobs/sha256/%s", digest + sizeof DIGEST_NAME - 1);
    must(source_part(source, name, out), name);
    must(has_digest(out, digest) ? 0 : -EBADMSG, name);
}

/* ---- Which image, and its layers --------------------------------------------------------------------------------- */

struct found {
    struct layer_part layers[LAYERS_MAX], config;
    size_t count;
    char digest[DIGEST_TEXT]; /* of all of it: an image that has another's config and layers of its own is another one */
};

/* Of what is there, not of what is said to be. */
static void name_found(struct found *found)
{
    char *text = NULL, digest[DIGEST_TEXT];
    uint8_t bytes[DIGEST_SIZE];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; out && i <= found->count; i++) {
        const struct layer_part *part = i ? &found->layers[i - 1] : &found->config;
        must(digest_of(part->file, part->offset, part->size, bytes), "a part of it");
        digest_text(bytes, digest);
        fprintf(out, "%s\n", digest);
    }
    must(!out || fclose(out) != 0 ? -ENOMEM : 0, "");
    digest_of_text(text, found->digest);
    free(text);
}

static bool is_tag(const char *name, const char *tag)
{
    const char *colon = name ? strrchr(name, ':') : NULL;
    return !tag || (name && (!strcmp(name, tag) || (colon && !strcmp(colon + 1, tag))));
}

/* An index has manifests of images, or of further indexes. */
static const char *choose_manifest(const struct description *index, const char *tag)
{
    const char *digest, *other = NULL;
    for (size_t i = 0; (digest = value_of(index, "manifests/%zu/digest", i)); i++) {
        const char *machine = value_of(index, "manifests/%zu/platform/architecture", i);
        if (!is_tag(value_of(index, "manifests/%zu/annotations/org.opencontainers.image.ref.name", i), tag))
            continue;
        if (!machine || !strcmp(machine, "amd64"))
            return digest;
        other = machine;
    }
    if (other)
        give_up("", -EPROTONOSUPPORT);
    fail(EXIT_OWN_FAILURE, "--image %s: %s%s", shown, tag ? "no image has the tag " : "no image is in it", tag ? tag : "");
}

static void find_oci(const struct source *source, struct found *out)
{
    struct layer_part part;
    struct description description;
    const char *digest;
    must(source_part(source, "index.json", &part), "index.json");
    describe(&part, "index.json", &description);
    digest = choose_manifest(&description, source->tag);
    for (int depth = 0; depth < 3; depth++) { /* the manifest, perhaps behind an index of its machines */
        source_blob(source, digest, &part);
        describe(&part, digest, &description);
        if (value_of(&description, "config/digest"))
            break;
        digest = choose_manifest(&description, NULL);
    }
    const char *config = value_of(&description, "config/digest");
    source_blob(source, config, &out->config);
    for (out->count = 0; (digest = value_of(&description, "layers/%zu/digest", out->count)); out->count++) {
        must(out->count == LAYERS_MAX ? -E2BIG : 0, "its layers");
        source_blob(source, digest, &out->layers[out->count]);
    }
}

static bool has_repository_tag(const struct description *list, size_t image, const char *tag)
{
    const char *name;
    for (size_t i = 0; (name = value_of(list, "%zu/RepoTags/%zu", image, i)); i++)
        if (is_tag(name, tag))
            return true;
    return !tag;
}

static void find_docker(const struct source *source, struct found *out)
{
    struct layer_part part;
    struct description list;
    const char *name;
    size_t image = 0;
    must(source_part(source, "manifest.json", &part), "manifest.json");
    describe(&part, "manifest.json", &list);
    while (value_of(&list, "%zu/Config", image) && !has_repository_tag(&list, image, source->tag))
        image++;
    if (!(name = value_of(&list, "%zu/Config", image)))
        fail(EXIT_OWN_FAILURE, "--image %s: no image in it has the tag %s", shown, source->tag ? source->tag : "that is wanted");
    must(source_part(source, name, &out->config), name);
    for (out->count = 0; (name = value_of(&list, "%zu/Layers/%zu", image, out->count)); out->count++) {
        must(out->count == LAYERS_MAX ? -E2BIG : 0, "its layers");
        must(source_part(source, name, &out->layers[out->count]), name);
    }
}

/* A layer that is not packed is what the config says that it unpacks to. */
static void check_layers(const struct source *source, const struct found *found, const struct description *config)
{
    for (size_t i = 0; i < found->count && source->kind == DOCKER_ARCHIVE; i++) {
        const char *digest = value_of(config, "rootfs/diff_ids/%zu", i);
        uint8_t head[4] = {0};
        bool packed = pread(found->layers[i].file, head, sizeof head, (off_t)found->layers[i].offset) == sizeof head &&
                      ((head[0] == 0x1f && head[1] == 0x8b) || !memcmp(head, "\x28\xb5\x2f\xfd", 4));
        must(is_digest(digest) ? 0 : -EUCLEAN, "its config");
        must(packed || has_digest(&found->layers[i], digest) ? 0 : -EBADMSG, digest);
    }
}

/* ---- What it runs ------------------------------------------------------------------------------------------------ */

static void add_words(const struct description *config, const char *key, char ***words, size_t *count)
{
    const char *word;
    for (size_t i = 0; (word = value_of(config, "config/%s/%zu", key, i)); i++) {
        *words = realloc(*words, (*count + 2) * sizeof **words);
        if (!*words)
            fail(EXIT_OWN_FAILURE, "no memory for an image's words");
        (*words)[(*count)++] = (char *)word;
    }
}

static char *read_node(const struct tree *tree, const struct tree_node *node)
{
    size_t size = node && S_ISREG(node->mode) && node->size < (1u << 20) ? (size_t)node->size : 0;
    char *text = must_allocate(size + 1);
    return pread(tree->contents, text, size, (off_t)(node ? node->offset : 0)) == (ssize_t)size ? text : must_copy("");
}

/* The line of /etc/passwd or /etc/group whose name or number it is; its fields, or NULL. */
static bool look_up(const struct tree *tree, const char *file, const char *wanted, bool number, char *field[7])
{
    char *line, *rest = read_node(tree, layer_find(tree, file));
    while ((line = strsep(&rest, "\n"))) {
        for (int i = 0; i < 7; i++)
            field[i] = strsep(&line, ":");
        if (field[2] && !strcmp(field[number ? 2 : 0], wanted))
            return true;
    }
    return false;
}

static int64_t id_of(const struct tree *tree, const char *file, const char *text)
{
    char *field[7], *end;
    if (!*text)
        return -1;
    unsigned long value = strtoul(text, &end, 10);
    if (*end) {
        if (!look_up(tree, file, text, false, field))
            fail(EXIT_OWN_FAILURE, "--image %s: its user or group %.64s is not in its %s", shown, text, file);
        value = strtoul(field[2], NULL, 10);
    }
    return value < UINT32_MAX ? (int64_t)value : -1;
}

/* "USER" or "USER:GROUP", by names or numbers. */
static void take_user(struct manifest *out, const struct tree *tree, const char *text)
{
    char *user = must_copy(text), *group = strchr(user, ':'), *field[7], number[24];
    if (group)
        *group++ = 0;
    out->uid = id_of(tree, "/etc/passwd", user);
    snprintf(number, sizeof number, "%lld", (long long)out->uid);
    bool known = out->uid >= 0 && look_up(tree, "/etc/passwd", number, true, field);
    out->gid = group ? id_of(tree, "/etc/group", group) : known && field[3] ? (int64_t)strtoul(field[3], NULL, 10) : out->uid >= 0 ? 0 : -1;
}

static void add_variable(struct manifest *out, const char *assignment)
{
    out->environment = realloc(out->environment, (out->environment_count + 1) * sizeof *out->environment);
    if (!out->environment)
        fail(EXIT_OWN_FAILURE, "no memory for the environment");
    out->environment[out->environment_count++] = (char *)assignment;
}

static void add_environment(struct manifest *out, const struct description *config, const struct tree *tree)
{
    char *field[7], number[24];
    const char *assignment;
    snprintf(number, sizeof number, "%lld", (long long)(out->uid < 0 ? 0 : out->uid));
    bool known = look_up(tree, "/etc/passwd", number, true, field) && field[5] && field[5][0] == '/';
    add_variable(out, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    add_variable(out, must_print("HOME=%s", known ? field[5] : "/"));
    add_variable(out, "TERM");
    for (size_t i = 0; (assignment = value_of(config, "config/Env/%zu", i)); i++)
        if (assignment[0] != '=' && strchr(assignment, '='))
            add_variable(out, assignment);
}

/* A manifest's text, behind a line with the digest and how many words are the entry point's. */
static char *run_text(const struct description *config, const struct tree *tree, const char *digest)
{
    struct manifest out = {.uid = -1, .gid = -1, .limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    const char *user = value_of(config, "config/User"), *directory = value_of(config, "config/WorkingDir");
    char **words = NULL;
    size_t count = 0, size;
    add_words(config, "Entrypoint", &words, &count);
    size_t entry = count;
    add_words(config, "Cmd", &words, &count);
    out.program = count ? words[0] : "/bin/sh";
    out.args = words + 1;
    out.arg_count = count ? count - 1 : 0;
    out.cwd = directory && directory[0] == '/' ? directory : "/";
    if (user)
        take_user(&out, tree, user);
    add_environment(&out, config, tree);
    char *policy = policy_text(&out, &size), *text = must_print("# %s %zu\n%s", digest, entry, policy);
    free(policy);
    return text;
}

/* ---- The store --------------------------------------------------------------------------------------------------- */

/* An image by its name, tag and the file that changes with it. */
static void key_of(const struct source *source, char out[DIGEST_TEXT])
{
    struct stat status = {0};
    if (source->kind == OCI_FOLDER ? fstatat(source->file, "index.json", &status, 0) < 0 : fstat(source->file, &status) < 0)
        give_up("index.json", -errno);
    char *text = must_print("%d %llx %llx %llx %lld.%09ld %lld.%09ld %s", (int)source->kind, (unsigned long long)status.st_dev,
                            (unsigned long long)status.st_ino, (unsigned long long)status.st_size, (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                            (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec, source->tag ? source->tag : "");
    digest_of_text(text, out);
    free(text);
    if (time(NULL) - status.st_ctim.tv_sec < SETTLED_S)
        out[0] = 0; /* it may change again within the same tick: not kept */
}

static char *read_known(int cache, const char *key)
{
    char name[DIGEST_TEXT + 8], *text = must_allocate(POLICY_ROOM + 1);
    snprintf(name, sizeof name, "%s.toml", key);
    int file = cache < 0 || !*key ? -1 : openat(cache, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t size = file < 0 ? 0 : read(file, text, POLICY_ROOM);
    if (file >= 0)
        close(file);
    text[size > 0 ? size : 0] = 0;
    return strlen(text) > DIGEST_TEXT + 2 && !strncmp(text, "# ", 2) ? text : NULL;
}

static void write_known(int cache, const char *key, const char *text)
{
    char name[DIGEST_TEXT + 8], new[32];
    snprintf(name, sizeof name, "%s.toml", key);
    snprintf(new, sizeof new, ".new.%d", (int)getpid());
    int file = cache < 0 || !*key ? -1 : openat(cache, new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    bool done = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (close(file) < 0 || !done || renameat(cache, new, cache, name) < 0)
        unlinkat(cache, new, 0);
}

/* Its files as squashfs: in the store, or nameless. */
static char *write_files(int cache, const char *path, const char *digest, struct tree *tree)
{
    char name[DIGEST_TEXT + 16], new[32];
    snprintf(name, sizeof name, "%s.squashfs", digest);
    snprintf(new, sizeof new, ".new.%d", (int)getpid());
    int file = cache < 0 ? nameless_file() : openat(cache, new, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    must(file < 0 ? -errno : 0, "a place for its files");
    squashfs_write(tree, file, 0, 0, true);
    if (cache < 0)
        return must_print("/proc/self/fd/%d", file); /* as long as pal-run is there */
    must(close(file) < 0 || renameat(cache, new, cache, name) < 0 ? -errno : 0, "a place for its files");
    cache_trim(cache, ".squashfs", IMAGES_MAX);
    cache_trim(cache, ".toml", 4 * IMAGES_MAX);
    return must_print("%s/%s", path, name);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static char *convert(struct source *source, int cache, const char *path, char **text)
{
    static struct found found;
    static struct tree tree;
    struct description config;
    uint64_t used = 0;
    if (source->kind != OCI_FOLDER)
        source_unpack(source);
    if (source->kind == DOCKER_ARCHIVE)
        find_docker(source, &found);
    else
        find_oci(source, &found);
    name_found(&found);
    describe(&found.config, "its config", &config);
    const char *machine = value_of(&config, "architecture");
    must(machine && strcmp(machine, "amd64") != 0 ? -EPROTONOSUPPORT : 0, "");
    check_layers(source, &found, &config);
    tree_init(&tree);
    tree.contents = nameless_file();
    for (size_t i = 0; i < found.count; i++)
        must(layer_add(&tree, &found.layers[i], (unsigned)i + 1, &used), "a layer");
    *text = run_text(&config, &tree, found.digest);
    const char *directory = value_of(&config, "config/WorkingDir");
    if (directory && directory[0] == '/' && !layer_find(&tree, directory))
        tree_add_directory(&tree, directory, 0755);
    char *files = write_files(cache, path, found.digest, &tree);
    close(tree.contents);
    return files;
}

static void set_command(struct options *options, struct manifest *manifest, size_t entry)
{
    size_t count = 0, words = options->command[0] ? entry : manifest->arg_count + 1;
    while (options->command[count])
        count++;
    char **argv = must_allocate((words + count + 1) * sizeof *argv);
    for (size_t i = 0; i < words; i++)
        argv[i] = i ? manifest->args[i - 1] : (char *)manifest->program;
    for (size_t i = 0; i <= count; i++)
        argv[words + i] = options->command[i];
    options->command = argv;
}

void oci_image_open(const char *name, struct options *options)
{
    static struct source source;
    static struct manifest manifest;
    static struct sealed sealed = {.manifest = &manifest};
    char key[DIGEST_TEXT], path[PAL_PATH_MAX];
    unsigned entry = 0;
    shown = name;
    source_name(name, &source);
    key_of(&source, key);
    int cache = cache_open("images", path);
    char *text = read_known(cache, key), *files = text ? must_print("%s/%.*s.squashfs", path, DIGEST_TEXT - 1, text + 2) : NULL;
    if (!files || access(files, R_OK) < 0) {
        files = convert(&source, cache, path, &text);
        write_known(cache, key, text);
    } else {
        utimensat(AT_FDCWD, files, NULL, 0); /* used */
    }
    close(source.file);
    if (cache >= 0)
        close(cache);
    char *error = manifest_parse(name, text, strlen(text), &manifest);
    if (error || sscanf(text + 2 + DIGEST_TEXT, "%u", &entry) != 1 || entry > manifest.arg_count + 1)
        fail(EXIT_OWN_FAILURE, "--image %s: it says what can't be run: %s", name, error ? error : "its command");
    sealed.image = files;
    sealed.name = name;
    options->sealed = &sealed;
    set_command(options, &manifest, entry);
}

/* SPDX-License-Identifier: MIT */
/*
 * The same program as an OCI image layout (image-spec 1.0): one layer, as container engines take it.  Its bytes depend on the tree and the
 * manifest alone: names sorted, owners 0, one time, no name of a machine or a version.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "loader/pack/pack.h"

#define CHUNK (256 * 1024)
#define BLOBS "blobs/sha256"
#define MEDIA "application/vnd.oci.image."
static char bytes[CHUNK];

static void must(bool done, const char *what)
{
    if (!done)
        fail(EXIT_OWN_FAILURE, "pack --oci: %s: %s", what, strerror(errno ? errno : EIO));
}

/* ---- The layer --------------------------------------------------------------------------------------------------- */

static void put_contents(struct archive *tar, const struct tree_node *node)
{
    uint64_t left = node->size;
    if (node->bytes) {
        must(archive_write_data(tar, node->bytes, (size_t)node->size) == (ssize_t)node->size, node->name);
        return;
    }
    int from = open(node->from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    must(from >= 0, node->from);
    while (left) {
        ssize_t got = read(from, bytes, left < CHUNK ? (size_t)left : CHUNK);
        must(got > 0 && archive_write_data(tar, bytes, (size_t)got) == got, node->from);
        left -= (uint64_t)got;
    }
    close(from);
}

static void put_node(struct archive *tar, const struct tree_node *node, const char *path, uint32_t time)
{
    struct archive_entry *entry = archive_entry_new();
    must(entry != NULL, path);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_mode(entry, node->mode);
    archive_entry_set_mtime(entry, time, 0);
    archive_entry_set_size(entry, (la_int64_t)node->size);
    if (S_ISLNK(node->mode))
        archive_entry_set_symlink(entry, node->target);
    must(archive_write_header(tar, entry) == ARCHIVE_OK, path);
    archive_entry_free(entry);
    if (S_ISREG(node->mode))
        put_contents(tar, node);
}

static void put_beneath(struct archive *tar, const struct tree_node *node, const char *path, uint32_t time)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *child = node->children[i];
        char *inner = must_print("%s%s%s", path, child->name, S_ISDIR(child->mode) ? "/" : "");
        put_node(tar, child, inner, time);
        put_beneath(tar, child, inner, time);
        free(inner);
    }
}

static int write_tar(const struct tree *tree, uint32_t time)
{
    int to = memfd_create("pal-pack", MFD_CLOEXEC);
    struct archive *tar = archive_write_new();
    must(to >= 0 && tar, "the layer");
    must(archive_write_set_format_pax_restricted(tar) == ARCHIVE_OK && archive_write_open_fd(tar, to) == ARCHIVE_OK, "the layer");
    put_beneath(tar, &tree->root, "", time);
    must(archive_write_close(tar) == ARCHIVE_OK, "the layer");
    archive_write_free(tar);
    return to;
}

/* By zlib, which puts neither a time nor a name into the head. */
static void squeeze(int from, int to)
{
    static unsigned char out[CHUNK];
    z_stream stream = {0};
    int state = Z_OK;
    must(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK, "the layer");
    for (off_t at = 0; state != Z_STREAM_END;) {
        ssize_t got = pread(from, bytes, sizeof bytes, at);
        must(got >= 0, "the layer");
        at += got;
        stream.next_in = (Bytef *)bytes;
        stream.avail_in = (uInt)got;
        do {
            stream.next_out = out;
            stream.avail_out = sizeof out;
            state = deflate(&stream, got ? Z_NO_FLUSH : Z_FINISH);
            size_t size = sizeof out - stream.avail_out;
            must(write(to, out, size) == (ssize_t)size, "the layer");
        } while (!stream.avail_out);
    }
    deflateEnd(&stream);
}

/* ---- Blobs ------------------------------------------------------------------------------------------------------- */

struct blob {
    char digest[sizeof "sha256:" + DIGEST_TEXT];
    uint64_t size;
};

static void digest_file(int file, struct blob *out)
{
    uint8_t digest[DIGEST_SIZE];
    char text[DIGEST_TEXT];
    struct stat status;
    must(fstat(file, &status) == 0 && digest_of(file, 0, (uint64_t)status.st_size, digest) == 0, "a blob");
    digest_text(digest, text);
    snprintf(out->digest, sizeof out->digest, "sha256:%s", text);
    out->size = (uint64_t)status.st_size;
}

/* It takes its digest for its name once it is whole. */
static void name_blob(int root, int file, struct blob *out)
{
    digest_file(file, out);
    char *name = must_print(BLOBS "/%s", strchr(out->digest, ':') + 1);
    must(renameat(root, "new", root, name) == 0, name);
    free(name);
    close(file);
}

static int new_file(int root, const char *name)
{
    int file = openat(root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    must(file >= 0, name);
    return file;
}

/* Takes the value. */
static void put_json(int file, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    must(text && write(file, text, strlen(text)) == (ssize_t)strlen(text), "a description");
    free(text);
    json_decref(value);
}

/* ---- What describes it ------------------------------------------------------------------------------------------- */

static json_t *environment_of(const struct manifest *manifest)
{
    json_t *list = json_array();
    for (size_t i = 0; i < manifest->environment_count; i++)
        if (strchr(manifest->environment[i], '='))
            json_array_append_new(list, json_string(manifest->environment[i]));
    return list;
}

static json_t *command_of(const struct manifest *manifest)
{
    json_t *list = json_pack("[s]", manifest->program);
    for (size_t i = 0; i < manifest->arg_count; i++)
        json_array_append_new(list, json_string(manifest->args[i]));
    return list;
}

static json_t *ports_of(const struct network *network)
{
    json_t *ports = json_object();
    for (size_t i = 0; i < network->publish_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u/%s", network->publish[i].port, network->publish[i].udp ? "udp" : "tcp");
        json_object_set_new(ports, name, json_object());
    }
    return ports;
}

static json_t *config_of(const struct manifest *manifest, const char *layer, const char *when)
{
    json_t *config = json_pack("{so so ss}", "Entrypoint", command_of(manifest), "Env", environment_of(manifest), "WorkingDir",
                               manifest->cwd ? manifest->cwd : "/");
    if (manifest->network.publish_count)
        json_object_set_new(config, "ExposedPorts", ports_of(&manifest->network));
    if (manifest->uid >= 0) {
        char *user = must_print("%lld:%lld", (long long)manifest->uid, (long long)(manifest->gid < 0 ? 0 : manifest->gid));
        json_object_set_new(config, "User", json_string(user));
        free(user);
    }
    return json_pack("{ss ss ss so s{ss s[s]} s[{ss ss}]}", "created", when, "architecture", "amd64", "os", "linux", "config", config, "rootfs", "type",
                     "layers", "diff_ids", layer, "history", "created", when, "created_by", "pal-run pack");
}

static json_t *descriptor(const char *type, const struct blob *blob)
{
    return json_pack("{ss ss sI}", "mediaType", type, "digest", blob->digest, "size", (json_int_t)blob->size);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static int make_directory(const char *directory)
{
    must(mkdir(directory, 0777) == 0, directory);
    int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(root >= 0 && mkdirat(root, "blobs", 0777) == 0 && mkdirat(root, BLOBS, 0777) == 0, directory);
    return root;
}

static void write_description(int root, const struct manifest *manifest, const struct blob *layer, const char *contents, const char *when,
                              struct blob *out)
{
    struct blob config;
    int file = new_file(root, "new");
    put_json(file, config_of(manifest, contents, when));
    name_blob(root, file, &config);
    file = new_file(root, "new");
    put_json(file, json_pack("{si ss so s[o]}", "schemaVersion", 2, "mediaType", MEDIA "manifest.v1+json", "config",
                             descriptor(MEDIA "config.v1+json", &config), "layers", descriptor(MEDIA "layer.v1.tar+gzip", layer)));
    name_blob(root, file, out);
}

void oci_layout_write(const char *directory, const struct tree *tree, const struct manifest *manifest, uint32_t time, char digest[DIGEST_TEXT])
{
    const time_t seconds = time;
    struct blob contents, layer, description;
    struct tm parts;
    char when[32];
    must(gmtime_r(&seconds, &parts) && strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts), "the time");
    int root = make_directory(directory), tar = write_tar(tree, time), file = new_file(root, "new");
    squeeze(tar, file);
    digest_file(tar, &contents);
    close(tar);
    name_blob(root, file, &layer);
    write_description(root, manifest, &layer, contents.digest, when, &description);
    json_t *entry = descriptor(MEDIA "manifest.v1+json", &description);
    json_object_set_new(entry, "platform", json_pack("{ss ss}", "architecture", "amd64", "os", "linux"));
    json_object_set_new(entry, "annotations", json_pack("{ss}", "org.opencontainers.image.ref.name", "latest"));
    file = new_file(root, "index.json");
    put_json(file, json_pack("{si ss s[o]}", "schemaVersion", 2, "mediaType", MEDIA "index.v1+json", "manifests", entry));
    close(file);
    file = new_file(root, "oci-layout");
    put_json(file, json_pack("{ss}", "imageLayoutVersion", "1.0.0"));
    close(file);
    close(root);
    strcpy(digest, strchr(description.digest, ':') + 1);
}

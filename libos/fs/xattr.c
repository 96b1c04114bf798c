/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, xattr(7): of the host's files those in the namespace "user".  "trusted" and "security" are refused as
 * to a program without privileges, of files that have none; all others as by a file system without them: EOPNOTSUPP.  That
 * the file exists is still checked.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define PREFIX "user."
#define XATTR_CREATE 1u
#define XATTR_REPLACE 2u

/* By name, or by descriptor. */
struct target {
    struct file *file; /* NULL: by name */
    struct name name;
};

/* What is asked, with the attribute's name and the value copied here. */
struct question {
    struct pal_extended asked;
    char attribute[XATTR_NAME_MAX + 1];
    char value[PAL_PATH_MAX];
    struct pal_path_buffer text;
};

static int64_t target_name(guest_t path, uint32_t flags, struct target *out)
{
    out->file = NULL;
    out->name.base = NULL;
    return name_from_guest(AT_FDCWD, path, flags, &out->name);
}

static int64_t target_file(int fd, struct target *out)
{
    out->name.base = NULL;
    out->file = file_get_io(fd);
    return out->file ? 0 : -EBADF;
}

static bool is_of(const char *attribute, const char *prefix)
{
    return !strncmp(attribute, prefix, strlen(prefix));
}

static bool is_user(const char *attribute)
{
    return is_of(attribute, PREFIX);
}

/* What is asked of an object that can't have it.  stored: it lies on a file system of the host. */
static int64_t refused(const struct pal_extended *asked, bool stored)
{
    bool changes = asked->op == PAL_EXTENDED_SET || asked->op == PAL_EXTENDED_REMOVE;
    bool root = current_process()->euid == 0;
    if (is_user(asked->attribute))
        return changes ? -EPERM : -ENODATA;
    if (is_of(asked->attribute, "security."))
        return !changes && stored ? -ENODATA : !changes || root ? -EOPNOTSUPP : -EPERM;
    if (is_of(asked->attribute, "trusted."))
        return root ? -EOPNOTSUPP : changes ? -EPERM : -ENODATA;
    return -EOPNOTSUPP;
}

/* "user." alone is no name, of what could have one. */
static bool is_nameless(const struct pal_extended *asked, uint32_t type)
{
    bool could = type == PAL_TYPE_FILE || type == PAL_TYPE_DIRECTORY;
    return could && is_user(asked->attribute) && asked->attribute_size == sizeof PREFIX - 1;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static int64_t ask_file(struct file *file, struct pal_extended *asked)
{
    bool has = (file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_DIRECTORY) && file->handle != PAL_NO_HANDLE;
    if (asked->op != PAL_EXTENDED_LIST && is_nameless(asked, file->type))
        return -EINVAL;
    if (has && (asked->op == PAL_EXTENDED_LIST || is_user(asked->attribute)))
        return PAL->stream_control(file->handle, PAL_CTL_EXTENDED, asked, sizeof *asked);
    return asked->op == PAL_EXTENDED_LIST ? 0 : refused(asked, has);
}

static int64_t ask_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    struct pal_extended *asked = argument;
    struct pal_attributes found;
    bool nameless = is_nameless(asked, PAL_TYPE_FILE);
    bool asks = fs->xattr && (asked->op == PAL_EXTENDED_LIST || (is_user(asked->attribute) && !nameless));
    int64_t answer = asks ? fs->xattr(name, asked) : -EOPNOTSUPP;
    if (answer != -EOPNOTSUPP)
        return answer;
    int64_t result = fs->attributes(name, &found, follow);
    if (result || (asks && (found.type == PAL_TYPE_FILE || found.type == PAL_TYPE_DIRECTORY)))
        return result ? result : answer;
    follow->size = 0; /* it is what comes back of a list, too */
    if (name->directory && found.type != PAL_TYPE_DIRECTORY)
        return -ENOTDIR;
    if (asked->op == PAL_EXTENDED_LIST)
        return 0;
    return is_nameless(asked, found.type) ? -EINVAL : refused(asked, fs == &hostfs);
}

static int64_t ask(struct target *target, struct pal_extended *asked)
{
    asked->text->size = 0;
    int64_t result = target->file ? ask_file(target->file, asked) : name_walk(&target->name, ask_step, asked, asked->text);
    if (target->file)
        file_put(target->file);
    return result;
}

/* The attribute's name and the value, before the target is looked up. */
static int64_t prepare(struct question *question, uint32_t op, guest_t attribute, guest_t value, uint64_t size)
{
    question->asked = (struct pal_extended){
        .op = op, .text = &question->text, .attribute = question->attribute, .value = question->value};
    if (op == PAL_EXTENDED_LIST)
        return 0;
    int64_t length = copy_in_string(question->attribute, attribute, sizeof question->attribute);
    if (length <= 0)
        return length == 0 || length == -ENAMETOOLONG ? -ERANGE : length;
    question->asked.attribute_size = (uint32_t)length;
    if (op != PAL_EXTENDED_SET)
        return 0;
    question->asked.value_size = (uint32_t)MIN(size, sizeof question->value); /* too long for any: -ENOSPC */
    return copy_in(question->value, value, question->asked.value_size);
}

/* `found`: how the look-up of the target went, after the arguments were good. */
static int64_t run(struct question *question, struct target *target, int64_t found, guest_t to, uint64_t room)
{
    struct pal_extended *asked = &question->asked;
    if (found < 0)
        return found;
    int64_t result = ask(target, asked);
    if (result < 0 || asked->op == PAL_EXTENDED_SET || asked->op == PAL_EXTENDED_REMOVE)
        return result;
    uint32_t size = question->text.size;
    if (!room)
        return size;
    return size > room ? -ERANGE : copy_out(to, question->text.bytes, size) < 0 ? -EFAULT : (int64_t)size;
}

/* fd -1: by path. */
static int64_t call(uint32_t op, int fd, guest_t path, uint32_t follow, guest_t attribute, guest_t value, uint64_t size,
                    uint32_t flags)
{
    struct target target;
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    if (op == PAL_EXTENDED_SET && size > XATTR_SIZE_MAX)
        return -E2BIG;
    struct question *question = alloc(sizeof *question);
    if (!question)
        return -ENOMEM;
    int64_t result = prepare(question, op, attribute, value, size);
    question->asked.flags = flags;
    if (result == 0) {
        int64_t found = path ? target_name(path, follow, &target) : target_file(fd, &target);
        result = run(question, &target, found, value, size);
        name_end(&target.name);
    }
    release(question);
    return result;
}

/* ---- The calls --------------------------------------------------------------------------------------------------- */

/* A path of address 0 is a bad address, not a descriptor. */
static int64_t by_path(uint32_t op, guest_t path, uint32_t follow, guest_t attribute, guest_t value, uint64_t size,
                       uint32_t flags)
{
    return path ? call(op, -1, path, follow, attribute, value, size, flags) : -EFAULT;
}

int64_t sys_setxattr(guest_t path, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    return by_path(PAL_EXTENDED_SET, path, 0, name, value, size, flags);
}

int64_t sys_lsetxattr(guest_t path, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    return by_path(PAL_EXTENDED_SET, path, AT_SYMLINK_NOFOLLOW, name, value, size, flags);
}

int64_t sys_fsetxattr(int32_t fd, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    return call(PAL_EXTENDED_SET, fd, 0, 0, name, value, size, flags);
}

int64_t sys_getxattr(guest_t path, guest_t name, guest_t value, uint64_t size)
{
    return by_path(PAL_EXTENDED_GET, path, 0, name, value, size, 0);
}

int64_t sys_lgetxattr(guest_t path, guest_t name, guest_t value, uint64_t size)
{
    return by_path(PAL_EXTENDED_GET, path, AT_SYMLINK_NOFOLLOW, name, value, size, 0);
}

int64_t sys_fgetxattr(int32_t fd, guest_t name, guest_t value, uint64_t size)
{
    return call(PAL_EXTENDED_GET, fd, 0, 0, name, value, size, 0);
}

int64_t sys_listxattr(guest_t path, guest_t list, uint64_t size)
{
    return by_path(PAL_EXTENDED_LIST, path, 0, 0, list, size, 0);
}

int64_t sys_llistxattr(guest_t path, guest_t list, uint64_t size)
{
    return by_path(PAL_EXTENDED_LIST, path, AT_SYMLINK_NOFOLLOW, 0, list, size, 0);
}

int64_t sys_flistxattr(int32_t fd, guest_t list, uint64_t size)
{
    return call(PAL_EXTENDED_LIST, fd, 0, 0, 0, list, size, 0);
}

int64_t sys_removexattr(guest_t path, guest_t name) { return by_path(PAL_EXTENDED_REMOVE, path, 0, name, 0, 0, 0); }

int64_t sys_lremovexattr(guest_t path, guest_t name)
{
    return by_path(PAL_EXTENDED_REMOVE, path, AT_SYMLINK_NOFOLLOW, name, 0, 0, 0);
}

int64_t sys_fremovexattr(int32_t fd, guest_t name)
{
    return call(PAL_EXTENDED_REMOVE, fd, 0, 0, name, 0, 0, 0);
}

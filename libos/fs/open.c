/* SPDX-License-Identifier: MIT */
/* open(2) and its kin. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

/* What Linux refuses whatever the file is; and flags that O_PATH ignores. */
static int64_t check_flags(uint32_t *flags)
{
    if (*flags & O_PATH)
        *flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    *flags &= OPEN_FLAGS;
    if ((*flags & O_TMPFILE) == O_TMPFILE)
        return *flags & O_CREAT || (*flags & O_ACCMODE) == O_RDONLY ? -EINVAL : 0;
    if ((*flags & O_TMPFILE & ~O_DIRECTORY) || (*flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    return 0;
}

struct open_asked {
    struct opening how;
    struct file **out;
};

/* A slash or "." ends what is to be made: refused, if there is a way there. */
static int64_t refuse_directory(struct name *name, uint32_t flags)
{
    struct pal_attributes attributes;
    int64_t result = name->last == NAME_NORMAL ? name_check_parent(name) : name_attributes(name, &attributes);
    return result < 0 ? result : name->last != NAME_NORMAL && flags & O_EXCL ? -EEXIST : -EISDIR;
}

static int64_t open_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    const struct open_asked *asked = argument;
    if ((name->directory || name->last != NAME_NORMAL) && asked->how.flags & O_CREAT)
        return refuse_directory(name, asked->how.flags);
    return fs->open(name, &asked->how, asked->out, follow);
}

/* One that may be made, with bits that the host is not to have: they are kept here if it was. */
static __attribute__((noinline)) int64_t open_with_bits(struct name *name, struct open_asked *asked, uint32_t bits)
{
    struct pal_path_buffer follow;
    struct pal_attributes attributes;
    bool makes = (asked->how.flags & O_TMPFILE) == O_TMPFILE || name_attributes(name, &attributes) == -ENOENT;
    int64_t result = name_walk(name, open_step, asked, &follow);
    if (result == 0 && makes && file_attributes(*asked->out, &attributes) == 0)
        file_give_set_id(&attributes, bits);
    return result;
}

/* Is a symlink at its end not followed? */
static bool is_entry(uint32_t flags) { return flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL); }

int64_t name_open(struct name *name, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    const uint32_t bits = mode & (S_ISUID | S_ISGID);
    struct pal_path_buffer follow;
    struct open_asked asked = {{flags, mode & ~bits, purpose}, out};
    int64_t result = check_flags(&asked.how.flags);
    if (result < 0)
        return result;
    if (is_entry(flags))
        name->nofollow = !name->directory;
    return UNLIKELY(bits) ? open_with_bits(name, &asked, bits) : name_walk(name, open_step, &asked, &follow);
}

int64_t file_open(const char *path, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    struct name name;
    int64_t result = name_from_path(path, flags & O_NOFOLLOW, &name);
    return result < 0 ? result : name_open(&name, flags, mode, purpose, out);
}

int64_t open_at(int directory, guest_t path, uint32_t flags, uint32_t mode)
{
    NAME(name);
    struct file *file;
    int64_t result = check_flags(&flags);
    if (result == 0)
        result = name_from_guest(directory, path, is_entry(flags) ? NAME_ENTRY : 0, &name);
    if (result < 0)
        return result;
    mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode & S_IALLUGO & ~fs_umask(current_process()->fs) : 0;
    result = name_open(&name, flags, mode, 0, &file);
    return result < 0 ? result : fd_install(file, flags, 0);
}

int64_t sys_open(guest_t path, uint32_t flags, uint32_t mode) { return open_at(AT_FDCWD, path, flags, mode); }

int64_t sys_openat(int32_t directory, guest_t path, uint32_t flags, uint32_t mode)
{
    return open_at(directory, path, flags, mode);
}

int64_t sys_creat(guest_t path, uint32_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

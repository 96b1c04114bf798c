/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: the sandbox's file systems have none, and say so as xattr(7) has it for such a file system:
 * EOPNOTSUPP for each name, an empty list.  That the file exists is still checked.
 */
#include "libos/calls.h"
#include "libos/files.h"

static int64_t name_exists(guest_t path, uint32_t flags)
{
    struct name name;
    struct pal_attributes attributes;
    int64_t result = name_from_guest(AT_FDCWD, path, flags, &name);
    return result < 0 ? result : name_attributes(&name, &attributes);
}

static int64_t descriptor_exists(int fd)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    file_put(file);
    return 0;
}

static int64_t attribute_name_good(guest_t name)
{
    char text[XATTR_NAME_MAX + 1];
    int64_t size = copy_in_string(text, name, sizeof(text));
    return size == 0 || size == -ENAMETOOLONG ? -ERANGE : size < 0 ? size : 0;
}

/* The answer for one attribute of an object that was looked up with the result `found`. */
static int64_t no_attribute(int64_t found, guest_t name)
{
    int64_t result = attribute_name_good(name);
    return result < 0 ? result : found < 0 ? found : -EOPNOTSUPP;
}

static int64_t no_value(int64_t found, guest_t name, uint64_t size, uint32_t flags)
{
    return flags & ~3u ? -EINVAL : size > XATTR_SIZE_MAX ? -E2BIG : no_attribute(found, name);
}

int64_t sys_setxattr(guest_t path, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    (void)value;
    return no_value(name_exists(path, 0), name, size, flags);
}

int64_t sys_lsetxattr(guest_t path, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    (void)value;
    return no_value(name_exists(path, AT_SYMLINK_NOFOLLOW), name, size, flags);
}

int64_t sys_fsetxattr(int32_t fd, guest_t name, guest_t value, uint64_t size, uint32_t flags)
{
    (void)value;
    return no_value(descriptor_exists(fd), name, size, flags);
}

int64_t sys_getxattr(guest_t path, guest_t name, guest_t value, uint64_t size)
{
    (void)value, (void)size;
    return no_attribute(name_exists(path, 0), name);
}

int64_t sys_lgetxattr(guest_t path, guest_t name, guest_t value, uint64_t size)
{
    (void)value, (void)size;
    return no_attribute(name_exists(path, AT_SYMLINK_NOFOLLOW), name);
}

int64_t sys_fgetxattr(int32_t fd, guest_t name, guest_t value, uint64_t size)
{
    (void)value, (void)size;
    return no_attribute(descriptor_exists(fd), name);
}

int64_t sys_listxattr(guest_t path, guest_t list, uint64_t size)
{
    (void)list, (void)size;
    return name_exists(path, 0);
}

int64_t sys_llistxattr(guest_t path, guest_t list, uint64_t size)
{
    (void)list, (void)size;
    return name_exists(path, AT_SYMLINK_NOFOLLOW);
}

int64_t sys_flistxattr(int32_t fd, guest_t list, uint64_t size)
{
    (void)list, (void)size;
    return descriptor_exists(fd);
}

int64_t sys_removexattr(guest_t path, guest_t name) { return no_attribute(name_exists(path, 0), name); }

int64_t sys_lremovexattr(guest_t path, guest_t name)
{
    return no_attribute(name_exists(path, AT_SYMLINK_NOFOLLOW), name);
}

int64_t sys_fremovexattr(int32_t fd, guest_t name) { return no_attribute(descriptor_exists(fd), name); }

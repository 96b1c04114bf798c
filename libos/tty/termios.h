/* SPDX-License-Identifier: MIT */
/* ioctl(2)'s requests for files of the host: file_ops.control of hostfile.c. */
#ifndef LIBOS_IOCTL_H
#define LIBOS_IOCTL_H

#include "libos/libos.h"

int64_t plain_ioctl(struct file *file, uint32_t request, guest_t argument); /* FIONREAD and the like */
#endif

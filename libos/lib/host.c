/* SPDX-License-Identifier: MIT */
/* The host, as it called the image. */
#include "libos/lib/lib.h"

const struct pal_api *PAL;
const struct pal_boot *boot;
uint8_t libos_dispatch_slowly;

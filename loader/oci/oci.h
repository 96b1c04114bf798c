/* SPDX-License-Identifier: MIT */
/* pal-oci: an OCI runtime in front of the node's own. */
#ifndef LOADER_OCI_H
#define LOADER_OCI_H

#include "loader/launch/launch.h"

struct json_t;

/* ---- oci.c ------------------------------------------------------------------------------------------------------- */

bool oci_is(const char *name); /* pal-run was called by this one's name */
int oci_main(int argc, char **argv);

/* Ends pal-oci as the node's runtime would: engines match on the words, in the log or on standard error. */
void oci_fail(const char *pattern, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ---- config.c: a container's config.json, and exec's process.json ------------------------------------------------ */

#define OCI_INSIDE "/dev/.pal" /* in the container: /dev is a tmpfs of its own, so the image's diff has nothing of it */

/* Puts pal-run in front of what the container runs.  folder: on the host, what becomes OCI_INSIDE; `id`: the container's.
 * False: the process stays as it is (it is pal-run already, or the annotation "pal.native" names it). */
bool oci_edit_process(struct json_t *process, const struct json_t *config, int folder, const char *id);
/* Of exec: it joins the container's sandbox, as the container's `user`: the sandbox's monitor hears nobody else. */
void oci_edit_exec(struct json_t *process, const struct json_t *user, const char *id);
void oci_add_mounts(struct json_t *config, const char *folder);
/* Fails as the node's runtime does where there is no such program: at create, not at start. */
void oci_find_program(const struct json_t *config, const char *bundle);
#endif

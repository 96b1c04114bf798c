/* SPDX-License-Identifier: MIT */
/*
 * Connections that prove which name they are for.  An address that a name led to may be many names' (a CDN's): so where a
 * rule names a host, what is sent first at port 80 or 443 is looked at, and has to name a host that the rule has, as
 * TLS's server name (SNI) or HTTP's Host.  Until then a stand-in is the program's, and the connection the monitor's.
 */
#ifndef LOADER_PROOF_H
#define LOADER_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define PROOF_MAX 16384u /* bytes that are looked at */
#define PROOF_NAME 254u

/* NAMED: names[0..count) are all that it names, lower case, without a final dot. */
enum proof_state { PROOF_MORE /* bytes are needed */, PROOF_NAMED, PROOF_NONE, PROOF_HIDDEN /* by ECH */ };
struct proof_names {
    unsigned count;
    char names[2][PROOF_NAME];
};

/* ---- name.c: hosts' names, and what is looked at.  Pure, and whatever comes. --------------------------------------- */

/* Of a host, in the form of network_match_name.  False: it is none. */
bool proof_name(const uint8_t *bytes, size_t size, char out[PROOF_NAME]);
enum proof_state proof_read(const uint8_t *bytes, size_t size, struct proof_names *out);

/* ---- tls.c: RFC 8446 4.1.2, RFC 6066 3 ------------------------------------------------------------------------------ */

enum proof_state proof_tls(const uint8_t *bytes, size_t size, struct proof_names *out);

/* ---- http.c: RFC 9112 ----------------------------------------------------------------------------------------------- */

enum proof_state proof_http(const uint8_t *bytes, size_t size, struct proof_names *out);

/* ---- connection.c --------------------------------------------------------------------------------------------------- */

/* Where it leads, and by which rules; that is the monitor's. */
struct proof_target { uint8_t address[16]; uint16_t port; uint64_t rules; };
/* `socket` is on its way, and taken, unless the result is negative: -errno.  Else it is a number for proof_find, and *out
 * its stand-in: it takes bytes when the connection is there, and what may be read from it is an int32: 0 = it is
 * passed, or the errno that the connection failed with. */
int64_t proof_begin(uv_loop_t *loop, int socket, const struct proof_target *target, int *out);
struct proof; /* may be gone after the next event */
struct proof *proof_find(uint64_t number);
const struct proof_target *proof_target(const struct proof *proof);
/* By what was written so far.  A passed one stays so.  Or -errno. */
int proof_look(struct proof *proof, struct proof_names *out);
bool proof_is_passed(const struct proof *proof);
/* What was written goes out.  A descriptor of the connection, which the caller closes; or -errno. */
int proof_pass(struct proof *proof);

#endif

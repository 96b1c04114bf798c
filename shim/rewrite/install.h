/* SPDX-License-Identifier: MIT */
/* Making a site live, and undoing it.  Callers hold the sites' lock and have the text pinned. */
#ifndef SHIM_INSTALL_H
#define SHIM_INSTALL_H

#include "shim/rewrite/site_table.h"

/* Rewrites the site at text->syscall; text has its address and the mapping.  A site that is live already, but whose
 * syscall instruction stayed and is jumped to, gets a second way in if it can. */
enum site_refusal install_site(const struct site_host *host, struct text_window *text,
                               struct site_statistics *statistics);

/* What install_site would choose first for the site at text->syscall.  The window is filled.  False: nothing. */
bool install_record(const struct text_window *text, struct site_record *out);
/* The hint for the site at text->syscall, which may have been rewritten.  False: none, as for a signal handler's return. */
bool install_hint(struct text_window *text, struct site_hint *out);
/* Does what the hint says, if the text is what it was made from and takes it.  `known`: see scan_proves; then behind the site. */
bool install_hinted(const struct site_host *host, const struct site_hint *hint, struct text_window *text, uint64_t *known,
                    struct site_statistics *statistics);
/* Does what the record says, if the text is what it was made from.  False: do install_site. */
bool install_known(const struct site_host *host, const struct site_record *record, struct text_window *text,
                   struct site_statistics *statistics);
/* From begins to its end: sites are installed in the order of their addresses, in text that had none. */
void install_fresh(bool begins);

/* Puts the program's own bytes back.  False: there are none, or the host doesn't let it. */
bool install_undo(const struct site_host *host, struct site *site);

/* The site's addresses no longer lead to its site. */
void install_unmap(const struct site_host *host, const struct site *site);

#endif

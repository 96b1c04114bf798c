/* SPDX-License-Identifier: MIT */
/* Linux's terminals: modes, control characters, requests (asm-generic/termbits.h, ioctls.h). */
#ifndef LIBOS_ABI_TERMINAL_H
#define LIBOS_ABI_TERMINAL_H

enum { VINTR = 0, VQUIT = 1, VSTART = 8, VSTOP = 9, VSUSP = 10, VLNEXT = 15 };
enum { TCOOFF, TCOON, TCIOFF, TCION };
#define POSIX_VDISABLE 0
#define ISTRIP 0000040u
#define ISIG 0000001u
#define ICANON 0000002u
#define TOSTOP 0000400u
#define VTIME 5 /* of the control characters */
#define VMIN 6
#define IEXTEN 0100000u

#define TCSBRKP 0x5425u
#define TCXONC 0x540au
#define TIOCEXCL 0x540cu
#define TIOCNXCL 0x540du
#define TIOCSTI 0x5412u
#define TIOCPKT 0x5420u
#define TIOCGETD 0x5424u
#define TIOCGPTN 0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCGDEV 0x80045432u
#define TIOCGPTLCK 0x80045439u
#define TIOCGPTPEER 0x5441u
#endif

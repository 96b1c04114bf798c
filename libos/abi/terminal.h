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

#define TCGETA 0x5405u
#define TCSETA 0x5406u
#define TCSETAF 0x5408u
#define TCGETS2 0x802c542au
#define TCSETS2 0x402c542bu
#define TCSETSF2 0x402c542du
#define TCSBRKP 0x5425u
#define TCXONC 0x540au
#define TIOCEXCL 0x540cu
#define TIOCNXCL 0x540du
#define TIOCOUTQ 0x5411u
#define TIOCSTI 0x5412u
#define TIOCGSOFTCAR 0x5419u
#define TIOCSSOFTCAR 0x541au
#define TIOCCONS 0x541du
#define TIOCPKT 0x5420u
#define TIOCSETD 0x5423u
#define TIOCGETD 0x5424u
#define TIOCSBRK 0x5427u
#define TIOCCBRK 0x5428u
#define TIOCVHANGUP 0x5437u
#define TIOCGPTN 0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCGDEV 0x80045432u
#define TIOCSIG 0x40045436u
#define TIOCGPKT 0x80045438u
#define TIOCGPTLCK 0x80045439u
#define TIOCGEXCL 0x80045440u
#define TIOCGPTPEER 0x5441u

#define CBAUD 0010017u /* of cflag: a speed; CBAUD << IBSHIFT: of input, 0 where it is the same */
#define BOTHER 0010000u /* another: it is told beside */
#define CLOCAL 0004000u
#define IBSHIFT 16
#endif

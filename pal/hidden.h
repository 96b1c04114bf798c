/* SPDX-License-Identifier: MIT */
/*
 * Included by the Makefile before all else in what is one image: an extern symbol lies in the same image, so its
 * address needs no table (.got is thrown away).
 */
#ifndef PAL_HIDDEN_H
#define PAL_HIDDEN_H
#pragma GCC visibility push(hidden)
#endif

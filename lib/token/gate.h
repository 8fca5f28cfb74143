/* SPDX-License-Identifier: MIT */
/*
 * The fork gate.  Every token call passes it for reading; fork(), C_Finalize and the end of the process take it
 * for writing, so that none of them ever finds a thread inside a token.  One gate per process.  Writers go first.
 * A thread that is already inside may enter again, and may become a writer without waiting for itself.
 */
#ifndef SCK_TOKEN_GATE_H
#define SCK_TOKEN_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* Enter for reading.  False, with nothing to leave, once the process is exiting. */
bool sck_gate_enter(void);
void sck_gate_leave(void);

/*
 * Take the gate for writing: waits until no other thread is inside, at most `timeout_ms` (negative: without end).
 * False when the time is over.  Nests within a thread.
 */
bool sck_gate_write_begin(int64_t timeout_ms);
void sck_gate_write_end(void);

/* Atexit handler: drains the calls in flight (2 s at most) and lets no new one in.  Safe to run again. */
void sck_gate_exit(void);
/* Whether the exit handler has run. */
bool sck_gate_is_exiting(void);

/* In the child of a fork made while this thread held the gate for writing: make it anew and release it. */
void sck_gate_child(void);

#endif

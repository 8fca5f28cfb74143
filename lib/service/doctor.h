/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the parts of sck_doctor() that are files of their own. */
#ifndef SCK_SERVICE_DOCTOR_H
#define SCK_SERVICE_DOCTOR_H

#include "lib/service/engine.h"

/* Epochs, unfinished and scheduled erasures, backups; `cure` NULL when well. */
void sck_doctor_erasure(struct sck_engine *engine, struct sck_catalog *catalog,
                        void (*report)(void *arg, const char *what, const char *cure), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
/* Inside lib/service: what the steps of `init` share. */
#ifndef SCK_SERVICE_SETUP_WORK_H
#define SCK_SERVICE_SETUP_WORK_H

#include "lib/service/engine.h"
#include "lib/service/setup.h"

#include <limits.h>

struct sck_setup_work {
    const struct sck_setup *how;
    sck_progress_fn progress;
    void *arg;
    char home[PATH_MAX];        /* absolute */
    char pin_file[PATH_MAX];    /* absolute, or "" when the PIN was asked for */
    uint8_t id[16];             /* of the set-up and its catalog */
    const char *module;
    const char *label;
    bool own_token;             /* a SoftHSM token below `home` */
    struct sck_secret *pin;
};

/* Write the configuration to `path` atomically, 0600.  SCK_E_CONFIG for a file that is named and not there, SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_setup_write_conf(const struct sck_setup_work *w, const char *path,
                                                  struct sck_err *err);

#endif

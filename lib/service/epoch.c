/* SPDX-License-Identifier: MIT */
/*
 * One word per machine, mapped by every process: a change says "look again before you use what you hold".
 * Reading it costs one load; the catalog says what changed.
 */
#include "lib/service/engine.h"

#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORD_LEN = sizeof(uint64_t) };

static void *
map_word(const struct sck_engine *engine, int flags, int prot)
{
    void *at = MAP_FAILED;
    struct stat st;
    char *path = sck_engine_path(engine, "run/epoch");
    int fd = path != NULL ? open(path, flags | O_CLOEXEC | O_NOFOLLOW) : -1;
    /* A shorter file would turn the first read into SIGBUS. */
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= WORD_LEN)
        at = mmap(NULL, WORD_LEN, prot, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return at == MAP_FAILED ? NULL : at;
}

bool
sck_epoch_read(struct sck_engine *engine, uint64_t *value)
{
    void *word = atomic_load(&engine->epoch);
    if (word == NULL) {
        void *mine = map_word(engine, O_RDONLY, PROT_READ);
        if (mine == NULL)
            return false;
        if (atomic_compare_exchange_strong(&engine->epoch, &word, mine))
            word = mine;
        else
            (void)munmap(mine, WORD_LEN);
    }
    *value = atomic_load((_Atomic(uint64_t) *)word);
    return true;
}

enum sck_code
sck_epoch_bump(struct sck_engine *engine, struct sck_err *err)
{
    void *word = map_word(engine, O_RDWR, PROT_READ | PROT_WRITE);
    if (word == NULL)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s/run/epoch: other processes would not notice",
                              engine->conf->state_dir);
    (void)atomic_fetch_add((_Atomic(uint64_t) *)word, 1);
    (void)munmap(word, WORD_LEN);
    return SCK_OK;
}

void
sck_epoch_unmap(struct sck_engine *engine)
{
    void *word = atomic_exchange(&engine->epoch, NULL);
    if (word != NULL)
        (void)munmap(word, WORD_LEN);
}

enum sck_code
sck_epoch_create(const char *path, struct sck_err *err)
{
    static const uint64_t zero;
    enum sck_code rc = sck_file_create(path, &zero, sizeof zero, 0644, err);
    if (rc == SCK_E_EXISTS) {
        sck_err_clear(err);
        rc = SCK_OK;
    }
    return rc;
}

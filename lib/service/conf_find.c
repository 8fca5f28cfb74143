/* SPDX-License-Identifier: MIT */
#include "lib/service/conf.h"

#include "lib/base/file.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* "$XDG_STATE_HOME/scopekey" or "~/.local/state/scopekey" (XDG base directories 0.8); NULL when there is no home. */
static char *
user_home(void)
{
    const char *state = secure_getenv("XDG_STATE_HOME");
    if (state != NULL && state[0] == '/')
        return sck_path_join(state, "scopekey");
    const char *home = secure_getenv("HOME");
    if (home == NULL || home[0] != '/') {
        const struct passwd *pw = getpwuid(geteuid());
        home = pw != NULL ? pw->pw_dir : NULL;
    }
    return home != NULL ? sck_path_join(home, ".local/state/scopekey") : NULL;
}

enum sck_code
sck_conf_default_home(char **home, struct sck_err *err)
{
    const char *env = secure_getenv("SCOPEKEY_HOME");
    *home = env != NULL && env[0] != '\0' ? strdup(env) : user_home();
    if (*home == NULL)
        return sck_fail(err, SCK_E_CONFIG, "there is no home directory: set SCOPEKEY_HOME to the set-up's directory");
    return SCK_OK;
}

static enum sck_code
give(const char *path, char **out, struct sck_err *err)
{
    *out = strdup(path);
    return *out != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
}

static bool
take_if_there(char *candidate, char **out)
{
    if (candidate != NULL && access(candidate, F_OK) == 0) {
        *out = candidate;
        return true;
    }
    free(candidate);
    return false;
}

enum sck_code
sck_conf_find(const char *given, char **path, struct sck_err *err)
{
    *path = NULL;
    if (given != NULL)
        return give(given, path, err);
    const char *conf = secure_getenv("SCOPEKEY_CONF");
    if (conf != NULL && conf[0] != '\0')
        return give(conf, path, err);
    const char *home = secure_getenv("SCOPEKEY_HOME");
    if (home != NULL && home[0] != '\0') {
        if (take_if_there(sck_path_join(home, "scopekey.conf"), path))
            return SCK_OK;
        return sck_fail(err, SCK_E_CONFIG, "there is no set-up in %s: run `scopekey init` or correct SCOPEKEY_HOME",
                        home);
    }
    if (getauxval(AT_SECURE) == 0) {
        char *user = user_home();
        bool found = user != NULL && take_if_there(sck_path_join(user, "scopekey.conf"), path);
        free(user);
        if (found)
            return SCK_OK;
    }
    if (take_if_there(strdup(SCK_SYSCONFDIR "/scopekey/scopekey.conf"), path))
        return SCK_OK;
    return sck_fail(err, SCK_E_CONFIG, "there is no set-up yet: run `scopekey init`, or set SCOPEKEY_HOME to one");
}

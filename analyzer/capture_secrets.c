/*
 * Secrets that a capture file brings along. They are wiped when they are given away.
 */
#include "capture_secrets.h"

#include <openssl/crypto.h>
#include <string.h>

enum { WAITING_MAX = 16 << 20 };

void capture_secrets_add(struct capture_secrets *secrets, const char *text, size_t len)
{
    if (secrets->take != NULL) {
        secrets->take(secrets->arg, text, len);
        return;
    }
    size_t old = secrets->waiting_len;
    if (len > WAITING_MAX - 1 - old)
        return;
    char *grown = OPENSSL_clear_realloc(secrets->waiting, old, old + len + 1);
    if (grown == NULL)
        return;
    memcpy(grown + old, text, len);
    grown[old + len] = '\n'; /* the last line of a block may have no end */
    secrets->waiting = grown;
    secrets->waiting_len = old + len + 1;
}

void capture_secrets_to(struct capture_secrets *secrets,
                        void (*take)(void *arg, const char *text, size_t len), void *arg)
{
    secrets->take = take;
    secrets->arg = arg;
    if (secrets->waiting != NULL && take != NULL)
        take(arg, secrets->waiting, secrets->waiting_len);
    OPENSSL_clear_free(secrets->waiting, secrets->waiting_len);
    secrets->waiting = NULL;
    secrets->waiting_len = 0;
}

void capture_secrets_release(struct capture_secrets *secrets)
{
    capture_secrets_to(secrets, NULL, NULL);
}

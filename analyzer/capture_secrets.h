/*
 * TLS key logs inside capture files (pcapng Decryption Secrets Blocks), handed on as they are met.
 * What comes before somebody wants them is kept until then. Private to capture.
 */
#ifndef SWITCHTAP_CAPTURE_SECRETS_H
#define SWITCHTAP_CAPTURE_SECRETS_H

#include <stddef.h>

struct capture_secrets { /* zeroed: empty */
    void (*take)(void *arg, const char *text, size_t len);
    void *arg;
    char *waiting;
    size_t waiting_len;
};

/* Copies text where nobody takes it yet. */
void capture_secrets_add(struct capture_secrets *secrets, const char *text, size_t len);
void capture_secrets_to(struct capture_secrets *secrets,
                        void (*take)(void *arg, const char *text, size_t len), void *arg);
void capture_secrets_release(struct capture_secrets *secrets);

#endif

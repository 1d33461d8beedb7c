/*
 * Records of TLS 1.3 (RFC 8446 5.2, 7.1, 7.3), sealed by libcrypto.
 */
#include "seal.h"

#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* HKDF-Expand-Label without a context; a single round of HKDF is enough for 32 bytes. */
static void expand(const uint8_t secret[32], const char *label, uint8_t *out, size_t len)
{
    uint8_t info[64], digest[32];
    size_t n = 0, label_len = strlen(label);
    info[n++] = 0;
    info[n++] = (uint8_t)len;
    info[n++] = (uint8_t)(6 + label_len);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_len);
    n += 6 + label_len;
    info[n++] = 0;
    info[n++] = 1;
    HMAC(EVP_sha256(), secret, 32, info, n, digest, NULL);
    memcpy(out, digest, len);
}

static void hex(FILE *out, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%02x", data[i]);
}

void seal_begin(struct seal *seal, const uint8_t random[32], const char *label, FILE *keylog)
{
    uint8_t secret[32], key[16];
    HMAC(EVP_sha256(), random, 32, (const uint8_t *)label, strlen(label), secret, NULL);
    fprintf(keylog, "%s ", label);
    hex(keylog, random, 32);
    fputc(' ', keylog);
    hex(keylog, secret, sizeof secret);
    fputc('\n', keylog);
    expand(secret, "key", key, sizeof key);
    expand(secret, "iv", seal->iv, sizeof seal->iv);
    seal->number = 0;
    if (seal->cipher == NULL)
        seal->cipher = EVP_CIPHER_CTX_new();
    if (EVP_EncryptInit_ex(seal->cipher, EVP_aes_128_gcm(), NULL, key, NULL) <= 0)
        abort();
}

size_t seal_record(struct seal *seal, uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t nonce[12];
    int done;
    size_t sealed = len + 1 + 16;
    memcpy(nonce, seal->iv, sizeof nonce);
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(seal->number >> (56 - 8 * i));
    seal->number++;
    out[0] = 23;
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(sealed >> 8);
    out[4] = (uint8_t)sealed;
    if (EVP_EncryptInit_ex(seal->cipher, NULL, NULL, NULL, nonce) <= 0 ||
        EVP_EncryptUpdate(seal->cipher, NULL, &done, out, 5) <= 0 ||
        EVP_EncryptUpdate(seal->cipher, out + 5, &done, data, (int)len) <= 0 ||
        EVP_EncryptUpdate(seal->cipher, out + 5 + len, &done, &type, 1) <= 0 ||
        EVP_EncryptFinal_ex(seal->cipher, out + 5 + len + 1, &done) <= 0 ||
        EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_GET_TAG, 16, out + 5 + len + 1) <= 0)
        abort();
    return 5 + sealed;
}

void seal_end(struct seal *seal)
{
    EVP_CIPHER_CTX_free(seal->cipher);
    seal->cipher = NULL;
}

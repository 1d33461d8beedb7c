/*
 * TLS with keys: whoever has them may have sealed anything. Hellos of ours with chosen extensions,
 * sealed records of any inner type, padding and content, altered ones, new epochs at any time, raw
 * bytes, gaps; and key logs that are partly, or wholly, somebody's text.
 *
 * Input: flags of a play, suite, what the key log says (1: no lines of ours, 2: a text follows, in
 * front of them: its length (2) and bytes); then steps: a byte (1: side; kind: bits 1 to 3), a
 * length (2), and what the kind wants.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/tls_cipher.h"
#include "fuzz.h"
#include "play.h"

enum { RECORD_MOST = 16384 + 256, EXTRA = 5 + 8 + 1 + 255 + 16, HELLO_MOST = 8192 };
enum {
    KIND_RAW,
    KIND_SEALED,
    KIND_ALTERED,
    KIND_HELLO,
    KIND_EPOCH,
    KIND_GAP,
    KIND_EOF,
    KIND_REPEAT
};
enum { LOG_WITHOUT = 1, LOG_TEXT = 2 };

static const struct {
    uint16_t number, version;
    const char *cipher;
} suites[] = {
    {0x1301, 0x0304, "AES-128-GCM"},
    {0x1302, 0x0304, "AES-256-GCM"},
    {0x1303, 0x0304, "ChaCha20-Poly1305"},
    {0xc02f, 0x0303, "AES-128-GCM"},
};

enum { SUITES = sizeof suites / sizeof suites[0] };

static const char *const labels[2][3] = {
    {"CLIENT_EARLY_TRAFFIC_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"},
    {"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
     "SERVER_TRAFFIC_SECRET_0"},
};

struct sealer {
    uint8_t secret[TLS_SECRET_MAX], key[TLS_KEY_MAX], iv[12];
    uint64_t number;
};

struct talk {
    struct play play;
    struct tls_suite suite;
    size_t chosen;
    struct sealer sealer[2];
    EVP_CIPHER_CTX *context;
    EVP_CIPHER *cipher;
};

static const uint8_t randoms[2][TLS_RANDOM_SIZE] = {"a random of the client, 32 bytes",
                                                    "a random of the server, 32 bytes"};

static void secret_of(const char *label, uint8_t secret[TLS_SECRET_MAX])
{
    for (size_t i = 0; i < TLS_SECRET_MAX; i++)
        secret[i] = (uint8_t)(label[i % strlen(label)] + (int)i);
}

/* --- keys --- */

static void key_13(struct talk *t, struct sealer *s)
{
    s->number = 0;
    if (tls_expand_label(&t->suite, s->secret, "key", s->key, t->suite.key_len) != 0 ||
        tls_expand_label(&t->suite, s->secret, "iv", s->iv, sizeof s->iv) != 0)
        abort();
}

/* RFC 5246 6.3: both keys, both fixed parts of the nonces. */
static void keys_12(struct talk *t)
{
    uint8_t block[40], master[TLS_SECRET_MAX], seed[13 + 2 * TLS_RANDOM_SIZE];
    char digest[] = "SHA256";
    secret_of("CLIENT_RANDOM", master);
    memcpy(seed, "key expansion", 13);
    memcpy(seed + 13, randoms[SERVER], TLS_RANDOM_SIZE);
    memcpy(seed + 13 + TLS_RANDOM_SIZE, randoms[CLIENT], TLS_RANDOM_SIZE);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end()};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    if (EVP_KDF_derive(context, block, sizeof block, params) <= 0)
        abort();
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    for (size_t side = 0; side < 2; side++) {
        memcpy(t->sealer[side].key, block + 16 * side, 16);
        memcpy(t->sealer[side].iv, block + 32 + 4 * side, 4);
        t->sealer[side].number = 0;
    }
}

static void epoch(struct talk *t, enum side side, unsigned which)
{
    struct sealer *s = &t->sealer[side];
    if (suites[t->chosen].version < 0x0304) {
        s->number = 0;
        return;
    }
    if (which % 4 == 3) {
        if (tls_next_secret(&t->suite, s->secret) != 0)
            abort();
    } else {
        secret_of(labels[side][which % 4], s->secret);
    }
    key_13(t, s);
}

/* --- records --- */

static size_t head(uint8_t *out, uint8_t type, size_t len)
{
    out[0] = type;
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
    return 5;
}

static void put_number(uint8_t *out, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (uint8_t)number;
}

static size_t encrypt(struct talk *t, const struct sealer *s, const uint8_t nonce[12],
                      const uint8_t *aad, size_t aad_len, uint8_t *data, size_t len)
{
    int done = 0;
    if (EVP_EncryptInit_ex2(t->context, t->cipher, s->key, nonce, NULL) <= 0 ||
        EVP_EncryptUpdate(t->context, NULL, &done, aad, (int)aad_len) <= 0 ||
        (len > 0 && EVP_EncryptUpdate(t->context, data, &done, data, (int)len) <= 0) ||
        EVP_EncryptFinal_ex(t->context, data + len, &done) <= 0 ||
        EVP_CIPHER_CTX_ctrl(t->context, EVP_CTRL_AEAD_GET_TAG, 16, data + len) <= 0)
        abort();
    return len + 16;
}

/* Seals bytes into out; returns the length of the record. */
static size_t seal(struct talk *t, enum side side, uint8_t type, uint8_t pad, const uint8_t *data,
                   size_t len, uint8_t *out)
{
    struct sealer *s = &t->sealer[side];
    uint8_t nonce[12], aad[13];
    if (suites[t->chosen].version < 0x0304) {
        head(out, type, len + 8 + 16);
        put_number(aad, s->number);
        head(aad + 8, type, len);
        memcpy(nonce, s->iv, 4);
        put_number(nonce + 4, s->number);
        put_number(out + 5, s->number++);
        if (len > 0)
            memcpy(out + 13, data, len);
        return 13 + encrypt(t, s, nonce, aad, 13, out + 13, len);
    }
    if (len > 0)
        memcpy(out + 5, data, len);
    out[5 + len] = type;
    memset(out + 6 + len, 0, pad);
    size_t inner = len + 1 + pad;
    head(out, 23, inner + 16);
    put_number(nonce + 4, s->number++);
    memset(nonce, 0, 4);
    for (size_t i = 0; i < 12; i++)
        nonce[i] ^= s->iv[i];
    return 5 + encrypt(t, s, nonce, out, 5, out + 5, inner);
}

/* A hello that chooses or offers the suite, with these extensions behind those that it needs. */
static size_t hello(const struct talk *t, enum side side, const uint8_t *more, size_t len,
                    uint8_t *out)
{
    int new = suites[t->chosen].version >= 0x0304;
    uint8_t body[HELLO_MOST];
    size_t n = 4, at;
    body[n++] = 3, body[n++] = 3;
    memcpy(body + n, randoms[side], TLS_RANDOM_SIZE);
    n += TLS_RANDOM_SIZE;
    body[n++] = 0;
    if (side == CLIENT)
        body[n++] = 0, body[n++] = 2;
    body[n++] = (uint8_t)(suites[t->chosen].number >> 8);
    body[n++] = (uint8_t)suites[t->chosen].number;
    if (side == CLIENT)
        body[n++] = 1;
    body[n++] = 0;
    at = n;
    n += 2;
    static const uint8_t versions[2][7] = {{0, 43, 0, 3, 2, 3, 4}, {0, 43, 0, 2, 3, 4, 0}};
    if (new) {
        memcpy(body + n, versions[side], 7);
        n += side == CLIENT ? 7 : 6;
    }
    if (len > HELLO_MOST - n - 8)
        len = HELLO_MOST - n - 8;
    if (len > 0)
        memcpy(body + n, more, len);
    n += len;
    body[at] = (uint8_t)((n - at - 2) >> 8), body[at + 1] = (uint8_t)(n - at - 2);
    body[0] = side == CLIENT ? 1 : 2;
    body[1] = 0, body[2] = (uint8_t)((n - 4) >> 8), body[3] = (uint8_t)(n - 4);
    head(out, 22, n);
    memcpy(out + 5, body, n);
    return 5 + n;
}

static void step(struct talk *t, struct fuzz_input *in)
{
    static uint8_t out[2 * (RECORD_MOST + EXTRA)];
    uint8_t what = fuzz_u8(in);
    enum side side = (what & 1) != 0 ? SERVER : CLIENT;
    unsigned kind = what >> 1 & 7;
    size_t len = fuzz_u16(in), made;
    const uint8_t *bytes;
    uint8_t type;
    switch (kind) {
    case KIND_RAW:
        bytes = fuzz_bytes(in, &len);
        play_data(&t->play, side, PLAY_ACK_ALL, bytes, len);
        break;
    case KIND_SEALED:
    case KIND_ALTERED:
    case KIND_REPEAT:
        type = fuzz_u8(in);
        if (kind == KIND_REPEAT) { /* the same small message many times, as in a flood */
            uint8_t times = fuzz_u8(in);
            len &= 63;
            bytes = fuzz_bytes(in, &len);
            for (unsigned i = 0; i < times; i++) {
                made = seal(t, side, type, 0, bytes, len, out);
                play_data(&t->play, side, PLAY_ACK_ALL, out, made);
                if (suites[t->chosen].version >= 0x0304 && (what & 16) != 0)
                    epoch(t, side, 3);
            }
            break;
        }
        if (len > RECORD_MOST)
            len = RECORD_MOST;
        bytes = fuzz_bytes(in, &len);
        made = seal(t, side, type, what >> 4, bytes, len, out);
        if (kind == KIND_ALTERED)
            out[made - 1] ^= 1;
        play_data(&t->play, side, PLAY_ACK_ALL, out, made);
        break;
    case KIND_HELLO:
        bytes = fuzz_bytes(in, &len);
        made = hello(t, side, bytes, len, out);
        play_data(&t->play, side, PLAY_ACK_ALL, out, made);
        break;
    case KIND_EPOCH:
        epoch(t, side, (unsigned)len);
        break;
    case KIND_GAP:
        play_gap(&t->play, side, PLAY_ACK_ALL, len);
        break;
    default:
        play_eof(&t->play, side, PLAY_ACK_ALL);
        break;
    }
}

/* --- the key log --- */

static void log_line(const struct talk *t, struct tls_keys *keys, const char *label)
{
    char line[256];
    uint8_t secret[TLS_SECRET_MAX];
    size_t len = strcmp(label, "CLIENT_RANDOM") == 0 ? TLS_SECRET_MAX : t->suite.hash_len;
    secret_of(label, secret);
    int at = snprintf(line, sizeof line, "%s ", label);
    for (size_t i = 0; i < TLS_RANDOM_SIZE; i++)
        at += snprintf(line + at, sizeof line - (size_t)at, "%02x", randoms[CLIENT][i]);
    line[at++] = ' ';
    for (size_t i = 0; i < len; i++)
        at += snprintf(line + at, sizeof line - (size_t)at, "%02x", secret[i]);
    line[at++] = '\n';
    tls_keys_text(keys, line, (size_t)at);
}

static void log_keys(const struct talk *t, struct tls_keys *keys, struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);
    if ((what & LOG_TEXT) != 0) {
        size_t len = fuzz_u16(in);
        const uint8_t *text = fuzz_bytes(in, &len);
        uint8_t *copy = fuzz_copy(text, len);
        tls_keys_text(keys, (const char *)copy, len);
        free(copy);
    }
    if ((what & LOG_WITHOUT) != 0)
        return;
    log_line(t, keys, "CLIENT_RANDOM");
    for (size_t i = 0; i < 3; i++)
        for (size_t side = 0; side < 2; side++)
            if (i > 0 || side == CLIENT)
                log_line(t, keys, labels[side][i]);
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    static struct talk t;
    struct fuzz_input in = {data, size};
    struct budget budget;
    (void)variant;
    unsigned flags = fuzz_u8(&in) & ~(unsigned)PLAY_MIDSTREAM;
    memset(&t.sealer, 0, sizeof t.sealer);
    t.chosen = fuzz_u8(&in) % SUITES;
    if (tls_suite_of(suites[t.chosen].number, suites[t.chosen].version, &t.suite) != 0)
        abort();
    budget_init(&budget, 64u << 20, NULL);
    struct tls_keys *keys = tls_keys_new(&budget, 64);
    log_keys(&t, keys, &in);
    t.context = EVP_CIPHER_CTX_new();
    t.cipher = EVP_CIPHER_fetch(NULL, suites[t.chosen].cipher, NULL);
    if (suites[t.chosen].version < 0x0304)
        keys_12(&t);
    else
        for (int side = 0; side < 2; side++)
            epoch(&t, (enum side)side, 1);
    play_begin(&t.play, flags & ~(unsigned)PLAY_FAILING, 0, keys);
    while (in.left >= 3 && t.play.packet < PLAY_STEPS)
        step(&t, &in);
    play_end(&t.play);
    EVP_CIPHER_CTX_free(t.context);
    EVP_CIPHER_free(t.cipher);
    tls_keys_free(keys);
    if (budget.used != 0)
        fuzz_broken("the keys' memory was not given back");
}

const struct fuzz_target fuzz_tls = {"tls", NULL, run};

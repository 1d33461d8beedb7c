/*
 * Which key is in force (RFC 8446 2, 4.6.3, 5, 7.1; RFC 5246 6.1, 7.3), the secrets of a key log
 * looked up and waited for, and what is done with the content of records: handshake messages and
 * alerts are read as in the clear, application data is carried to the next layer, by ALPN or by its
 * bytes. In TLS 1.3 the client's records are read once the server's answer to its hello was: that
 * says what becomes of early data, and what is spoken.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "reader.h"
#include "tls_flow.h"
#include "tls_resync.h"

static struct tls_crypt_side *crypt_side(const struct tls *t, enum side side)
{
    return &t->crypt->side[side];
}

static int is_13(const struct tls *t)
{
    return tls_is_13(t->version);
}

/* --- beginning and end --- */

int tls_decrypting(const struct tls *t)
{
    return t->crypt != NULL && t->crypt->why == NULL;
}

int tls_decrypted(const struct tls *t)
{
    return t->crypt != NULL && (t->crypt->side[CLIENT].opened || t->crypt->side[SERVER].opened);
}

const char *tls_decrypt_why(const struct tls *t)
{
    const struct tls_crypt *c = t->crypt;
    if (c != NULL && c->why == NULL && (c->side[CLIENT].keyed || c->side[SERVER].keyed) &&
        !tls_decrypted(t))
        return "keys do not fit";
    if (c != NULL)
        return c->why;
    return tls_keys_any(layer_options(t->layer)->keys) ? "handshake not captured" : NULL;
}

void tls_decrypt_stop(struct tls *t, const char *why)
{
    if (t->crypt != NULL && t->crypt->why == NULL)
        t->crypt->why = why;
}

static void keep_random(struct tls_params *params, enum side side, struct text random)
{
    if (random.len == TLS_RANDOM_SIZE)
        memcpy(params->randoms + (side == SERVER ? TLS_RANDOM_SIZE : 0), random.data, random.len);
}

void tls_decrypt_client_hello(struct tls *t, const struct tls_hello *hello)
{
    if (t->crypt == NULL && t->hellos[SERVER] == 0 &&
        tls_keys_any(layer_options(t->layer)->keys)) {
        t->crypt = budget_alloc(layer_budget(t->layer), sizeof *t->crypt);
        if (t->crypt == NULL)
            layer_limit(t->layer, "flow-memory", layer_budget(t->layer)->limit);
    }
    if (t->crypt == NULL)
        return;
    t->crypt->early = (uint8_t)(hello->early != 0);
    keep_random(&t->crypt->next, CLIENT, hello->random);
}

void tls_decrypt_server_hello(struct tls *t, const struct tls_hello *hello)
{
    struct tls_crypt *c = t->crypt;
    if (c == NULL)
        return;
    struct tls_params *next = &c->next;
    next->version = hello->version;
    next->encrypt_then_mac = (uint8_t)(hello->encrypt_then_mac != 0);
    keep_random(next, SERVER, hello->random);
    if (tls_suite_of(hello->cipher, hello->version, &next->suite) != 0) {
        tls_decrypt_stop(t, "cipher not supported");
        return;
    }
    if (hello->compressed) {
        tls_decrypt_stop(t, "compression not supported");
        return;
    }
    c->agreed = 1;
    for (int side = CLIENT; side <= SERVER && is_13(t); side++) {
        crypt_side(t, (enum side)side)->epoch =
            side == CLIENT && c->early && !t->retry ? TLS_EPOCH_EARLY : TLS_EPOCH_HANDSHAKE;
        crypt_side(t, (enum side)side)->params = *next;
    }
    if (!is_13(t))
        c->answered = 1;
}

void tls_decrypt_free(struct tls *t)
{
    if (t->crypt == NULL)
        return;
    tls_opener_release(&t->crypt->side[CLIENT].opener);
    tls_opener_release(&t->crypt->side[SERVER].opener);
    OPENSSL_cleanse(t->crypt, sizeof *t->crypt);
    budget_free(layer_budget(t->layer), t->crypt);
    t->crypt = NULL;
}

/* --- keys --- */

void tls_decrypt_change(struct tls *t, enum side side)
{
    if (!tls_decrypting(t) || is_13(t))
        return;
    struct tls_crypt_side *s = crypt_side(t, side);
    s->params = t->crypt->next;
    s->keyed = 0;
    s->number = 0;
}

static enum tls_label label_of(enum side side, uint8_t epoch)
{
    static const enum tls_label labels[2][3] = {
        {TLS_CLIENT_EARLY, TLS_CLIENT_HANDSHAKE, TLS_CLIENT_TRAFFIC},
        {TLS_CLIENT_EARLY, TLS_SERVER_HANDSHAKE, TLS_SERVER_TRAFFIC}};
    return labels[side][epoch];
}

static int key_13(struct tls *t, enum side side, struct tls_crypt_side *s)
{
    const struct tls_suite *suite = &s->params.suite;
    size_t len = tls_keys_find(layer_options(t->layer)->keys, label_of(side, s->epoch),
                               s->params.randoms, s->secret);
    return len == suite->hash_len && tls_opener_13(&s->opener, suite, s->secret) == 0;
}

static int key_12(struct tls *t, enum side side, struct tls_crypt_side *s)
{
    const struct tls_params *p = &s->params;
    uint8_t master[TLS_SECRET_MAX];
    size_t len = tls_keys_find(layer_options(t->layer)->keys, TLS_MASTER_SECRET, p->randoms,
                               master);
    int good = len == TLS_SECRET_MAX &&
               tls_opener_12(&s->opener, &p->suite, p->version, p->encrypt_then_mac, master,
                             p->randoms, side == SERVER) == 0;
    OPENSSL_cleanse(master, sizeof master);
    return good;
}

int tls_decrypt_key(struct tls *t, enum side side, struct tls_crypt_side *s)
{
    return is_13(t) ? key_13(t, side, s) : key_12(t, side, s);
}

static int set_key(struct tls *t, enum side side)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    s->keyed = (uint8_t)tls_decrypt_key(t, side, s);
    s->number = 0;
    if (s->keyed || !is_13(t) || s->epoch != TLS_EPOCH_HANDSHAKE || s->opened)
        return s->keyed;
    s->epoch = TLS_EPOCH_TRAFFIC; /* some key logs have these alone */
    s->keyed = (uint8_t)tls_decrypt_key(t, side, s);
    s->skips = s->keyed;
    s->epoch = s->keyed ? TLS_EPOCH_TRAFFIC : TLS_EPOCH_HANDSHAKE;
    if (s->keyed && side == SERVER)
        t->crypt->answered = 1;
    return s->keyed;
}

static void enter_epoch(struct tls *t, enum side side, uint8_t epoch)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    s->epoch = epoch;
    s->keyed = 0;
    s->number = 0;
}

static void next_generation(struct tls *t, enum side side)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    const struct tls_suite *suite = &s->params.suite;
    if (tls_next_secret(suite, s->secret) != 0 ||
        tls_opener_13(&s->opener, suite, s->secret) != 0)
        tls_decrypt_stop(t, "key update failed");
    s->number = 0;
}

/* --- messages --- */

int tls_decrypt_wants(const struct tls *t, enum side side, uint8_t type)
{
    if (!tls_decrypting(t) || !t->crypt->agreed)
        return 0;
    if (is_13(t))
        return side == SERVER && type == TLS_ENCRYPTED_EXTENSIONS;
    return type == (side == CLIENT ? TLS_CLIENT_HELLO : TLS_SERVER_HELLO);
}

static void take_encrypted_extensions(struct tls *t, const uint8_t *body, size_t len)
{
    struct tls_hello hello;
    struct text alpn;
    if (tls_encrypted_extensions(body, len, &hello) != 0)
        return;
    if (tls_alpn_next(&hello.alpn, &alpn) && t->alpn.data == NULL)
        t->alpn = tls_text_keep(t, alpn, TLS_ALPN_MAX);
    if (t->crypt->early && hello.early)
        t->crypt->early = 2;
    if (t->crypt->early == 1) /* refused, or the server knows nothing of it */
        enter_epoch(t, CLIENT, TLS_EPOCH_HANDSHAKE);
}

static void message_13(struct tls *t, enum side side, uint8_t type, const uint8_t *body, size_t len)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    switch (type) {
    case TLS_ENCRYPTED_EXTENSIONS:
        if (side == SERVER && body != NULL && !t->crypt->answered)
            take_encrypted_extensions(t, body, len);
        t->crypt->answered |= side == SERVER;
        break;
    case TLS_END_OF_EARLY_DATA:
        if (side == CLIENT && s->epoch == TLS_EPOCH_EARLY)
            enter_epoch(t, side, TLS_EPOCH_HANDSHAKE);
        break;
    case TLS_FINISHED: /* later ones belong to an authentication behind the handshake */
        if (s->epoch == TLS_EPOCH_HANDSHAKE)
            enter_epoch(t, side, TLS_EPOCH_TRAFFIC);
        break;
    case TLS_KEY_UPDATE:
        if (s->epoch == TLS_EPOCH_TRAFFIC)
            next_generation(t, side);
        break;
    default:
        break;
    }
}

/* A handshake inside the connection: its hellos are for the next ChangeCipherSpec. */
static void renegotiate(struct tls *t, enum side side, const uint8_t *body, size_t len)
{
    struct tls_hello hello;
    if (side == CLIENT && tls_client_hello(body, len, &hello) == 0) {
        tls_decrypt_client_hello(t, &hello);
        if (t->hellos[CLIENT] < UINT8_MAX)
            t->hellos[CLIENT]++;
    } else if (side == SERVER && tls_server_hello(body, len, &hello) == 0) {
        tls_decrypt_server_hello(t, &hello);
        if (t->hellos[SERVER] < UINT8_MAX)
            t->hellos[SERVER]++;
    }
}

void tls_decrypt_message(struct tls *t, enum side side, uint8_t type, const uint8_t *body,
                         size_t len)
{
    if (!tls_decrypting(t) || !crypt_side(t, side)->keyed)
        return;
    if (is_13(t))
        message_13(t, side, type, body, len);
    else if (body != NULL)
        renegotiate(t, side, body, len);
}

/* --- content --- */

/* Nobody wants more: nothing more is decrypted. */
static void end_carrying(struct tls *t)
{
    t->crypt->unwanted = 1;
    t->side[CLIENT].over = t->side[SERVER].over = 1;
}

/* 1: there is a carried layer. */
static int begin_carrying(struct tls *t)
{
    struct tls_crypt *c = t->crypt;
    struct tls_room room;
    struct hint hint = {"tls", tls_version_name(t->version, &room)};
    struct handover handover = {.table = "tls.alpn", .token = tls_text_of(&t->alpn),
                                .hints = &hint, .hint_count = 1};
    if (!c->carrying && layer_carry_open(t->layer, 0, &handover) != 0)
        end_carrying(t);
    c->carrying = 1;
    return !c->unwanted;
}

static void carry(struct tls *t, enum side side, const struct slice *slice)
{
    const struct tls_record *record = &t->side[side].record;
    if (slice->len > 0 && begin_carrying(t) &&
        !layer_carry(t->layer, 0, side, slice, record->offset,
                     TLS_RECORD_HEAD + (uint64_t)record->length))
        end_carrying(t);
}

/* Bytes of the carried stream that cannot be shown. */
static void carry_gap(struct tls *t, enum side side, uint64_t len)
{
    if (len > 0 && begin_carrying(t))
        layer_carry_gap(t->layer, 0, side, len);
}

static void end_carried(struct tls *t, enum side side)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    if (!s->ended && t->crypt->carrying)
        layer_carry_eof(t->layer, 0, side);
    s->ended = 1;
}

static void take_alert(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    struct tls_side *s = &t->side[side];
    uint8_t level = reader_u8(&r), code = reader_u8(&r);
    if (r.failed || (level != 1 && level != 2))
        return;
    if (code == 0) { /* close_notify: nothing is behind it */
        end_carried(t, side);
        return;
    }
    if (s->alert.level == 0 || level > s->alert.level)
        s->alert = (struct tls_alert){level, code};
}

static void take_content(struct tls *t, enum side side, uint8_t type, const struct slice *slice)
{
    struct tls_side *s = &t->side[side];
    if (type != TLS_HANDSHAKE && s->message.head_len > 0)
        tls_drop_message(t, side);
    switch (type) {
    case TLS_HANDSHAKE:
        tls_feed_handshake(t, side, slice->data, slice->len);
        break;
    case TLS_ALERT:
        take_alert(t, side, slice->data, slice->len);
        break;
    case TLS_CHANGE_CIPHER_SPEC:
        tls_decrypt_change(t, side);
        break;
    case TLS_APPLICATION_DATA:
        t->data |= slice->len > 0;
        if (!crypt_side(t, side)->ended)
            carry(t, side, slice);
        break;
    default:
        break;
    }
}

/* --- records --- */

/* Has the server said what the client's sealed records depend on, or will it never? */
static int answered(const struct tls *t)
{
    return t->crypt->answered || t->side[SERVER].over || layer_ended(t->layer, SERVER);
}

enum tls_way tls_decrypt_way(struct tls *t, enum side side)
{
    const struct tls_side *s = &t->side[side];
    uint8_t type = s->record.type;
    if (!tls_decrypting(t))
        return TLS_WAY_CLEAR;
    int wait = side == CLIENT && !answered(t);
    if (t->hellos[SERVER] == 0) {
        if (side == SERVER || (type != TLS_APPLICATION_DATA && !s->sealed) ||
            (t->retry && type != TLS_APPLICATION_DATA))
            return TLS_WAY_CLEAR;
    } else if (is_13(t) ? type != TLS_APPLICATION_DATA : !s->sealed) {
        return TLS_WAY_CLEAR;
    }
    crypt_side(t, side)->parked = wait ? TLS_PARKED_PEER : TLS_PARKED_NOT;
    if (wait)
        return TLS_WAY_WAIT;
    return t->hellos[SERVER] == 0 ? TLS_WAY_CLEAR : TLS_WAY_SEALED;
}

/* The time of the newest packet of either side. */
static int64_t newest_ns(const struct tls *t)
{
    int64_t client = layer_mark(t->layer, CLIENT, UINT64_MAX).time_ns;
    int64_t server = layer_mark(t->layer, SERVER, UINT64_MAX).time_ns;
    return client > server ? client : server;
}

/* May the record at hand wait any longer? */
static int may_wait(const struct tls *t, enum side side)
{
    const struct dissect_options *options = layer_options(t->layer);
    return !layer_last(t->layer) && options->keys_wait_ns > 0 &&
           newest_ns(t) - t->side[side].record.time_ns <= options->keys_wait_ns &&
           layer_held(t->layer, side) <= options->keys_hold;
}

/* Its secret is not there. 1: it may still come; 0: given up. */
static int park(struct tls *t, enum side side, enum tls_parked why)
{
    int for_key = why == TLS_PARKED_KEYS ||
                  crypt_side(t, side_peer(side))->parked == TLS_PARKED_KEYS;
    if (for_key && !may_wait(t, side)) {
        tls_decrypt_stop(t, "no keys");
        return 0;
    }
    crypt_side(t, side)->parked = (uint8_t)why;
    return 1;
}

/* What is carried is shown in the order in which it was sent: does the other side hold an earlier
 * record that could be read, or has to be waited for? */
static int peer_first(struct tls *t, enum side side)
{
    enum side peer = side_peer(side);
    const struct tls_crypt_side *p = crypt_side(t, peer);
    if (p->parked == TLS_PARKED_NOT || p->parked == TLS_PARKED_ORDER ||
        (p->parked == TLS_PARKED_PEER && !answered(t)))
        return 0;
    return t->side[peer].record.packet < t->side[side].record.packet;
}

static void report_bad(struct tls *t, enum side side)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    struct tls_room room;
    char evidence[160];
    if (s->reported)
        return;
    s->reported = 1;
    struct text suite = tls_cipher_name(t->cipher, &room);
    int len = snprintf(evidence, sizeof evidence, "a record of %lu bytes, number %llu under its "
                       "key (%.*s)", (unsigned long)t->side[side].record.length,
                       (unsigned long long)s->number, (int)suite.len, suite.data);
    tls_find_at(t, side, RULE_TLS_RECORD_BAD_MAC, &t->side[side].record,
                (struct text){evidence, (size_t)len});
}

static int is_proven(const struct tls *t)
{
    return t->crypt->side[CLIENT].opened || t->crypt->side[SERVER].opened;
}

/* May the record at hand be application data? */
static int holds_data(const struct tls *t, enum side side)
{
    return t->side[side].record.type == TLS_APPLICATION_DATA &&
           !(is_13(t) && crypt_side(t, side)->epoch == TLS_EPOCH_HANDSHAKE);
}

/* It is not authentic: what it may hold is lost to the carried layer. */
static void lose_record(struct tls *t, enum side side, size_t room)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    int refused = is_13(t) && side == CLIENT && t->crypt->early == 1; /* early data that was */
    if (!s->opened && (s->skips || (refused && s->epoch == TLS_EPOCH_HANDSHAKE)))
        return;
    if (!is_proven(t)) {
        tls_decrypt_stop(t, "keys do not fit");
        return;
    }
    report_bad(t, side);
    s->number++;
    if (holds_data(t, side))
        carry_gap(t, side, room);
}

static void opened(struct tls *t, enum side side, uint8_t type, const uint8_t *data, size_t len)
{
    struct slice slice = {.data = data, .len = len};
    crypt_side(t, side)->opened = 1;
    take_content(t, side, type, &slice);
}

/* The stream's bytes in front of the record at hand, as far as they held application data: what
 * `span` bytes of sealed records lost to heads and tags is known, but not their padding. */
static void lose_span(struct tls *t, enum side side, uint64_t span, const struct tls_found *found)
{
    const struct tls_crypt_side *s = crypt_side(t, side);
    uint64_t extra = TLS_RECORD_HEAD + TLS_RECORD_MAX - tls_opener_room(&s->opener, TLS_RECORD_MAX);
    if (found->skipped > 0 && span > found->skipped * extra &&
        !(is_13(t) && s->epoch == TLS_EPOCH_HANDSHAKE))
        carry_gap(t, side, span - found->skipped * extra);
}

static void open_record(struct tls *t, enum side side, const struct tls_sealed *sealed,
                        uint8_t *out)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    struct tls_found found = {.type = sealed->type};
    found.len = tls_open_record(&s->opener, s->number, sealed, out, &found.type);
    if (found.len >= 0)
        s->number++;
    else if (s->unsure)
        (void)tls_resync_record(t, side, sealed, out, &found);
    tls_opener_pass(&s->opener, sealed);
    if (found.len < 0) {
        lose_record(t, side, tls_opener_room(&s->opener, sealed->len));
        return;
    }
    s->unsure = 0;
    opened(t, side, found.type, out, (size_t)found.len);
}

/* Room for what is in a record; NULL: decrypting ends. */
static uint8_t *take_room(struct tls *t, size_t len)
{
    uint8_t *out = tls_keys_lend(layer_options(t->layer)->keys, len);
    if (out == NULL) /* TLS inside TLS has it */
        out = budget_alloc(layer_budget(t->layer), len);
    if (out == NULL) {
        layer_limit(t->layer, "flow-memory", layer_budget(t->layer)->limit);
        tls_decrypt_stop(t, "memory limit");
    }
    return out;
}

static void give_room(struct tls *t, uint8_t *out)
{
    if (!tls_keys_return(layer_options(t->layer)->keys, out))
        budget_free(layer_budget(t->layer), out);
}

int tls_decrypt_record(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    const struct tls_record *record = &t->side[side].record;
    s->parked = TLS_PARKED_NOT;
    if (peer_first(t, side))
        return !park(t, side, TLS_PARKED_ORDER);
    if (!s->keyed && !set_key(t, side))
        return !park(t, side, TLS_PARKED_KEYS);
    struct tls_sealed sealed = {record->type, record->version, data, len};
    uint8_t *out = take_room(t, len);
    if (out != NULL)
        open_record(t, side, &sealed, out);
    give_room(t, out);
    return 1;
}

/* --- gaps --- */

void tls_decrypt_lost(struct tls *t, enum side side)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    size_t room = tls_opener_room(&s->opener, t->side[side].record.length);
    struct tls_sealed sealed = {.data = NULL};
    if (!tls_decrypting(t))
        return;
    if (side == SERVER && is_13(t))
        t->crypt->answered = 1;
    tls_drop_message(t, side);
    tls_opener_pass(&s->opener, &sealed);
    s->unsure = 1;
    s->number++;
    if (s->keyed && holds_data(t, side))
        carry_gap(t, side, room);
}

int tls_decrypt_gap(struct tls *t, enum side side, uint64_t offset)
{
    if (!tls_decrypting(t) || !t->crypt->agreed) {
        tls_decrypt_stop(t, "handshake not captured");
        return 0;
    }
    struct tls_crypt_side *s = crypt_side(t, side);
    if (!is_13(t) && !t->side[side].sealed) { /* perhaps it is, by now */
        t->side[side].sealed = 1;
        tls_decrypt_change(t, side);
    }
    if (side == SERVER)
        t->crypt->answered = 1;
    tls_drop_message(t, side);
    if (!s->seeking)
        s->lost_at = offset;
    s->seeking = s->unsure = 1;
    return 1;
}

int tls_decrypt_seeking(const struct tls *t, enum side side)
{
    return tls_decrypting(t) && crypt_side(t, side)->seeking;
}

int tls_decrypt_found(struct tls *t, enum side side, const struct tls_sealed *sealed,
                      uint64_t offset)
{
    struct tls_crypt_side *s = crypt_side(t, side);
    struct tls_found found;
    uint8_t *out = take_room(t, sealed->len);
    int good = out != NULL && tls_resync_record(t, side, sealed, out, &found);
    if (good) {
        s->seeking = s->unsure = 0;
        tls_opener_pass(&s->opener, sealed);
        lose_span(t, side, offset - s->lost_at, &found);
        opened(t, side, found.type, out, (size_t)found.len);
    }
    give_room(t, out);
    return good;
}

void tls_decrypt_eof(struct tls *t, enum side side)
{
    if (t->crypt != NULL)
        end_carried(t, side);
}

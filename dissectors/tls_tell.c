/*
 * What a TLS layer says at its end: its detail, whether what it carried could be read, and why its
 * handshake came to nothing.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "tls_flow.h"

/* --- detail --- */

static void add_alert(struct detail *detail, const char *name, const struct tls_alert *alert)
{
    struct tls_room room;
    if (alert->level != 0)
        detail_text(detail, name, tls_alert_name(alert->code, &room));
}

static struct text text_of(const char *string)
{
    return string != NULL && string[0] != '\0' ? (struct text){string, strlen(string)} : TEXT_NONE;
}

static void add_offered(struct detail *detail, struct text list)
{
    struct text name;
    if (list.len == 0)
        return;
    detail_list(detail, "alpn_offered");
    while (tls_alpn_next(&list, &name))
        detail_item(detail, name);
    detail_list_end(detail);
}

static void add_certificate(struct detail *detail, const struct tls_certificate *certificate)
{
    struct text list = tls_text_of(&certificate->names), name;
    if (list.len > 0) {
        detail_list(detail, "certificate_names");
        while (tls_alpn_next(&list, &name))
            detail_item(detail, name);
        detail_list_end(detail);
    }
    detail_text(detail, "certificate_issuer", tls_text_of(&certificate->issuer));
    detail_text(detail, "certificate_not_after", text_of(certificate->not_after));
}

static void tell_detail(const struct tls *t)
{
    struct detail detail = {.len = 0};
    struct tls_room room;
    const struct tls_side *client = &t->side[CLIENT], *server = &t->side[SERVER];
    if (t->hellos[SERVER] > 0)
        detail_text(&detail, "version", tls_version_name(t->version, &room));
    detail_text(&detail, "sni", tls_text_of(&t->sni));
    detail_text(&detail, "alpn", tls_text_of(&t->alpn));
    if (t->alpn.data == NULL && t->alpn_offered.data != NULL)
        add_offered(&detail, tls_text_of(&t->alpn_offered));
    if (t->hellos[SERVER] > 0)
        detail_text(&detail, "cipher", tls_cipher_name(t->cipher, &room));
    detail_text(&detail, "ja4", text_of(t->ja4));
    detail_text(&detail, "ja4s", text_of(t->ja4s));
    detail_text(&detail, "resumed", text_of(t->resumed));
    if (t->retry)
        detail_text(&detail, "hello_retry",
                    t->group != 0 ? tls_group_name(t->group, &room) : TEXT_LITERAL("cookie"));
    if (t->ssl2)
        detail_text(&detail, "client_hello", TEXT_LITERAL("SSLv2"));
    detail_text(&detail, "not_decrypted", text_of(tls_decrypt_why(t)));
    if (tls_decrypted(t) && t->crypt->why == NULL)
        detail_text(&detail, "decrypted", TEXT_LITERAL("yes"));
    add_certificate(&detail, &t->certificate);
    add_alert(&detail, "client_alert", &client->alert);
    add_alert(&detail, "server_alert", &server->alert);
    detail_text(&detail, "client_malformed", text_of(client->malformed));
    detail_text(&detail, "server_malformed", text_of(server->malformed));
    if ((client->midway || server->midway) && t->hellos[CLIENT] + t->hellos[SERVER] == 0)
        detail_number(&detail, "midstream", 1);
    struct text json = detail_json(&detail);
    if (json.data != NULL)
        layer_detail(t->layer, json);
}

/* --- handshakes that failed --- */

/* Does an alert say that the peer's certificate was not good enough (RFC 8446 6.2)? */
static int is_certificate(uint8_t code)
{
    return (code >= 42 && code <= 46) || code == 48 || code == 111 || code == 113 || code == 114;
}

/* What did `side` do when it sent this alert? */
static const char *deed(enum side side, uint8_t code)
{
    if (is_certificate(code))
        return side == CLIENT ? "the client refused the server's certificate"
                              : "the server refused the client's certificate";
    if (side == CLIENT)
        return "the client broke off the TLS handshake";
    return code == 116 ? "the server wants a certificate of the client"
                       : "the server refused the TLS handshake";
}

/* An alert that ends the connection before there was any data: its length. */
static size_t failure(const struct tls *t, char *out, size_t size)
{
    for (int side = CLIENT; side <= SERVER && !t->data; side++) {
        const struct tls_alert *alert = &t->side[side].alert;
        struct tls_room room;
        if (alert->level != 2)
            continue;
        struct text name = tls_alert_name(alert->code, &room);
        int len = snprintf(out, size, "%s (%.*s)", deed((enum side)side, alert->code),
                           (int)name.len, name.data);
        return (size_t)len;
    }
    return 0;
}

static enum protection protection(const struct tls *t)
{
    if (tls_decrypted(t) && t->crypt->why == NULL)
        return PROTECTION_OPENED;
    return tls_decrypt_why(t) != NULL ? PROTECTION_CLOSED : PROTECTION_SEALED;
}

void tls_tell(struct tls *t)
{
    char why[96];
    size_t len = failure(t, why, sizeof why);
    tell_detail(t);
    layer_protection(t->layer, protection(t), (struct text){why, len});
}

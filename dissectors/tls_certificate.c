/*
 * The server's certificate (RFC 5246 7.4.2, RFC 8446 4.4.2): for which names it is, who made it and
 * until when it is valid (RFC 5280 4.1, 4.2.1.6), read by libcrypto. Nothing is verified here.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "reader.h"
#include "tls_flow.h"

enum { NAMES_SIZE = 512, ISSUER_SIZE = 160 };

struct names { /* length, name each */
    char data[NAMES_SIZE];
    size_t len;
};

static void add_name(struct names *names, const char *name, size_t len)
{
    if (len == 0 || len > TLS_NAME_MAX || len + 1 > sizeof names->data - names->len)
        return;
    names->data[names->len] = (char)len;
    memcpy(names->data + names->len + 1, name, len);
    names->len += len + 1;
}

static void add_address(struct names *names, const ASN1_OCTET_STRING *address)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(address);
    if ((len == 4 || len == 16) && inet_ntop(len == 4 ? AF_INET : AF_INET6,
                                             ASN1_STRING_get0_data(address), text, sizeof text))
        add_name(names, text, strlen(text));
}

static void alternative_names(X509 *certificate, struct names *names)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        int type;
        const void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, i), &type);
        if (type == GEN_DNS)
            add_name(names, (const char *)ASN1_STRING_get0_data(value),
                     (size_t)ASN1_STRING_length(value));
        else if (type == GEN_IPADD)
            add_address(names, value);
    }
    GENERAL_NAMES_free(list);
}

static void common_name(X509 *certificate, struct names *names)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    add_name(names, (const char *)ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name));
}

static struct tls_text issuer_of(struct tls *t, X509 *certificate)
{
    char *text = NULL;
    struct tls_text issuer = {NULL, 0};
    BIO *out = BIO_new(BIO_s_mem());
    if (out != NULL && X509_NAME_print_ex(out, X509_get_issuer_name(certificate), 0,
                                          XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >
                           0) {
        long len = BIO_get_mem_data(out, &text);
        if (len > 0)
            issuer = tls_text_keep(t, (struct text){text, (size_t)len}, ISSUER_SIZE);
    }
    BIO_free(out);
    return issuer;
}

static void date_of(const ASN1_TIME *time, char out[TLS_DATE_SIZE])
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) <= 0 ||
        strftime(out, TLS_DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

/* The first entry of the list is the certificate of the sender itself. */
static X509 *first_of(const struct tls *t, const uint8_t *body, size_t len)
{
    struct reader r = reader_of(body, len);
    const uint8_t *der;
    if (tls_is_13(t->version))
        reader_skip(&r, reader_u8(&r)); /* the request's context */
    (void)reader_u24(&r);
    uint32_t der_len = reader_u24(&r);
    if (!reader_take(&r, der_len, &der) || der_len == 0)
        return NULL;
    return d2i_X509(NULL, &der, (long)der_len);
}

void tls_take_certificate(struct tls *t, const uint8_t *body, size_t len)
{
    struct tls_certificate *out = &t->certificate;
    struct names names = {.len = 0};
    if (out->names.data != NULL || out->issuer.data != NULL)
        return;
    X509 *certificate = first_of(t, body, len);
    if (certificate != NULL) {
        alternative_names(certificate, &names);
        if (names.len == 0)
            common_name(certificate, &names);
        if (names.len > 0)
            out->names = tls_text_keep(t, (struct text){names.data, names.len}, NAMES_SIZE);
        out->issuer = issuer_of(t, certificate);
        date_of(X509_get0_notAfter(certificate), out->not_after);
        X509_free(certificate);
    }
    ERR_clear_error(); /* what is not a certificate leaves errors behind */
}

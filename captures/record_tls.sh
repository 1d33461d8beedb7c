#!/usr/bin/env bash
# shellcheck disable=SC2154 # work, here and the versions are set by record.sh
# The recordings of record.sh (which reads this file) that are encrypted and have their keys beside
# them, those of throw-away certificates.

certificates() { # throw-away ones
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ec.key" \
        -out "$work/ec.pem" -days 3650 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        >/dev/null 2>&1
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/rsa.key" -out "$work/rsa.pem" \
        -days 3650 -subj /CN=localhost >/dev/null 2>&1
}

tls_wss() {
    npm_ws
    certificates
    start node "$here/programs/ws_page.js" 18111 "$work/ec.key" "$work/ec.pem"
    listening 18111
    sniff tls-wss 'tcp port 18111'
    rm -f "$here/tls-wss/tls-wss.keys"
    SSLKEYLOGFILE="$here/tls-wss/tls-wss.keys" chromium --headless --no-sandbox --disable-gpu \
        --disable-quic --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-extensions --ignore-certificate-errors \
        --user-data-dir="$work/profile" https://localhost:18111/ >"$work/chromium" 2>&1 &
    browser=$!
    wait "${pids[0]}"
    kill "$browser" 2>/dev/null; wait "$browser" 2>/dev/null
    chmod 644 "$here/tls-wss/tls-wss.keys"
    done_sniffing
    readme tls-wss "A browser's wss, with its keys" \
        "$(chromium --version 2>/dev/null | sed 's/ built.*//;s/ *$//'), $node_version, ws $ws_version" <<'END'
The page of chromium-ws over TLS 1.3: https and wss to the same `ws` server, with a certificate made
for this recording. `tls-wss.keys` is the key log that Chromium wrote (SSLKEYLOGFILE).
END
}

tls_suites() {
    certificates
    mkdir -p "$here/tls-suites"
    rm -f "$here/tls-suites/tls-suites.keys"
    sniff tls-suites 'tcp portrange 18112-18139'
    /usr/bin/python3 "$here/programs/tls_suites.py" 18112 "$work" "$here/tls-suites/tls-suites.keys"
    done_sniffing
    readme tls-suites "TLS in all its ways, with the keys" "$(openssl version | cut -d' ' -f1,2)" <<'END'
The same WebSocket conversation through `openssl s_client` and `s_server` for each kind of cipher suite
of TLS 1.3, 1.2, 1.1 and 1.0, and with HelloRetryRequest, ALPN, padded records, key updates,
renegotiation, resumption (by ticket, by session id, by PSK), early data taken and refused. Each has a
port of its own; the server names in the hellos say which is which. `tls-suites.keys` has the secrets.
END
}

browse() { # FOLDER URL    headless, until the first program that was started ends; its keys are kept
    rm -f "$here/$1/$1.keys"
    SSLKEYLOGFILE="$here/$1/$1.keys" chromium --headless --no-sandbox --disable-gpu \
        --disable-quic --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-extensions --ignore-certificate-errors \
        --user-data-dir="$work/profile" "$2" >"$work/chromium" 2>&1 &
    browser=$!
    wait "${pids[0]}"
    kill "$browser" 2>/dev/null; wait "$browser" 2>/dev/null
    chmod 644 "$here/$1/$1.keys"
}

tls_front() { # PORT BACK    haproxy with TLS in front of a port
    cat "$work/ec.key" "$work/ec.pem" >"$work/both.pem"
    cat >"$work/haproxy-$1.cfg" <<END
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    timeout tunnel 5s
frontend front
    bind 127.0.0.1:$1 ssl crt $work/both.pem alpn h2,http/1.1
    default_backend back
backend back
    server one 127.0.0.1:$2
END
    start haproxy -db -f "$work/haproxy-$1.cfg"
    listening "$1"
}

haproxy_version=$(haproxy -v 2>/dev/null | head -n 1 | cut -d' ' -f1-3)
chromium_version=$(chromium --version 2>/dev/null | sed 's/ built.*//;s/ *$//')

tls_h2_websocket() {
    npm_ws
    certificates
    start node "$here/programs/ws_page.js" 18140
    listening 18140
    tls_front 18141 18140
    sniff tls-h2-websocket 'tcp port 18140 or tcp port 18141'
    browse tls-h2-websocket https://localhost:18141/
    done_sniffing
    readme tls-h2-websocket "A browser's WebSocket in HTTP/2 in TLS, with its keys" \
        "$chromium_version, $haproxy_version, $node_version, ws $ws_version" <<'END'
Chromium loads a page over HTTP/2 from haproxy (port 18141) and opens its WebSocket in a stream of the
same connection (extended CONNECT, RFC 8441); haproxy makes an Upgrade of it for the server behind it
(18140, in the clear). `tls-h2-websocket.keys` is the key log that Chromium wrote.
END
}

tls_clients() {
    certificates
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18142
    listening 18142
    tls_front 18143 18142
    cat >"$work/tinyproxy.conf" <<END
Port 18144
Listen 127.0.0.1
Timeout 10
END
    start tinyproxy -d -c "$work/tinyproxy.conf"
    listening 18144
    mkdir -p "$here/tls-clients"
    rm -f "$here/tls-clients/tls-clients.keys"
    export SSLKEYLOGFILE="$here/tls-clients/tls-clients.keys" SSL_CERT_FILE="$work/ec.pem"
    ask() { # OPTION...
        curl -s -o /dev/null --max-time 2 --cacert "$work/ec.pem" "$@" https://localhost:18143/echo
    }
    upgrade() { # OPTION...
        ask --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
            -H "Sec-WebSocket-Key: $(openssl rand -base64 16)" "$@"
    }
    sniff tls-clients 'tcp port 18143 or tcp port 18144'
    /usr/bin/python3 "$here/programs/ws_talk.py" client 18143 /echo tls
    ask --http2
    upgrade
    upgrade --tls-max 1.2
    upgrade -x http://127.0.0.1:18144
    node --tls-keylog="$here/tls-clients/tls-clients.keys" "$here/programs/tls_client.js" 18143
    unset SSLKEYLOGFILE
    curl -s -o /dev/null --max-time 2 https://localhost:18143/echo # it trusts nobody of that name
    unset SSL_CERT_FILE
    curl -s -o /dev/null --max-time 2 -x http://127.0.0.1:18144 --tls-max 1.2 https://localhost:18143/
    done_sniffing
    readme tls-clients "Clients over TLS, with their keys" \
        "$websockets_version, $curl_version, $node_version, $haproxy_version, tinyproxy $(tinyproxy -v | sed 's/.* //')" <<'END'
To the same server behind haproxy with TLS (port 18143): Python websockets; curl over HTTP/2, and as one
that asks for a WebSocket and then says nothing, over TLS 1.3, over TLS 1.2, and through a tunnel of
tinyproxy (18144); Node.js. The last ones keep no keys, and do not trust the certificate: once
directly, once through the tunnel, with TLS 1.2, which is why the verdict there tells that.
END
}

tls_starttls() {
    certificate mail.example
    cat "$work/key.pem" "$work/cert.pem" >"$work/both.pem"
    dovecot_server mail 18145 18146 18147 18148 18149 yes
    postfix_server mail 18150 "$work/both.pem" 18149
    mkdir -p "$here/tls-starttls"
    rm -f "$here/tls-starttls/tls-starttls.keys"
    converse() { # PROTOCOL PORT LINE...    each line when the answer to the one before must be there
        { sleep 0.7; for line in "${@:3}"; do printf '%s\r\n' "$line"; sleep 0.4; done; } |
            timeout 10 openssl s_client -quiet -starttls "$1" -connect "127.0.0.1:$2" \
                -servername mail.example -keylogfile "$here/tls-starttls/tls-starttls.keys" \
                >>"$work/openssl" 2>&1
    }
    sleep 0.5
    sniff tls-starttls 'tcp port 18150 or tcp portrange 18145-18148'
    converse smtp 18150 'EHLO client.example' 'MAIL FROM:<anna@mail.example>' \
        'RCPT TO:<bert@mail.example>' 'DATA' 'Subject: hello' '' 'a line' '.' 'QUIT'
    converse imap 18145 'a LOGIN anna secret' 'b SELECT INBOX' 'c LOGOUT'
    converse pop3 18146 'USER anna' 'PASS secret' 'QUIT'
    converse sieve 18147 'AUTHENTICATE "PLAIN" "AGFubmEAc2VjcmV0"' 'LOGOUT'
    done_sniffing
    readme tls-starttls "Behind STARTTLS, with the keys" \
        "Postfix $(postconf -dh mail_version), Dovecot $(dovecot --version | cut -d' ' -f1), $openssl_version" <<'END'
`openssl s_client -starttls` with a key log, then the protocol by hand inside: a mail to Postfix (port
18150), a login to Dovecot's IMAP (18145), POP3 (18146) and ManageSieve (18147). What follows TLS is the
same protocol again, and nothing in it switches anything.
END
}

#!/usr/bin/env bash
# The recordings of record.sh (which reads this file) that have nothing to do with WebSocket: STARTTLS
# and its like in other protocols, tunnels of proxies, and switches inside switches.

certificate() { # NAME    in $work: cert.pem and key.pem, small ones, for NAME and localhost
    chmod 755 "$work"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -keyout "$work/key.pem" -out "$work/cert.pem" -subj "/CN=$1" \
        -addext "subjectAltName=DNS:$1,DNS:localhost,IP:127.0.0.1" >/dev/null 2>&1
}

shake() { # ARGUMENTS...    a handshake of openssl s_client that ends at once
    timeout 5 openssl s_client "$@" </dev/null >>"$work/openssl" 2>&1
}

as() { # USER COMMAND...    without a process in between, so that it ends by its id
    setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"
}

openssl_version=$(openssl version | cut -d' ' -f1,2)

starttls_ldap() {
    certificate ldap.example
    for port in 18120 18121; do
        mkdir "$work/$port"
        cat >"$work/$port.conf" <<END
include /etc/ldap/schema/core.schema
pidfile $work/$port.pid
modulepath /usr/lib/ldap
moduleload back_ldif
database ldif
suffix "dc=example"
directory $work/$port
rootdn "cn=admin,dc=example"
rootpw secret
END
    done
    sed -i "1i TLSCertificateFile $work/cert.pem\nTLSCertificateKeyFile $work/key.pem" "$work/18120.conf"
    start slapd -f "$work/18120.conf" -h ldap://127.0.0.1:18120 -d 0
    start slapd -f "$work/18121.conf" -h ldap://127.0.0.1:18121 -d 0
    listening 18120; listening 18121
    export LDAPTLS_CACERT="$work/cert.pem" LDAPNOINIT=
    bind=(-D cn=admin,dc=example -w secret)
    search() { timeout 10 ldapsearch -x -LLL -o nettimeout=5 "$@" >>"$work/ldapsearch" 2>&1; }
    sniff starttls-ldap 'tcp port 18120 or tcp port 18121'
    search -ZZ -H ldap://localhost:18120 "${bind[@]}" -s base -b '' supportedExtension
    search -H ldap://localhost:18120 -s base -b '' supportedExtension
    search -ZZ -H ldap://localhost:18121 "${bind[@]}" -s base -b '' supportedExtension
    search -Z -H ldap://localhost:18121 "${bind[@]}" -s base -b '' supportedExtension
    shake -starttls ldap -connect 127.0.0.1:18120 -servername ldap.example
    done_sniffing
    readme starttls-ldap "StartTLS in LDAP" \
        "OpenLDAP $(slapd -VV 2>&1 | sed -n 's/.*slapd \([0-9.]*\).*/\1/p'), $openssl_version" <<'END'
Two servers, one with a certificate (port 18120), one without (18121). `ldapsearch -ZZ` demands TLS
and gets it; an anonymous search goes without; then the second server refuses: with `-ZZ` the client
gives up, with `-Z` it goes on and sends its password in the clear, which is what the finding says.
The last is `openssl s_client`.
END
}

starttls_xmpp() {
    certificate chat.example
    mkdir "$work/prosody"
    cat >"$work/prosody.cfg.lua" <<END
run_as_root = true
pidfile = "$work/prosody.pid"
data_path = "$work/prosody"
interfaces = { "127.0.0.1" }
c2s_ports = { 18122 }
s2s_ports = { 18123 }
modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "dialback" }
modules_disabled = { "admin_shell" }
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
log = { info = "$work/prosody.log" }
VirtualHost "chat.example"
  ssl = { key = "$work/key.pem"; certificate = "$work/cert.pem" }
VirtualHost "plain.example"
  modules_disabled = { "tls" }
END
    for host in chat.example plain.example; do
        printf 'secret\nsecret\n' |
            prosodyctl --config "$work/prosody.cfg.lua" adduser "anna@$host" >>"$work/log" 2>&1
    done
    start prosody -F --config "$work/prosody.cfg.lua"
    listening 18122; listening 18123
    sniff starttls-xmpp 'tcp port 18122 or tcp port 18123'
    for who in 'anna@chat.example secret tls' 'anna@chat.example secret clear' \
        'anna@plain.example secret tls'; do
        # shellcheck disable=SC2086
        /usr/bin/python3 "$here/programs/xmpp_client.py" 18122 $who >>"$work/xmpp" 2>&1
    done
    shake -starttls xmpp -xmpphost chat.example -connect 127.0.0.1:18122
    shake -starttls xmpp-server -xmpphost chat.example -connect 127.0.0.1:18123
    shake -starttls xmpp -xmpphost plain.example -connect 127.0.0.1:18122
    done_sniffing
    readme starttls-xmpp "STARTTLS in XMPP" \
        "Prosody $(prosodyctl about | sed -n 's/^Prosody \([0-9.]*\)$/\1/p'), slixmpp $(/usr/bin/python3 -c 'import slixmpp; print(slixmpp.__version__)'), $openssl_version" <<'END'
Prosody serves chat.example with TLS and plain.example without. A slixmpp client logs in to the first
with TLS and again without it (offered, not used: its finding is right), then to the second, which
offers none. `openssl s_client` then asks as a client and as a server, and asks plain.example, which
does not offer it.
END
}

databases() {
    certificate db.example
    postgres=$(dirname "$(find /usr/lib/postgresql -name initdb | sort | tail -n 1)")
    postgres_server; mariadb_server
    export PGPASSWORD=secret PGCONNECT_TIMEOUT=5 PGGSSENCMODE=disable
    ask_postgres() { # MODE PORT USER
        PGSSLMODE=$1 "$postgres/psql" -X -h localhost -p "$2" -U "$3" -d postgres -Atc 'select 1'
    }
    ask_mariadb() { # PORT OPTION...
        timeout 10 mariadb --no-defaults -h 127.0.0.1 --protocol=tcp -N -B -u anna -psecret -P "$@" \
            -e 'select 1'
    }
    sniff databases 'tcp portrange 18124-18127'
    {
        ask_postgres require 18124 postgres
        ask_postgres disable 18124 postgres
        ask_postgres prefer 18125 postgres
        ask_postgres require 18125 postgres
        ask_postgres disable 18125 postgres
        shake -starttls postgres -connect 127.0.0.1:18124 -servername db.example
        ask_mariadb 18126 --ssl --ssl-ca="$work/cert.pem" --ssl-verify-server-cert
        ask_mariadb 18126 --skip-ssl
        ask_mariadb 18127
        ask_mariadb 18127 --ssl --ssl-verify-server-cert
        shake -starttls mysql -connect 127.0.0.1:18126 -servername db.example
    } >>"$work/asked" 2>&1
    done_sniffing
    readme databases "TLS of databases" \
        "$("$postgres/postgres" --version | sed 's/postgres (PostgreSQL) \([^ ]*\).*/PostgreSQL \1/'), MariaDB $(mariadbd --version | sed 's/.*Ver \([0-9.]*\).*/\1/'), $openssl_version" <<'END'
PostgreSQL with TLS (port 18124) and without (18125), MariaDB with (18126) and without (18127).
`psql` with `sslmode=require` and `disable` at the first; at the second `prefer`, which is refused and
goes on in the clear, `require`, which is refused and gives up, and `disable`, which does not ask.
`mariadb` with `--ssl` and with `--skip-ssl` at a server that offers TLS, and without and with `--ssl`
at one that does not. `openssl s_client` asks both.
END
}

postgres_server() {
    mkdir "$work/pg"
    echo secret >"$work/pg/password"
    chown -R postgres: "$work/pg"
    as postgres "$postgres/initdb" -D "$work/pg/tls" -A scram-sha-256 --pwfile="$work/pg/password" \
        -U postgres >/dev/null 2>&1
    cp -a "$work/pg/tls" "$work/pg/clear"
    install -o postgres -m 600 "$work/key.pem" "$work/pg/tls/server.key"
    install -o postgres -m 600 "$work/cert.pem" "$work/pg/tls/server.crt"
    settings=(-c listen_addresses=127.0.0.1 -c unix_socket_directories="$work/pg" -c fsync=off)
    start as postgres "$postgres/postgres" -D "$work/pg/tls" -p 18124 -c ssl=on "${settings[@]}"
    start as postgres "$postgres/postgres" -D "$work/pg/clear" -p 18125 "${settings[@]}"
    listening 18124; listening 18125
}

mariadb_server() {
    mkdir "$work/maria"
    chown mysql: "$work/maria"
    mariadb-install-db --no-defaults --user=mysql --datadir="$work/maria/tls" \
        --auth-root-authentication-method=normal >/dev/null 2>&1
    cp -a "$work/maria/tls" "$work/maria/clear"
    install -o mysql -m 600 "$work/key.pem" "$work/maria/key.pem"
    settings=(--no-defaults --user=mysql --bind-address=127.0.0.1 --skip-name-resolve
        --innodb-buffer-pool-size=8M)
    start mariadbd "${settings[@]}" --datadir="$work/maria/tls" --port=18126 \
        --socket="$work/maria/tls.sock" --pid-file="$work/maria/tls.pid" \
        --ssl-cert="$work/cert.pem" --ssl-key="$work/maria/key.pem"
    start mariadbd "${settings[@]}" --datadir="$work/maria/clear" --port=18127 \
        --socket="$work/maria/clear.sock" --pid-file="$work/maria/clear.pid"
    listening 18126; listening 18127
    for name in tls clear; do
        mariadb --no-defaults -S "$work/maria/$name.sock" -e "create user anna identified by 'secret';
            drop user if exists ''@'localhost'; flush privileges"
    done
}

rdp() {
    certificate desk.example
    port=18128
    for layer in tls rdp negotiate; do
        sed "s/^port=3389.*/port=tcp:\/\/127.0.0.1:$port/
            s/^security_layer=.*/security_layer=$layer/
            s,^certificate=.*,certificate=$work/cert.pem,; s,^key_file=.*,key_file=$work/key.pem," \
            /etc/xrdp/xrdp.ini >"$work/$layer.ini"
        start xrdp -n -c "$work/$layer.ini"
        listening $port
        port=$((port + 1))
    done
    start Xvfb :77 -screen 0 640x480x16 -nolisten tcp
    for _ in $(seq 100); do [ -S /tmp/.X11-unix/X77 ] && break; sleep 0.05; done
    connect() { # PORT SECURITY...
        HOME=$work DISPLAY=:77 timeout 8 xfreerdp /v:127.0.0.1:"$1" /u:anna /p:x /cert:ignore \
            +auth-only "${@:2}" >>"$work/freerdp" 2>&1
    }
    sniff rdp 'tcp portrange 18128-18130'
    connect 18128 /sec:tls
    connect 18128 /sec:rdp
    connect 18129 /sec:rdp
    connect 18129 /sec:tls
    connect 18130
    freerdp=$(DISPLAY=:77 xfreerdp --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
    done_sniffing
    readme rdp "The security of RDP" \
        "xrdp $(xrdp --version | sed -n 's/^xrdp \([0-9.]*\).*/\1/p'), FreeRDP $freerdp, $openssl_version" <<'END'
Three servers: one wants TLS (port 18128), one wants RDP's own security (18129), one takes either
(18130). FreeRDP asks each for what it wants, the first two also for what they do not want, the last
for all that it knows.
END
}

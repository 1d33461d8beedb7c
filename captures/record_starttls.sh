#!/usr/bin/env bash
# shellcheck disable=SC2154 # work and here are set by record.sh
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

as() { # USER COMMAND...
    setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"
}

start_as() { # USER COMMAND...    no shell in between, so that the id is that of the command
    start setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"
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
    bind=(-D 'cn=admin,dc=example' -w secret)
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
        "Prosody $(prosodyctl about | sed -n 's/^Prosody \([0-9.]*\)$/\1/p'), slixmpp $(/usr/bin/python3 -c 'import slixmpp; print(slixmpp.__version__)' 2>/dev/null), $openssl_version" <<'END'
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
    start_as postgres "$postgres/postgres" -D "$work/pg/tls" -p 18124 -c ssl=on "${settings[@]}"
    start_as postgres "$postgres/postgres" -D "$work/pg/clear" -p 18125 "${settings[@]}"
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

starttls_ftp() {
    certificate files.example
    mkdir -p "$work/ftp" "$work/empty"
    echo 'hello over FTP' >"$work/ftp/hello.txt"
    for port in 18131 18132; do
        cat >"$work/$port.conf" <<END
listen=YES
listen_address=127.0.0.1
listen_port=$port
background=NO
anonymous_enable=YES
anon_root=$work/ftp
local_enable=YES
ssl_enable=NO
secure_chroot_dir=$work/empty
seccomp_sandbox=NO
pasv_min_port=18133
pasv_max_port=18139
END
    done
    sed -i 's/^ssl_enable=NO/ssl_enable=YES/' "$work/18131.conf"
    cat >>"$work/18131.conf" <<END
allow_anon_ssl=YES
force_local_data_ssl=NO
force_local_logins_ssl=NO
rsa_cert_file=$work/cert.pem
rsa_private_key_file=$work/key.pem
END
    start vsftpd "$work/18131.conf"
    start vsftpd "$work/18132.conf"
    listening 18131; listening 18132
    fetch() { curl -s -o /dev/null --max-time 5 --cacert "$work/cert.pem" "$@"; }
    list() { # PORT FORCE
        HOME=$work timeout 10 lftp -e "set ssl:ca-file $work/cert.pem; set ftp:ssl-force $2; \
            set ftp:ssl-allow-anonymous $2; set ftp:ssl-protect-data $2; set net:max-retries 1; \
            set dns:order inet; ls; bye" "ftp://localhost:$1" >>"$work/lftp" 2>&1
    }
    sniff starttls-ftp 'tcp portrange 18131-18139'
    fetch --ssl-reqd ftp://localhost:18131/hello.txt
    fetch ftp://localhost:18131/hello.txt
    fetch --ssl-reqd ftp://localhost:18132/hello.txt
    fetch --ssl ftp://localhost:18132/hello.txt
    list 18131 true
    list 18131 false
    shake -starttls ftp -connect 127.0.0.1:18131 -servername files.example
    done_sniffing
    readme starttls-ftp "AUTH in FTP" \
        "vsftpd $(dpkg-query -W -f '${Version}' vsftpd | cut -d- -f1), lftp $(lftp --version | sed -n 's/^LFTP | Version \([0-9.]*\).*/\1/p'), $curl_version, $openssl_version" <<'END'
vsftpd with TLS (port 18131) and without (18132), connections for data on the ports above. Curl demands
TLS and gets it, for the file too; fetches it without; demands it where there is none and gives up;
only tries it there and goes on without. lftp lists with TLS and without, anonymously each time, and
`openssl s_client` shakes hands.
END
}

starttls_nntp() {
    certificate news.example
    install -d -o news "$work/news" "$work/news/spool" "$work/news/spool/articles" \
        "$work/news/spool/overview" "$work/news/spool/incoming"
    for name in tls clear; do
        cat >"$work/news/$name.conf" <<END
domain: news.example
fromhost: news.example
pathhost: news.example
server: news.example
mta: "/bin/true"
pathnews: /usr/lib/news
pathetc: $work/news
pathdb: $work/news
pathrun: $work/news
pathspool: $work/news/spool
pathlog: $work/news
pathtmp: $work/news/spool
enableoverview: true
ovmethod: tradindexed
hismethod: hisv6
readerswhenstopped: true
END
    done
    printf 'tlscertfile: %s/cert.pem\ntlskeyfile: %s/news/key.pem\n' "$work" "$work" \
        >>"$work/news/tls.conf"
    install -o news -m 600 "$work/key.pem" "$work/news/key.pem"
    printf 'method trash {\n newsgroups: *\n class: 0\n}\n' >"$work/news/storage.conf"
    printf 'auth "all" { hosts: "*" auth: "/bin/false" default: "<guest>" }\n' >"$work/news/readers.conf"
    printf 'access "all" { users: "*" newsgroups: "*" access: RPA }\n' >>"$work/news/readers.conf"
    echo 'misc.test 0000000000 0000000001 y' >"$work/news/active"
    : >"$work/news/newsgroups"; : >"$work/news/history"
    chown news: "$work"/news/*
    export INNCONF="$work/news/tls.conf"
    as news /usr/lib/news/bin/makedbz -i -o >/dev/null 2>&1
    as news /usr/lib/news/bin/overchan </dev/null >/dev/null 2>&1
    start_as news env INNCONF="$work/news/tls.conf" /usr/lib/news/bin/nnrpd -D -f -p 18140 \
        -c "$work/news/readers.conf"
    start_as news env INNCONF="$work/news/clear.conf" /usr/lib/news/bin/nnrpd -D -f -p 18141 \
        -c "$work/news/readers.conf"
    listening 18140; listening 18141
    sniff starttls-nntp 'tcp port 18140 or tcp port 18141'
    shake -starttls nntp -connect 127.0.0.1:18140 -servername news.example
    say 18140 CAPABILITIES 'MODE READER' 'GROUP misc.test' QUIT
    say 18140 CAPABILITIES 'AUTHINFO USER anna' 'AUTHINFO PASS secret' QUIT
    say 18141 CAPABILITIES STARTTLS QUIT
    done_sniffing
    readme starttls-nntp "STARTTLS in NNTP" \
        "INN $(dpkg-query -W -f '${Version}' inn2 | cut -d- -f1), $openssl_version, bash" <<'END'
nnrpd with a certificate (port 18140) and without (18141). `openssl s_client` is granted TLS; a reader
that has no use for it reads; one sends its password in the clear although TLS is offered (its finding
is right); one asks where there is none. The readers are lines typed by a shell.
END
}

say() { # PORT LINE...    each line when the answer to the one before has come
    {
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        timeout 0.5 cat <&3
        for line in "${@:2}"; do
            printf '%s\r\n' "$line" >&3
            timeout "${pause:-0.5}" cat <&3
        done
        exec 3>&-
    } >>"$work/said" 2>&1
}

starttls_irc() {
    certificate irc.example
    cat >"$work/inspircd.conf" <<END
<config format="xml">
<server name="irc.example" description="test" network="Test" id="001">
<admin name="a" nick="a" email="a@irc.example">
<bind address="127.0.0.1" port="18142" type="clients">
<connect allow="*" timeout="30" useident="no" resolvehostnames="no">
<module name="ssl_gnutls">
<module name="starttls">
<module name="cap">
<sslprofile name="Clients" provider="gnutls" certfile="$work/cert.pem" keyfile="$work/key.pem" hash="sha256">
<starttls sslprofile="Clients">
<pid file="$work/inspircd.pid">
<path datadir="$work" logdir="$work" runtimedir="$work">
END
    start inspircd --nofork --runasroot --config "$work/inspircd.conf"
    listening 18142
    sniff starttls-irc 'tcp port 18142'
    shake -starttls irc -connect 127.0.0.1:18142 -servername irc.example
    pause=1.5 say 18142 'CAP LS 302' 'NICK anna' 'USER anna 0 * :Anna' 'CAP END' STARTTLS 'QUIT :bye'
    pause=1.5 say 18142 'NICK anna' 'USER anna 0 * :Anna' 'QUIT :bye'
    done_sniffing
    readme starttls-irc "STARTTLS in IRC" \
        "InspIRCd $(dpkg-query -W -f '${Version}' inspircd | cut -d- -f1), $openssl_version, bash" <<'END'
`openssl s_client` is granted TLS; a client that asks for it only when it has registered is refused
with 691; one does without. The latter two are lines typed by a shell.
END
}

postfix_server() { # NAME PORT CERTIFICATE [PORT OF SASL]
    dir=$work/postfix-$1
    mkdir -p "$dir/conf" "$dir/queue" "$dir/data"
    chmod 755 "$dir" "$dir/queue"
    chown postfix: "$dir/data"
    cat >"$dir/conf/main.cf" <<END
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
maillog_file = /dev/stdout
myhostname = $1.example
mydestination = $1.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
default_transport = discard:
local_transport = discard:
smtpd_tls_security_level = may
smtpd_tls_cert_file = $3
smtpd_tls_key_file = $3
tls_ssl_options = NO_TICKET
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${4:-18109}
END
    cat >"$dir/conf/master.cf" <<END
127.0.0.1:$2 inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
END
    postfix -c "$dir/conf" set-permissions >/dev/null 2>&1
    start postfix -c "$dir/conf" start-fg
    listening "$2"
    pids+=("$(tr -d ' ' <"$dir/queue/pid/master.pid")") # it has a shell above it
}

dovecot_server() { # NAME IMAP POP3 SIEVE LMTP AUTH SSL    with a mailbox of anna
    dir=$work/dovecot-$1
    mkdir -p "$dir/mail"
    chmod 755 "$dir"
    chown -R nobody:nogroup "$dir/mail"
    echo 'anna:{PLAIN}secret:::::' >"$dir/users"
    cat >"$dir/dovecot.conf" <<END
base_dir = $dir/run
state_dir = $dir/run
instance_name = $1
hostname = $1.example
log_path = $dir/log
protocols = imap pop3 sieve lmtp
listen = 127.0.0.1
ssl = $7
ssl_cert = <$work/cert.pem
ssl_key = <$work/key.pem
ssl_options = no_ticket
disable_plaintext_auth = no
mail_location = maildir:$dir/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = $dir/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$dir/mail/%u
}
service imap-login {
  inet_listener imap {
    port = $2
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = $3
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = $4
  }
}
service lmtp {
  inet_listener lmtp {
    port = $5
  }
}
service auth {
  inet_listener {
    port = $6
  }
}
END
    start dovecot -F -c "$dir/dovecot.conf"
    for port in "${@:2:5}"; do listening "$port"; done
}

starttls_mail() {
    certificate mail.example
    cat "$work/key.pem" "$work/cert.pem" >"$work/both.pem"
    dovecot_server mail 18105 18106 18107 18108 18109 yes
    dovecot_server clear 18110 18111 18112 18113 18114 no
    postfix_server mail 18101 "$work/both.pem"
    postfix_server broken 18102 "$work/absent.pem"
    mail() { # PORT OPTION...
        timeout 10 swaks --server 127.0.0.1 --port "$1" --helo client.example \
            --from anna@mail.example --to bert@mail.example --body hello "${@:2}" \
            >>"$work/swaks" 2>&1
    }
    fetch() { curl -s -o /dev/null --max-time 5 --cacert "$work/cert.pem" -u anna:secret "$@"; }
    sleep 0.5
    sniff starttls-mail 'tcp portrange 18101-18102 or tcp portrange 18105-18108 or
        tcp portrange 18110-18113'
    mail 18101 --tls --auth PLAIN --auth-user anna --auth-password secret
    mail 18101
    mail 18102 --tls
    mail 18102 --tls-optional
    fetch --ssl-reqd imap://localhost:18105/
    fetch --ssl-reqd pop3://localhost:18106/
    fetch imap://localhost:18110/
    fetch --ssl-reqd pop3://localhost:18111/
    shake -starttls sieve -connect 127.0.0.1:18107 -servername mail.example
    shake -starttls lmtp -connect 127.0.0.1:18108 -servername mail.example -name client.example
    shake -starttls imap -connect 127.0.0.1:18110 -servername mail.example
    say 18112 'STARTTLS' 'LOGOUT'
    say 18113 'LHLO client.example' 'STARTTLS' 'QUIT'
    done_sniffing
    readme starttls-mail "STARTTLS in mail" \
        "Postfix $(postconf -dh mail_version), Dovecot $(dovecot --version | cut -d' ' -f1), swaks $(swaks --version | sed -n 's/^swaks version //p'), $curl_version, $openssl_version, bash" <<'END'
Postfix with TLS (port 18101) and with TLS whose certificate is missing (18102); Dovecot with TLS (IMAP
18105, POP3 18106, ManageSieve 18107, LMTP 18108) and without (18110 to 18113). swaks logs in behind
STARTTLS and sends; sends without it; demands it where it is refused with 454, and only tries it there
and sends in the clear, which is what the finding says. Curl logs in to IMAP and POP3 behind TLS, to
IMAP without it where there is none, and demands it of the POP3 server that has none. `openssl s_client`
asks ManageSieve and LMTP, and IMAP where it is refused (and sends its ClientHello all the same); a shell
asks ManageSieve and LMTP where they refuse.
END
}

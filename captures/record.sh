#!/usr/bin/env bash
# Records the example captures anew, each from real programs talking over loopback, with the
# README of its folder. Needs root (tcpdump) and, besides what the build needs: tcpdump curl openssl
# nodejs npm chromium nginx haproxy python3-websockets tinyproxy nghttp2 (nghttpx, nghttpd, nghttp),
# firefox-esr apache2 squid varnish caddy lighttpd python3-aiohttp python3-tornado slapd ldap-utils
# prosody python3-slixmpp postgresql mariadb-server mariadb-client xrdp freerdp2-x11 xvfb.
#
#   captures/record.sh            all of them
#   captures/record.sh NAME...    some
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()

stop() { # ends what was started, by its id
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}
trap 'stop; rm -rf "$work"' EXIT

start() { "$@" >"$work/log" 2>&1 & pids+=($!); }

listening() { # waits until a port is served
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    echo "nothing listens on $1" >&2
    return 1
}

dump=
sniff() { # FOLDER FILTER...
    mkdir -p "$here/$1"
    tcpdump -i lo -Z root --immediate-mode -B 16384 -U -q -w "$here/$1/$1.pcap" "${@:2}" \
        >"$work/tcpdump" 2>&1 &
    dump=$!
    for _ in $(seq 100); do grep -q 'listening on' "$work/tcpdump" && break; sleep 0.05; done
}
done_sniffing() { sleep 0.4; kill "$dump"; wait "$dump" 2>/dev/null; stop; }

readme() { # FOLDER TITLE PROGRAMS < text
    {
        echo "# $2"; echo; cat; echo
        echo "Programs: $3."; echo
        echo "Recorded on loopback with \`captures/record.sh $1\`."
    } >"$here/$1/README.md"
}

node_version="Node.js $(node --version 2>/dev/null | tr -d v)"
curl_version=$(curl --version 2>/dev/null | head -n 1 | cut -d' ' -f1,2)
nginx_version="nginx $(nginx -v 2>&1 | sed 's,.*/,,')"
websockets_version="Python websockets $(/usr/bin/python3 -c 'import websockets; print(websockets.__version__)' 2>/dev/null)"

npm_ws() { # the package ws, for the programs that need it
    (cd "$work" && npm install --silent --no-fund --no-audit ws@8 >/dev/null 2>&1)
    export NODE_PATH="$work/node_modules"
    ws_version=$(node -p 'require("ws/package.json").version')
}

chromium_ws() {
    npm_ws
    start node "$here/programs/ws_page.js" 18081
    listening 18081
    sniff chromium-ws 'tcp port 18081'
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --disable-extensions --user-data-dir="$work/profile" http://127.0.0.1:18081/ \
        >"$work/chromium" 2>&1 &
    browser=$!
    wait "${pids[0]}"
    kill "$browser" 2>/dev/null; wait "$browser" 2>/dev/null
    done_sniffing
    readme chromium-ws "A browser and a Node.js server" \
        "$(chromium --version 2>/dev/null | sed 's/ built.*//;s/ *$//'), $node_version, ws $ws_version" <<'END'
A page in headless Chromium opens a WebSocket to a `ws` server; permessage-deflate is negotiated by
the browser, subprotocol `chat.v2` is chosen out of two. The page sends text (short, long and
compressible, empty, non-ASCII) and binary, everything is echoed; a ping is answered; the page closes
with 1000 "that was all".
END
}

python_ws() {
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18082
    listening 18082
    sniff python-ws 'tcp port 18082'
    /usr/bin/python3 "$here/programs/ws_talk.py" client 18082 /echo
    done_sniffing
    readme python-ws "Fragmented and compressed messages" "$websockets_version" <<'END'
Client and server of Python's websockets: a message in three fragments, a compressed one, a binary
one with an empty fragment in the middle, an empty one, a ping with its pong, a clean close.
END
}

nginx_conf() { # FILE PORT LOCATION-BODY
    cat >"$1" <<END
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/nginx.err;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work;
  uwsgi_temp_path $work; scgi_temp_path $work;
  server { listen 127.0.0.1:$2; location / { $3 } }
}
END
}

through_nginx() { # FOLDER PORT BODY
    nginx_conf "$work/nginx.conf" "$2" "$3"
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18084
    start nginx -c "$work/nginx.conf"
    listening 18084; listening "$2"
    sniff "$1" "tcp port $2 or tcp port 18084"
    /usr/bin/python3 "$here/programs/ws_talk.py" client "$2" /echo
    done_sniffing
}

nginx_right() {
    through_nginx nginx-right 18083 'proxy_pass http://127.0.0.1:18084; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;'
    readme nginx-right "Through nginx, configured right" "$nginx_version, $websockets_version" <<'END'
The same conversation through a reverse proxy, recorded on both sides of it: port 18083 is nginx,
18084 the server behind it. `proxy_http_version 1.1` and the two `proxy_set_header` lines are there, so
both hops switch; the same Sec-WebSocket-Key pairs them.
END
}

nginx_wrong() {
    through_nginx nginx-wrong 18085 'proxy_pass http://127.0.0.1:18084;'
    readme nginx-wrong "Through nginx, without its proxy_set_header lines" \
        "$nginx_version, $websockets_version" <<'END'
nginx (port 18085) is left at its defaults: towards the server (18084) it speaks HTTP/1.0 with
`Connection: close` and drops Upgrade, while Sec-WebSocket-Key goes through. The server refuses, and
the client sees the refusal.
END
}

haproxy_right() {
    cat >"$work/haproxy.cfg" <<END
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
  timeout tunnel 1m
frontend front
  bind 127.0.0.1:18070
  option forwardfor
  default_backend back
backend back
  server one 127.0.0.1:18071
END
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18071
    start haproxy -db -f "$work/haproxy.cfg"
    listening 18071; listening 18070
    sniff haproxy-right 'tcp port 18070 or tcp port 18071'
    /usr/bin/python3 "$here/programs/ws_talk.py" client 18070 /echo
    done_sniffing
    readme haproxy-right "Through haproxy" \
        "haproxy $(haproxy -v | sed -n 's/^HAProxy version \([0-9.]*\).*/\1/p'), $websockets_version" <<'END'
The same conversation through haproxy (port 18070) in HTTP mode, recorded on both sides; haproxy needs
no setting for it. The server is on port 18071.
END
}

node_upgrade() {
    start node "$here/programs/upgrade_server.js" 18086
    listening 18086
    sniff node-upgrade 'tcp port 18086'
    curl -s -o /dev/null --max-time 3 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: c3dpdGNodGFwIHNlZXMgaQ==' \
        http://127.0.0.1:18086/upgrade
    curl -s -o /dev/null --max-time 3 -H 'Connection: Upgrade' -H 'Upgrade: something-else' \
        http://127.0.0.1:18086/upgrade
    done_sniffing
    readme node-upgrade "101 or 400" "$node_version, $curl_version" <<'END'
A Node.js server answers `101 Switching Protocols` on /upgrade when Upgrade says websocket, and `400 Bad
Request` otherwise; curl asks both ways. Behind the 101 the server sends one text frame and a close
frame; curl, which is no WebSocket client, says nothing and closes.
END
}

nginx_ignores() {
    nginx_conf "$work/nginx.conf" 18087 'default_type text/plain; return 200 "nothing here switches\n";'
    start nginx -c "$work/nginx.conf"
    listening 18087
    sniff nginx-ignores 'tcp port 18087'
    curl -s -o /dev/null -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: aWdub3JlZCBieSBuZ2lueA==' \
        http://127.0.0.1:18087/live
    done_sniffing
    readme nginx-ignores "Upgrade ignored" "$nginx_version, $curl_version" <<'END'
nginx answers an Upgrade request with a plain 200: the server may ignore Upgrade.
END
}

nginx_refuses() {
    nginx_conf "$work/nginx.conf" 18088 'if ($http_origin != "https://good.example") { return 403; }
      return 204;'
    start nginx -c "$work/nginx.conf"
    listening 18088
    sniff nginx-refuses 'tcp port 18088'
    curl -s -o /dev/null -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Origin: https://evil.example' -H 'Sec-WebSocket-Version: 13' \
        -H 'Sec-WebSocket-Key: cmVmdXNlZCBieSBuZ2lueA==' http://127.0.0.1:18088/live
    done_sniffing
    readme nginx-refuses "Upgrade refused" "$nginx_version, $curl_version" <<'END'
nginx refuses an Upgrade request from the wrong Origin with 403.
END
}

upgrade_required() {
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18089
    listening 18089
    sniff upgrade-required 'tcp port 18089'
    curl -s -o /dev/null -H 'Connection: Upgrade' -H 'Upgrade: foo/2' http://127.0.0.1:18089/live
    done_sniffing
    readme upgrade-required "426 Upgrade Required" "$websockets_version, $curl_version" <<'END'
A WebSocket server is asked to upgrade to `foo/2` and answers 426 with `Upgrade: websocket`. This
version of websockets sends `Connection: close` with it and so breaks RFC 9110 7.8: the finding
upgrade-without-connection-option is right.
END
}

h2c() {
    start nghttpd --no-tls -d "$work" 18091
    start nghttpx --frontend='127.0.0.1,18090;no-tls' --backend='127.0.0.1,18091;;proto=h2' \
        --workers=1 --conf=/dev/null --errorlog-file="$work/nghttpx.log"
    echo 'hello over h2c' >"$work/index.txt"
    listening 18091; listening 18090
    sniff h2c 'tcp port 18090'
    curl -s -o /dev/null --http2 http://127.0.0.1:18090/index.txt
    done_sniffing
    readme h2c "HTTP/2 by Upgrade" \
        "$(nghttpx --version | sed 's/nghttpx //'), $curl_version" <<'END'
curl asks for h2c with HTTP2-Settings, nghttpx grants it with 101, and HTTP/2 follows on the same
connection.
END
}

http2_prior() {
    mkdir -p "$work/www"
    echo 'body { color: black }' >"$work/www/style.css"
    echo '<link rel=stylesheet href=/style.css>' >"$work/www/index.html"
    start nghttpd --no-tls -d "$work/www" --push=/index.html=/style.css 18098
    listening 18098
    sniff http2-prior 'tcp port 18098'
    nghttp -n --padding=20 http://127.0.0.1:18098/index.html
    curl -s -o /dev/null --http2-prior-knowledge http://127.0.0.1:18098/index.html \
        -o /dev/null http://127.0.0.1:18098/missing
    done_sniffing
    readme http2-prior "HTTP/2 with prior knowledge" \
        "$(nghttpd --version | sed 's/nghttpd //'), $curl_version" <<'END'
nghttp and curl ask nghttpd for a page without any upgrade; the style sheet is pushed, the requests of
nghttp are padded and have priorities. No attempt to switch, so no session.
END
}

http2_websocket() {
    cat >"$work/haproxy.cfg" <<END
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    timeout tunnel 5s
frontend front
    bind 127.0.0.1:18099 proto h2
    default_backend back
backend back
    server node 127.0.0.1:18100 proto h2
END
    start node "$here/programs/ws_http2.js" server 18100
    start haproxy -db -f "$work/haproxy.cfg"
    listening 18100; listening 18099
    sniff http2-websocket 'tcp port 18099'
    node "$here/programs/ws_http2.js" client 18099
    done_sniffing
    readme http2-websocket "WebSockets in streams of HTTP/2" \
        "$node_version, $(haproxy -v | head -n 1 | cut -d' ' -f1-3)" <<'END'
Extended CONNECT (RFC 8441) without TLS, between a client and haproxy: two WebSockets at once beside
an ordinary request, one of them with permessage-deflate and a subprotocol, both closed cleanly; then
one that is refused with 403, one whose stream the server resets, and one that its client resets.
END
}

docker_exec() {
    start node "$here/programs/upgrade_server.js" 18092
    listening 18092
    sniff docker-exec 'tcp port 18092'
    node "$here/programs/exec_client.js" 18092
    done_sniffing
    readme docker-exec "A Docker-style exec stream" "$node_version" <<'END'
POST with `Upgrade: tcp`, answered `101 UPGRADED`; then a raw terminal stream both ways. The peers
are small Node.js programs that do what the Docker API documents.
END
}

connect_proxy() {
    cat >"$work/tinyproxy.conf" <<END
Port 18093
Listen 127.0.0.1
Timeout 10
MaxClients 8
END
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
        -days 3650 -subj /CN=localhost >/dev/null 2>&1
    start openssl s_server -quiet -www -accept 127.0.0.1:18094 -key "$work/key.pem" -cert "$work/cert.pem"
    start node "$here/programs/upgrade_server.js" 18095
    start tinyproxy -d -c "$work/tinyproxy.conf"
    listening 18094; listening 18095; listening 18093
    sniff connect-proxy 'tcp port 18093'
    curl -s -k -o /dev/null -x http://127.0.0.1:18093 https://127.0.0.1:18094/
    curl -s -o /dev/null --max-time 3 -p -x http://127.0.0.1:18093 -H 'Connection: Upgrade' \
        -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
        -H 'Sec-WebSocket-Key: dGhyb3VnaCBhIHR1bm5lbA==' http://127.0.0.1:18095/upgrade
    curl -s -o /dev/null -p -x http://127.0.0.1:18093 http://127.0.0.1:18099/nobody
    done_sniffing
    readme connect-proxy "CONNECT through a proxy" \
        "$(tinyproxy -v), $(openssl version | cut -d' ' -f1,2), $node_version, $curl_version" <<'END'
curl goes through tinyproxy with CONNECT three times: to a TLS server, to an HTTP server that then
upgrades to WebSocket inside the tunnel, and to a port where nobody listens (refused with 500).
END
}

tls() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
        -days 3650 -subj /CN=localhost >/dev/null 2>&1
    start openssl s_server -quiet -www -accept 127.0.0.1:18096 -key "$work/key.pem" -cert "$work/cert.pem"
    listening 18096
    sniff tls 'tcp port 18096'
    curl -s -k -o /dev/null https://localhost:18096/
    done_sniffing
    readme tls "TLS with nothing to see" "$(openssl version | cut -d' ' -f1,2), $curl_version" <<'END'
An HTTPS request. Nothing inside can be seen without keys, and the summary says so.
END
}

plain_http() {
    nginx_conf "$work/nginx.conf" 18097 "root $work/www;"
    mkdir -p "$work/www"
    chmod 755 "$work" "$work/www"
    seq 500 >"$work/www/numbers.txt"
    start nginx -c "$work/nginx.conf"
    listening 18097
    sniff plain-http 'tcp port 18097'
    curl -s -o /dev/null http://127.0.0.1:18097/numbers.txt -o /dev/null \
        http://127.0.0.1:18097/missing -o /dev/null http://127.0.0.1:18097/numbers.txt
    done_sniffing
    readme plain-http "HTTP without any switch" "$nginx_version, $curl_version" <<'END'
Three requests on one connection. No attempt to switch, so no session.
END
}

firefox_ws() {
    npm_ws
    mkdir -p "$work/firefox"
    for off in datareporting.policy.dataSubmissionEnabled network.captive-portal-service.enabled \
        network.connectivity-service.enabled app.normandy.enabled; do
        echo "user_pref(\"$off\", false);"
    done >"$work/firefox/user.js"
    start node "$here/programs/ws_page.js" 18060
    listening 18060
    sniff firefox-ws 'tcp port 18060'
    HOME=$work/firefox firefox-esr --headless --no-remote --profile "$work/firefox" \
        http://127.0.0.1:18060/ >"$work/browser" 2>&1 &
    browser=$!
    wait -n "${pids[0]}" "$browser"
    kill "$browser" 2>/dev/null; wait "$browser" 2>/dev/null
    done_sniffing
    readme firefox-ws "Another browser and a Node.js server" \
        "$(firefox-esr --version 2>/dev/null), $node_version, ws $ws_version" <<'END'
The page of chromium-ws in headless Firefox, which offers permessage-deflate without a parameter.
END
}

python_libraries() {
    start /usr/bin/python3 "$here/programs/ws_pair.py" aiohttp server 18061
    start /usr/bin/python3 "$here/programs/ws_pair.py" tornado server 18062
    listening 18061; listening 18062
    sniff python-libraries 'tcp port 18061 or tcp port 18062'
    /usr/bin/python3 "$here/programs/ws_pair.py" tornado client 18061
    /usr/bin/python3 "$here/programs/ws_pair.py" aiohttp client 18062
    done_sniffing
    versions='import aiohttp, tornado; print("aiohttp %s, tornado %s" % (aiohttp.__version__, tornado.version))'
    readme python-libraries "Two more libraries, each with the other" \
        "$(/usr/bin/python3 -c "$versions")" <<'END'
A tornado client with an aiohttp server (port 18061), and an aiohttp client with a tornado server
(18062): subprotocol, permessage-deflate, text, binary and empty messages, pings from both sides,
clean closes.
END
}

apache_version="Apache httpd $(apache2 -v 2>/dev/null | sed -n 's,.*Apache/\([0-9.]*\).*,\1,p')"

apache_conf() { # FILE PORT LINES
    cat >"$1" <<END
ServerRoot /usr/lib/apache2
ServerName localhost
PidFile $work/apache.pid
ErrorLog $work/apache.err
DefaultRuntimeDir $work
Mutex file:$work
User www-data
Group www-data
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
Listen 127.0.0.1:$2
$3
END
}

through() { # FOLDER PORT...    the conversation of python-ws, from the first port to the last
    start /usr/bin/python3 "$here/programs/ws_talk.py" server "${!#}"
    for port in "${@:2}"; do listening "$port"; done
    sniff "$1" "tcp portrange $2-${!#}"
    /usr/bin/python3 "$here/programs/ws_talk.py" client "$2" /echo
    done_sniffing
}

apache_right() {
    apache_conf "$work/apache.conf" 18063 'ProxyPass / http://127.0.0.1:18064/ upgrade=websocket'
    start apache2 -X -f "$work/apache.conf"
    through apache-right 18063 18064
    readme apache-right "Through Apache httpd" "$apache_version, $websockets_version" <<'END'
The same conversation through Apache httpd (port 18063), recorded on both sides: mod_proxy_http with
`upgrade=websocket`. It sets Host to the server's (18064) and says X-Forwarded-Host.
END
}

nginx_apache() {
    nginx_conf "$work/nginx.conf" 18065 'proxy_pass http://127.0.0.1:18066; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
    apache_conf "$work/apache.conf" 18066 'ProxyPass / http://127.0.0.1:18067/ upgrade=websocket'
    start nginx -c "$work/nginx.conf"
    start apache2 -X -f "$work/apache.conf"
    through nginx-apache 18065 18066 18067
    readme nginx-apache "Through two proxies" \
        "$nginx_version, $apache_version, $websockets_version" <<'END'
nginx (port 18065) in front of Apache httpd (18066) in front of the server (18067): three hops of one
attempt.
END
}

varnish_right() {
    cat >"$work/pipe.vcl" <<END
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "18069"; }
sub vcl_recv {
    if (req.http.upgrade ~ "(?i)websocket") { return (pipe); }
}
sub vcl_pipe {
    if (req.http.upgrade) {
        set bereq.http.upgrade = req.http.upgrade;
        set bereq.http.connection = req.http.connection;
    }
}
END
    chmod 755 "$work"
    start varnishd -F -n "$work/varnish" -a 127.0.0.1:18068 -f "$work/pipe.vcl" -s malloc,16m
    through varnish-right 18068 18069
    readme varnish-right "Through Varnish" \
        "Varnish $(varnishd -V 2>&1 | sed -n 's/.*(varnish-\([0-9.]*\).*/\1/p'), $websockets_version" <<'END'
The same conversation through Varnish (port 18068), which pipes it to the server (18069) as its manual
shows. Without the lines in `vcl_pipe` it removes Upgrade.
END
}

caddy_right() {
    printf '{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:18072 {\n reverse_proxy %s\n}\n' \
        127.0.0.1:18073 >"$work/Caddyfile"
    HOME=$work start caddy run --config "$work/Caddyfile" --adapter caddyfile
    through caddy-right 18072 18073
    readme caddy-right "Through Caddy" "Caddy $(caddy version | cut -d' ' -f1), $websockets_version" <<'END'
The same conversation through Caddy's `reverse_proxy` (port 18072), which needs no setting for it. The
server is on port 18073.
END
}

lighttpd_right() {
    cat >"$work/lighttpd.conf" <<END
server.document-root = "$work"
server.bind = "127.0.0.1"
server.port = 18074
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => 18075)))
proxy.header = ("upgrade" => "enable")
END
    start lighttpd -D -f "$work/lighttpd.conf"
    through lighttpd-right 18074 18075
    readme lighttpd-right "Through lighttpd" \
        "lighttpd $(lighttpd -v | sed -n 's,^lighttpd/\([0-9.]*\).*,\1,p'), $websockets_version" <<'END'
The same conversation through lighttpd's mod_proxy (port 18074) with `"upgrade" => "enable"`. The
server is on port 18075.
END
}

squid_connect() {
    npm_ws
    mkdir "$work/squid"
    chmod 755 "$work"
    chown proxy "$work/squid"
    echo '127.0.0.1 chat.example' >"$work/hosts"
    cat >"$work/squid.conf" <<END
http_port 127.0.0.1:18076
http_access allow localhost
hosts_file $work/hosts
access_log none
cache_log $work/squid/cache.log
pid_filename $work/squid/squid.pid
coredump_dir $work/squid
cache deny all
pinger_enable off
shutdown_lifetime 0 seconds
END
    start /usr/bin/python3 "$here/programs/ws_talk.py" server 18077
    start squid -N -f "$work/squid.conf"
    listening 18077; listening 18076
    sniff squid-connect 'tcp port 18076 or tcp port 18077'
    node "$here/programs/tunnel_client.js" 18076 chat.example 18077
    done_sniffing
    readme squid-connect "A WebSocket in a tunnel through Squid" \
        "Squid $(squid -v | sed -n '1s/.*Version //p'), $node_version, ws $ws_version, $websockets_version" <<'END'
A client asks Squid (port 18076) for a tunnel to chat.example:18077 and opens a WebSocket inside it.
Recorded on both sides: the session inside the tunnel is forwarded as the one that the server sees.
END
}

. "$here/record_starttls.sh"
. "$here/record_tunnels.sh"
. "$here/record_tls.sh"

all="chromium_ws python_ws nginx_right nginx_wrong haproxy_right node_upgrade nginx_ignores nginx_refuses \
upgrade_required h2c http2_prior http2_websocket docker_exec connect_proxy tls tls_wss tls_suites plain_http \
firefox_ws python_libraries apache_right nginx_apache varnish_right caddy_right lighttpd_right \
squid_connect starttls_ldap starttls_xmpp databases rdp \
starttls_ftp starttls_nntp starttls_irc socks proxy_protocol nesting \
starttls_mail tls_h2_websocket tls_clients tls_starttls"
for name in ${*:-$all}; do
    echo "recording $name"
    "${name//-/_}"
done

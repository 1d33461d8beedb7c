#!/usr/bin/env bash
# shellcheck disable=SC2154 # work and the like are set by record.sh
# The recordings of record.sh (which reads this file) that show tunnels: SOCKS, the PROXY protocol, and
# one tunnel in another.

sshd_server() { # PORT    lets root in with $work/id
    chmod 755 "$work"
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$work/host" </dev/null
    ssh-keygen -q -t ed25519 -N '' -f "$work/id" </dev/null
    cp "$work/id.pub" "$work/authorized"
    cat >"$work/sshd.conf" <<END
ListenAddress 127.0.0.1:$1
HostKey $work/host
AuthorizedKeysFile $work/authorized
StrictModes no
UsePAM no
PidFile $work/sshd.pid
KexAlgorithms curve25519-sha256
END
    start /usr/sbin/sshd -D -e -f "$work/sshd.conf"
    listening "$1"
}

ssh_options=(-o StrictHostKeyChecking=no -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null
    -o KexAlgorithms=curve25519-sha256 -o HostKeyAlgorithms=ssh-ed25519 # else their lists are long
    -o Ciphers=aes128-gcm@openssh.com)
ssh_through() { # PORT PROXY-COMMAND
    timeout 10 ssh -F none -o "ProxyCommand=$2" -i "$work/id" -p "$1" "${ssh_options[@]}" \
        root@localhost true >>"$work/ssh" 2>&1
}

dante_server() { # PORT    lets nobody to port 18159
    cat >"$work/dante.conf" <<END
logoutput: $work/dante.log
internal: 127.0.0.1 port = $1
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks block { from: 127.0.0.0/8 to: 127.0.0.1/32 port = 18159 }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
END
    start danted -f "$work/dante.conf" -p "$work/dante.pid" -N 1
    listening "$1"
}

tls_server() { # PORT
    echo hello >"$work/hello.txt"
    start env -C "$work" openssl s_server -quiet -WWW -accept "127.0.0.1:$1" -key "$work/key.pem" \
        -cert "$work/cert.pem"
    listening "$1"
}

quietly() { curl -s -o /dev/null --max-time 5 --cacert "$work/cert.pem" "$@"; }

upgrade_headers=(-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13')
dante_version="Dante $(dpkg-query -W -f '${Version}' dante-server 2>/dev/null | cut -d+ -f1)"
ssh_version=$(ssh -V 2>&1 | cut -d' ' -f1 | tr _ ' ')
haproxy_version=$(haproxy -v 2>/dev/null | head -n 1 | cut -d' ' -f1,3)

socks() {
    certificate inside.example
    dante_server 18150
    start microsocks -i 127.0.0.1 -p 18151 -u anna -P secret
    start node "$here/programs/upgrade_server.js" 18152
    sshd_server 18153
    tls_server 18154
    start ssh -F none -N -D 127.0.0.1:18155 -i "$work/id" -p 18153 "${ssh_options[@]}" root@127.0.0.1
    listening 18151; listening 18152; listening 18155
    sniff socks 'tcp port 18150 or tcp port 18151 or tcp port 18155'
    quietly --socks5-hostname 127.0.0.1:18150 https://localhost:18154/hello.txt
    quietly --socks5 127.0.0.1:18150 -H 'Sec-WebSocket-Key: dGhyb3VnaCBhIHNvY2tzLg==' \
        "${upgrade_headers[@]}" http://127.0.0.1:18152/upgrade
    quietly --socks4a 127.0.0.1:18150 http://localhost:18152/
    quietly --socks4a 127.0.0.1:18155 http://localhost:18152/
    quietly --socks4 127.0.0.1:18150 https://localhost:18154/hello.txt
    quietly --socks5 127.0.0.1:18150 http://127.0.0.1:18159/
    quietly --socks5-hostname 127.0.0.1:18150 http://localhost:18158/
    quietly --socks4 127.0.0.1:18150 http://127.0.0.1:18159/
    quietly --socks5-hostname anna:secret@127.0.0.1:18151 http://localhost:18152/
    quietly --socks5-hostname anna:wrong@127.0.0.1:18151 http://localhost:18152/
    quietly --socks5-hostname 127.0.0.1:18151 http://localhost:18152/
    ssh_through 18153 'nc -X 5 -x 127.0.0.1:18150 %h %p'
    done_sniffing
    readme socks "Through SOCKS" \
        "$dante_version, microsocks $(dpkg-query -W -f '${Version}' microsocks | cut -d- -f1), $ssh_version, $node_version, $openssl_version, $curl_version" <<'END'
Dante (port 18150), microsocks with a password (18151), and `ssh -D` (18155). Curl goes through Dante
with SOCKS 5 to a TLS server and to a WebSocket; with SOCKS 4a to a web server, which Dante refuses, as
it takes the address 0.0.0.1 for one, and `ssh -D` grants; with SOCKS 4 to the TLS server; then to a
port that Dante forbids and to one where nobody listens. To microsocks it goes with the right password,
with a wrong one, and with none. The last is SSH over SOCKS 5, with netcat between.
END
}

proxied_nginx() { # TLS-PORT CLEAR-PORT SERVER-PORT    both want the PROXY protocol
    cat >"$work/nginx.conf" <<END
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/nginx.err;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work;
  uwsgi_temp_path $work; scgi_temp_path $work;
  ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
  server {
    listen 127.0.0.1:$1 ssl proxy_protocol; listen 127.0.0.1:$2 proxy_protocol;
    location / { return 200 "hello\n"; }
    location /echo {
      proxy_pass http://127.0.0.1:$3; proxy_http_version 1.1;
      proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection "upgrade";
    }
  }
}
END
    start /usr/bin/python3 "$here/programs/ws_talk.py" server "$3"
    listening "$3"
    start nginx -c "$work/nginx.conf"
    listening "$1"; listening "$2"
}

proxy_protocol() {
    certificate inside.example
    proxied_nginx 18164 18165 18166
    cat "$work/cert.pem" "$work/key.pem" >"$work/both.pem"
    cat >"$work/haproxy.cfg" <<END
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen one
  bind 127.0.0.1:18160
  server s 127.0.0.1:18165 send-proxy
listen two
  bind 127.0.0.1:18161
  server s 127.0.0.1:18164 send-proxy-v2
listen three
  bind 127.0.0.1:18162 ssl crt $work/both.pem alpn http/1.1
  server s 127.0.0.1:18165 send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c,unique-id
  unique-id-format %[uuid()]
END
    start haproxy -db -f "$work/haproxy.cfg"
    listening 18160; listening 18161; listening 18162
    sniff proxy-protocol 'tcp port 18160 or tcp port 18164 or tcp port 18165'
    /usr/bin/python3 "$here/programs/ws_talk.py" client 18160 /echo
    quietly https://localhost:18161/
    quietly https://localhost:18162/
    done_sniffing
    readme proxy-protocol "The PROXY protocol" \
        "$haproxy_version, $nginx_version, $websockets_version, $curl_version" <<'END'
haproxy in front of nginx, recorded between them (ports 18164 and 18165). Version 1, with the WebSocket
of python-ws behind it, that one also in front of haproxy (18160); version 2, with TLS behind it; and
version 2 with what haproxy tells of the TLS that it has ended: host, ALPN, a checksum, an id.
END
}

nesting() {
    certificate inside.example
    dante_server 18170
    for port in 18171 18182; do
        printf 'Port %s\nListen 127.0.0.1\nTimeout 10\nMaxClients 8\n' $port >"$work/$port.conf"
        start tinyproxy -d -c "$work/$port.conf"
    done
    tls_server 18172
    sshd_server 18173
    start websockify 127.0.0.1:18174 127.0.0.1:18173
    start websockify 127.0.0.1:18175 127.0.0.1:18172
    start socat TCP-LISTEN:18176,bind=127.0.0.1,reuseaddr,fork \
        PROXY:127.0.0.1:localhost:18182,proxyport=18171
    start socat TCP-LISTEN:18177,bind=127.0.0.1,reuseaddr,fork \
        EXEC:"/usr/bin/python3 $here/programs/ws_pipe.py ws\://127.0.0.1\:18175/"
    proxied_nginx 18178 18179 18180
    cat >"$work/haproxy.cfg" <<END
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen one
  bind 127.0.0.1:18181
  server s 127.0.0.1:18179 socks4 127.0.0.1:18170 send-proxy
END
    start haproxy -db -f "$work/haproxy.cfg"
    for port in 18171 18182 18174 18175 18176 18181; do listening $port; done
    sleep 0.5
    sniff nesting 'tcp port 18170 or tcp port 18171 or tcp port 18174 or tcp port 18175'
    quietly --preproxy socks5h://127.0.0.1:18170 -p -x http://localhost:18182 https://localhost:18172/hello.txt
    quietly -p -x http://127.0.0.1:18176 https://localhost:18172/hello.txt
    ssh_through 18173 "/usr/bin/python3 $here/programs/ws_pipe.py ws://127.0.0.1:18174/"
    quietly https://localhost:18177/hello.txt
    /usr/bin/python3 "$here/programs/ws_talk.py" client 18181 /echo
    done_sniffing
    readme nesting "One tunnel in another" \
        "$dante_version, $(tinyproxy -v), websockify $(dpkg-query -W -f '${Version}' websockify | cut -d+ -f1), socat $(socat -V | sed -n 's/^socat version \([0-9.]*\).*/\1/p'), $haproxy_version, $nginx_version, $ssh_version, $openssl_version, $websockets_version, $curl_version" <<'END'
TLS in a CONNECT tunnel through tinyproxy in a SOCKS tunnel through Dante (port 18170); TLS in a CONNECT
tunnel through a second tinyproxy in one through the first (18171); SSH in a WebSocket through
websockify (18174), TLS in one (18175); and the WebSocket of python-ws behind the PROXY protocol in a
SOCKS tunnel. The two findings of medium severity say what is carried inside the WebSockets.
END
}

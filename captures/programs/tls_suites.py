"""One WebSocket handshake and message through openssl s_client and s_server for each cipher suite and
way of handshaking below, each on a port of its own from PORT on.
Usage: python3 tls_suites.py PORT FOLDER-OF-CERTIFICATES KEYLOG"""
import base64
import hashlib
import subprocess
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OLD = "ALL:@SECLEVEL=0"
# name, options of the server, of the client, commands of the client before its request
CASES = [
    ("1.3-aes128gcm", "", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", ""),
    ("1.3-aes256gcm", "", "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", ""),
    ("1.3-chacha20", "", "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", ""),
    ("1.3-ccm", "-ciphersuites TLS_AES_128_CCM_SHA256",
     "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256", ""),
    ("1.3-ccm8", "-ciphersuites TLS_AES_128_CCM_8_SHA256",
     "-tls1_3 -ciphersuites TLS_AES_128_CCM_8_SHA256", ""),
    ("1.3-retry", "-groups P-384", "-tls1_3 -groups X25519:P-384", ""),
    ("1.3-alpn", "-alpn http/1.1", "-tls1_3 -alpn h2,http/1.1", ""),
    ("1.3-padded", "-record_padding 512", "-tls1_3 -record_padding 256", ""),
    ("1.3-keyupdate", "", "-tls1_3", "kKk"),
    ("1.2-gcm", "", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", ""),
    ("1.2-gcm384", "", "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", ""),
    ("1.2-chacha20", "", "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", ""),
    ("1.2-ccm", "-cipher " + OLD, "-tls1_2 -cipher ECDHE-ECDSA-AES256-CCM:@SECLEVEL=0", ""),
    ("1.2-ccm8", "-cipher " + OLD, "-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", ""),
    ("1.2-cbc-etm", "-cipher " + OLD, "-tls1_2 -cipher ECDHE-RSA-AES128-SHA:@SECLEVEL=0", ""),
    ("1.2-cbc", "-cipher " + OLD, "-tls1_2 -no_etm -cipher ECDHE-RSA-AES256-SHA384:@SECLEVEL=0", ""),
    ("1.2-cbc256", "-cipher " + OLD, "-tls1_2 -no_etm -cipher AES128-SHA256:@SECLEVEL=0", ""),
    ("1.2-renegotiation", "-client_renegotiation", "-tls1_2", "R"),
    ("1.1-cbc", "-cipher " + OLD, "-tls1_1 -cipher AES256-SHA:@SECLEVEL=0", ""),
    ("1.0-cbc", "-cipher " + OLD, "-tls1 -cipher AES128-SHA:@SECLEVEL=0", ""),
]


def server(port, folder, options, name, count):
    command = ["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-naccept", str(count),
               "-key", folder + "/rsa.key", "-cert", folder + "/rsa.pem",
               "-dkey", folder + "/ec.key", "-dcert", folder + "/ec.pem"] + options.split()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    return process


def client(port, name, options, keylog, named=True):
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-keylogfile", keylog]
    command += (["-servername", name + ".example"] if named else []) + options.split()
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def say(process, data, wait=0.15):
    process.stdin.write(data)
    process.stdin.flush()
    time.sleep(wait)


def handshake(name):
    key = base64.b64encode(name.encode().ljust(16, b"-")[:16])
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    request = (b"GET /%s HTTP/1.1\r\nHost: %s.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n")
    answer = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept)
    return request % (name.encode(), name.encode(), key), answer


def talk(s, c, name, commands, early=False):
    request, answer = handshake(name)
    time.sleep(0.3)
    for command in commands:
        say(c, command.encode() + b"\n", 0.3)
    if not early:
        say(c, request)
    say(s, answer)
    say(s, b"\x81\x05hello")
    say(c, b"\x81\x85\0\1\2\3hdnol")
    say(s, b"\x88\x02\x03\xe8")
    say(c, b"\x88\x82\0\1\2\3\x03\xe9")


def leave(c):
    """In order, so that the server keeps the session."""
    time.sleep(0.6)
    c.stdin.close()
    c.wait()


def end(*processes):
    for process in processes:
        process.terminate()
        process.wait()


# Where a server that knows no names keeps sessions, it refuses those of clients that ask for one.


def early_data(port, folder, keylog, name, options, later):
    """A first connection for the ticket, a second one with the request as early data."""
    request, _ = handshake(name)
    with open(folder + "/early", "wb") as out:
        out.write(request)
    s = server(port, folder, "-early_data " + options, name, 2)
    c = client(port, name, "-tls1_3 -sess_out %s/session" % folder, keylog, False)
    leave(c)
    c = client(port, name, "-tls1_3 -sess_in %s/session -early_data %s/early %s"
               % (folder, folder, later), keylog, False)
    talk(s, c, name, "", early=later == "")
    end(c, s)


def resumed(port, folder, keylog, name, options):
    s = server(port, folder, options, name, 2)
    c = client(port, name, options + " -sess_out %s/session" % folder, keylog, False)
    leave(c)
    c = client(port, name, options + " -sess_in %s/session" % folder, keylog, False)
    talk(s, c, name, "")
    end(c, s)


def main():
    port, folder, keylog = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    for name, server_options, client_options, commands in CASES:
        s = server(port, folder, server_options, name, 1)
        c = client(port, name, client_options, keylog)
        talk(s, c, name, commands)
        end(c, s)
        port += 1
    resumed(port, folder, keylog, "1.3-resumed", "-tls1_3")
    resumed(port + 1, folder, keylog, "1.2-resumed", "-tls1_2")
    resumed(port + 2, folder, keylog, "1.2-session-id", "-tls1_2 -no_ticket")
    early_data(port + 3, folder, keylog, "1.3-early", "", "")
    early_data(port + 4, folder, keylog, "1.3-early-refused", "-groups P-384:P-256",
               "-groups X25519:P-256")


main()

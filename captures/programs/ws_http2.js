// WebSockets in streams of HTTP/2 without TLS (RFC 8441). The server echoes messages, with
// permessage-deflate where it was offered, answers 403 on /no and resets the stream on /reset; any
// other request gets some text. The client opens two at once beside an ordinary request, then one
// after the other is refused, reset by the server, and reset by itself.
// Usage: node ws_http2.js server|client PORT
const http2 = require('http2');
const crypto = require('crypto');
const zlib = require('zlib');

const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, RSV1 = 0x40;
const flush = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
const deflate = (text) => zlib.deflateRawSync(text, flush).subarray(0, -4);
const inflate = (bytes) =>
  zlib.inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 255, 255])]), flush);

function frame(first, payload, masked) {
  const body = Buffer.from(payload);
  const bit = masked ? 0x80 : 0;
  const head = body.length < 126 ? [0x80 | first, bit | body.length]
    : [0x80 | first, bit | 126, body.length >> 8, body.length & 255];
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const key = crypto.randomBytes(4);
  for (let i = 0; i < body.length; i++) body[i] ^= key[i % 4];
  return Buffer.concat([Buffer.from(head), key, body]);
}

// Calls back for each complete frame of a client; returns what is left.
function parse(bytes, take) {
  for (;;) {
    if (bytes.length < 2) return bytes;
    let length = bytes[1] & 127, at = 2;
    if (length === 126) {
      if (bytes.length < 4) return bytes;
      length = bytes.readUInt16BE(2);
      at = 4;
    }
    if (bytes.length < at + 4 + length) return bytes;
    const body = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
    for (let i = 0; i < length; i++) body[i] ^= bytes[at + i % 4];
    take(bytes[0], body);
    bytes = bytes.subarray(at + 4 + length);
  }
}

function answer(stream, headers) {
  stream.on('error', () => {});
  if (headers[':method'] !== 'CONNECT') {
    stream.respond({ ':status': 200, 'content-type': 'text/plain' });
    stream.end('some text, '.repeat(2000));
  } else if (headers[':path'] === '/no') {
    stream.respond({ ':status': 403 });
    stream.end('not from there\n');
  } else if (headers[':path'] === '/reset') {
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  } else {
    echo(stream, headers);
  }
}

function echo(stream, headers) {
  const zip = 'sec-websocket-extensions' in headers;
  const fields = { ':status': 200 };
  if (zip) fields['sec-websocket-extensions'] = 'permessage-deflate; server_no_context_takeover';
  if (headers['sec-websocket-protocol']) fields['sec-websocket-protocol'] = 'mqtt';
  stream.respond(fields);
  let rest = Buffer.alloc(0);
  stream.on('data', (data) => {
    rest = parse(Buffer.concat([rest, data]), (first, body) => {
      const opcode = first & 15;
      if (opcode === CLOSE) stream.end(frame(CLOSE, body));
      else if (opcode === PING) stream.write(frame(PONG, body));
      else if (zip) stream.write(frame(opcode | RSV1, deflate('echo: ' + inflate(body))));
      else stream.write(frame(opcode, 'echo: ' + body));
    });
  });
}

function open(session, path, fields, talk) {
  return new Promise((done) => {
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': path,
      ':authority': 'localhost', 'sec-websocket-version': '13', 'origin': 'http://localhost',
      ...fields,
    }, { endStream: false });
    stream.on('error', () => {});
    stream.on('close', done);
    stream.on('end', () => stream.end());
    stream.on('response', (headers) => {
      stream.resume();
      if (headers[':status'] === 200) talk(stream);
      else stream.end();
    });
  });
}

const close = (stream) => stream.write(frame(CLOSE, Buffer.from([3, 232]), true));

function chat(stream) {
  let count = 0;
  const timer = setInterval(() => {
    if (++count <= 3) {
      stream.write(frame(TEXT, `message ${count} ` + 'é'.repeat(count * 40), true));
      return;
    }
    clearInterval(timer);
    stream.write(frame(PING, 'there?', true));
    close(stream);
  }, 5);
}

function zip(stream) {
  stream.write(frame(TEXT | RSV1, deflate('compressed, compressed, compressed'), true));
  setTimeout(() => close(stream), 20);
}

function cut(stream) {
  stream.write(frame(TEXT, 'the last word', true));
  setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 20);
}

const [mode, port] = process.argv.slice(2);
if (mode === 'server') {
  http2.createServer({ settings: { enableConnectProtocol: true } })
    .on('stream', answer).listen(Number(port), '127.0.0.1');
} else {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.once('remoteSettings', async () => {
    session.request({ ':path': '/text' }).resume();
    await Promise.all([
      open(session, '/chat?room=1', {}, chat),
      open(session, '/zip', { 'sec-websocket-extensions': 'permessage-deflate',
        'sec-websocket-protocol': 'mqtt' }, zip),
    ]);
    await open(session, '/no', {}, () => {});
    await open(session, '/reset', {}, () => {});
    await open(session, '/cut', {}, cut);
    session.close();
  });
}

/* wsload: an OCPP-J load generator and the CSMS that answers it. One thread, epoll, plain TCP.
 *
 *   wsload csms PORT
 *   wsload load HOST PORT [links=50] [mode=closed|open|idle] [seconds=3] [warm=1] [rate=400] [ping=20]
 *
 * closed: every link sends its next Call when the answer to the last one came. open: `rate` Calls a second in all, spread
 * over the links. idle: a ping every `ping` seconds per link and nothing else; a first line of output says that all are up.
 * Every frame is masked with a fresh key; every answer must carry the id of the Call that waits. The last line of output is
 * one JSON object; exit code 3 when an answer was wrong or a link was lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_SIZE = 8192, TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

typedef struct {
    int fd, number, open, waiting, wants_out;
    uint32_t calls;                /* Calls sent; the id of the last one is made of number and calls */
    uint64_t sent_at;
    size_t have, out_at, out_have, out_room;
    char *out;
    char in[IN_SIZE];
} Link;

static int poller;

static void die(const char *what) {
    fprintf(stderr, "wsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t draw(void) {       /* mask keys and the mix need to differ, not to be secret */
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)((z ^ (z >> 27)) >> 16);
}

/* ---- Sec-WebSocket-Accept: SHA-1 (FIPS 180-4) of key and GUID, in base64 ---- */

static uint32_t turn(uint32_t x, int by) { return (x << by) | (x >> (32 - by)); }

static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], v[5];
    for (int i = 0; i < 80; i++)
        w[i] = i < 16 ? (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3]
                      : turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint32_t mix = i < 20 ? ((v[1] & v[2]) | (~v[1] & v[3])) + 0x5a827999u
                     : i < 40 ? (v[1] ^ v[2] ^ v[3]) + 0x6ed9eba1u
                     : i < 60 ? ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + 0x8f1bbcdcu
                              : (v[1] ^ v[2] ^ v[3]) + 0xca62c1d6u;
        uint32_t next = turn(v[0], 5) + mix + v[4] + w[i];
        v[4] = v[3], v[3] = v[2], v[2] = turn(v[1], 30), v[1] = v[0], v[0] = next;
    }
    for (int i = 0; i < 5; i++) state[i] += v[i];
}

static void accept_value(const char *key, size_t size, char out[29]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    uint8_t text[128] = {0}, digest[21] = {0};
    memcpy(text, key, size);
    memcpy(text + size, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    size += 36;
    text[size] = 0x80;
    size_t blocks = (size + 9 + 63) / 64;
    for (int i = 0; i < 4; i++) text[64 * blocks - 1 - i] = (uint8_t)(size * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++) sha1_block(state, text + 64 * i);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) *out++ = digits[three >> (18 - 6 * j) & 63];
    }
    out[-1] = '=';                 /* 20 bytes are 26 digits and 2 bits: the last of 28 is padding */
    *out = 0;
}

/* ---- sending ---- */

static void watch(Link *link, int wants_out, int how) {
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = link};
    if (epoll_ctl(poller, how, link->fd, &event)) die("epoll_ctl");
    link->wants_out = wants_out;
}

static int flush(Link *link) {
    while (link->out_at < link->out_have) {
        ssize_t sent = send(link->fd, link->out + link->out_at, link->out_have - link->out_at, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return -1;
            if (!link->wants_out) watch(link, 1, EPOLL_CTL_MOD);
            return 0;
        }
        link->out_at += (size_t)sent;
    }
    link->out_at = link->out_have = 0;
    if (link->wants_out) watch(link, 0, EPOLL_CTL_MOD);
    return 0;
}

static char *room(Link *link, size_t size) {
    if (link->out_have + size > link->out_room) {
        link->out_room = (link->out_have + size) * 2;
        link->out = realloc(link->out, link->out_room);
        if (!link->out) die("realloc");
    }
    return link->out + link->out_have;
}

static int send_frame(Link *link, int opcode, const char *payload, size_t size, int masked) {
    uint8_t *at = (uint8_t *)room(link, size + 8), *start = at;
    uint8_t bit = masked ? 0x80 : 0;
    *at++ = (uint8_t)(0x80 | opcode);
    if (size < 126) {
        *at++ = bit | (uint8_t)size;
    } else {
        *at++ = bit | 126, *at++ = (uint8_t)(size >> 8), *at++ = (uint8_t)size;
    }
    if (masked) {
        uint32_t word = draw();
        uint8_t key[4];
        memcpy(key, &word, 4);
        memcpy(at, key, 4);
        at += 4;
        for (size_t i = 0; i < size; i++) at[i] = (uint8_t)payload[i] ^ key[i & 3];
    } else {
        memcpy(at, payload, size);
    }
    link->out_have += (size_t)(at - start) + size;
    return flush(link);
}

/* ---- receiving: hands over each whole frame, unmasked in place ---- */

typedef int OnFrame(Link *link, int opcode, char *payload, size_t size);

static int take_frames(Link *link, OnFrame *on_frame) {
    size_t at = 0;
    while (link->have - at >= 2) {
        uint8_t *head = (uint8_t *)link->in + at;
        size_t size = head[1] & 127, header = 2;
        if (size == 127) return -1;                     /* neither side sends more than 64 KiB here */
        if (size == 126) {
            if (link->have - at < 4) break;
            size = (size_t)head[2] << 8 | head[3], header = 4;
        }
        uint8_t *key = head[1] & 128 ? head + header : NULL;
        header += key ? 4 : 0;
        if (header + size > IN_SIZE) return -1;
        if (link->have - at < header + size) break;
        for (size_t i = 0; key && i < size; i++) head[header + i] ^= key[i & 3];
        if (on_frame(link, head[0] & 15, (char *)head + header, size)) return -1;
        at += header + size;
    }
    memmove(link->in, link->in + at, link->have - at);
    link->have -= at;
    return 0;
}

static ssize_t receive(Link *link) {
    ssize_t got = recv(link->fd, link->in + link->have, IN_SIZE - 1 - link->have, 0);
    if (got > 0) link->have += (size_t)got, link->in[link->have] = 0;
    return got < 0 && errno == EAGAIN ? 0 : got <= 0 ? -1 : got;
}

static char *end_of_head(Link *link) {
    char *end = strstr(link->in, "\r\n\r\n");
    return end ? end + 4 : NULL;
}

static void drop_head(Link *link, char *end) {
    link->have -= (size_t)(end - link->in);
    memmove(link->in, end, link->have + 1);
    link->open = 1;
}

static void nodelay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* ---- the CSMS ---- */

static int answer(Link *link, int opcode, char *payload, size_t size) {
    static char text[256];
    if (opcode == PING) return send_frame(link, PONG, payload, size, 0);
    if (opcode == CLOSE) return send_frame(link, CLOSE, payload, size, 0), -1;
    if (opcode != TEXT || size < 8 || memcmp(payload, "[2,\"", 4)) return 0;
    char *id = payload + 4, *after = memchr(id, '"', size - 4);
    if (!after || after - id > 64 || after + 4 > payload + size) return -1;
    const char *body = after[3] == 'H' ? "{\"currentTime\":\"2026-11-22T16:00:00Z\"}" : "{}";
    int length = snprintf(text, sizeof text, "[3,\"%.*s\",%s]", (int)(after - id), id, body);
    return send_frame(link, TEXT, text, (size_t)length, 0);
}

static int upgrade(Link *link) {
    char *end = end_of_head(link), value[29];
    if (!end) return 0;
    char *key = strcasestr(link->in, "sec-websocket-key:"), *offer = strcasestr(link->in, "sec-websocket-protocol: ocpp1.6");
    if (!key) return -1;
    key += strspn(key + 18, " ") + 18;
    size_t size = strcspn(key, "\r ");
    if (size > 64) return -1;
    accept_value(key, size, value);
    char *to = room(link, 512);
    link->out_have += (size_t)sprintf(to,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
        value, offer ? "Sec-WebSocket-Protocol: ocpp1.6\r\n" : "");
    drop_head(link, end);
    return flush(link);
}

static void drop(Link *link) {
    close(link->fd);
    free(link->out);
    free(link);
}

_Noreturn static void csms(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    struct epoll_event first = {.events = EPOLLIN}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            Link *link = events[i].data.ptr;
            if (!link) {
                for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    nodelay(fd);
                    Link *fresh = calloc(1, sizeof *fresh);
                    fresh->fd = fd;
                    watch(fresh, 0, EPOLL_CTL_ADD);
                }
                continue;
            }
            if ((events[i].events & EPOLLOUT && flush(link)) || (events[i].events & ~EPOLLOUT && receive(link) < 0)
                || (!link->open && upgrade(link)) || (link->open && take_frames(link, answer)))
                drop(link);
        }
    }
}

/* ---- the stations ---- */

static struct { int links, seconds, warm, rate, ping; char mode; } want = {50, 3, 1, 400, 20, 'c'};
static struct { uint64_t trips, measured, wrong, lost, late, pongs; } done;
static int measuring, stopping;
static const char *bodies[16];
static size_t sizes[16];

/* Latency: buckets of 1/64 of their size, so that any quantile is right to 1.6 %. */
static uint64_t buckets[64 * 64];

static void count(uint64_t ns) {
    int top = 63 - __builtin_clzll(ns | 64);
    buckets[(top - 6) * 64 + (ns >> (top - 6))]++;
}

static double quantile(double share) {
    uint64_t rank = (uint64_t)(share * (double)done.measured), seen = 0;
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++)
        if ((seen += buckets[i]) > rank) {
            size_t shift = i < 128 ? 0 : i / 64 - 1;
            return (double)((i - shift * 64) << shift) / 1e3;
        }
    return 0;
}

static void make_mix(void) {
    static char meter[1200];
    static const char *what[] = {"Energy.Active.Import.Register\",\"unit\":\"Wh", "Power.Active.Import\",\"unit\":\"W",
        "Current.Import\",\"phase\":\"L1\",\"unit\":\"A", "Current.Import\",\"phase\":\"L2\",\"unit\":\"A", "Current.Import\",\"phase\":\"L3\",\"unit\":\"A",
        "Voltage\",\"phase\":\"L1-N\",\"unit\":\"V", "Voltage\",\"phase\":\"L2-N\",\"unit\":\"V", "Voltage\",\"phase\":\"L3-N\",\"unit\":\"V"};
    int at = sprintf(meter, "MeterValues\",{\"connectorId\":1,\"transactionId\":4711,\"meterValue\":[{\"timestamp\":\"2026-11-22T16:00:00Z\",\"sampledValue\":[");
    for (int i = 0; i < 8; i++)
        at += sprintf(meter + at, "%s{\"value\":\"%d.%d0\",\"context\":\"Sample.Periodic\",\"format\":\"Raw\",\"measurand\":\"%s\"}", i ? "," : "", 230 + i, i, what[i]);
    sprintf(meter + at, "]}]}]");
    for (int i = 0; i < 16; i++) {          /* 10 of 16 MeterValues, 4 Heartbeat, 2 StatusNotification */
        bodies[i] = i % 8 == 3 || i % 8 == 6 ? "Heartbeat\",{}]"
                  : i % 8 == 7 ? "StatusNotification\",{\"connectorId\":1,\"errorCode\":\"NoError\",\"status\":\"Charging\",\"timestamp\":\"2026-11-22T16:00:00Z\"}]" : meter;
        sizes[i] = strlen(bodies[i]);
    }
}

static int call(Link *link) {
    static char text[1400];
    uint32_t kind = (link->calls++ + (uint32_t)link->number) % 16;
    int id = sprintf(text, "[2,\"%08x-%08x\",\"", (uint32_t)link->number, link->calls);
    memcpy(text + id, bodies[kind], sizes[kind]);
    link->waiting = 1;
    link->sent_at = now();
    return send_frame(link, TEXT, text, (size_t)id + sizes[kind], 1);
}

static int on_answer(Link *link, int opcode, char *payload, size_t size) {
    char expected[32];
    if (opcode == PONG) return done.pongs++, 0;
    if (opcode == PING) return send_frame(link, PONG, payload, size, 1);
    if (opcode != TEXT) return -1;
    int length = sprintf(expected, "[3,\"%08x-%08x\",{", (uint32_t)link->number, link->calls);
    if (!link->waiting || size < (size_t)length || memcmp(payload, expected, (size_t)length)) return done.wrong++, 0;
    link->waiting = 0;
    done.trips++;
    if (measuring) done.measured++, count(now() - link->sent_at);
    return want.mode == 'c' && !stopping ? call(link) : 0;
}

static void lose(Link *link) {
    done.lost++;
    close(link->fd);
    link->fd = -1;
}

static void serve(struct epoll_event *event) {
    Link *link = event->data.ptr;
    if (link->fd < 0) return;
    if ((event->events & EPOLLOUT && flush(link)) || (event->events & ~EPOLLOUT && receive(link) < 0)) { lose(link); return; }
    if (!link->open) {
        char *end = end_of_head(link);
        if (!end) return;
        if (strncmp(link->in, "HTTP/1.1 101 ", 13)) { fprintf(stderr, "wsload: not 101: %.100s\n", link->in); exit(1); }
        drop_head(link, end);
    }
    if (take_frames(link, on_answer)) lose(link);
}

static Link *dial(const struct sockaddr_in *to, int number) {
    Link *link = calloc(1, sizeof *link);
    link->number = number;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (link->fd < 0) die("socket");
    nodelay(link->fd);
    if (connect(link->fd, (const struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS) die("connect");
    link->out_have = (size_t)sprintf(room(link, 512),
        "GET /ocpp/CP%05d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
        "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n", number, ntohs(to->sin_port));
    watch(link, 1, EPOLL_CTL_ADD);
    return link;
}

static void turn_once(uint64_t until) {
    struct epoll_event events[512];
    uint64_t at = now();
    struct timespec left = {0, 0};
    if (until > at) left.tv_sec = (time_t)((until - at) / 1000000000u), left.tv_nsec = (long)((until - at) % 1000000000u);
    int count = epoll_pwait2(poller, events, 512, &left, NULL);
    for (int i = 0; i < count; i++) serve(&events[i]);
}

static double connect_all(Link **links, const struct sockaddr_in *to) {
    uint64_t begin = now(), last = begin;
    int dialled = 0, up = 0, before = 0;
    while (up < want.links) {
        while (dialled < want.links && dialled - up < 100) links[dialled] = dial(to, dialled), dialled++;
        turn_once(now() + 100000000u);
        for (up = 0; up < dialled && links[up]->open; up++) {}
        if (up > before) before = up, last = now();
        if (done.lost || now() - last > 15000000000u) { fprintf(stderr, "wsload: %d of %d links came up\n", up, want.links); exit(1); }
    }
    return (double)(now() - begin) / 1e9;
}

static int load(const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die("address");
    Link **links = calloc((size_t)want.links, sizeof *links);
    make_mix();
    double connected = connect_all(links, &to);
    if (want.mode == 'i') printf("{\"up\":%d}\n", want.links), fflush(stdout);
    uint64_t begin = now(), measure_at = begin + (uint64_t)want.warm * 1000000000u, end = measure_at + (uint64_t)want.seconds * 1000000000u;
    uint64_t step = want.mode == 'o' ? 1000000000u / (uint64_t)want.rate : want.mode == 'i' ? (uint64_t)want.ping * 1000000000u / (uint64_t)want.links : 0;
    uint64_t next = begin, at;
    if (want.mode == 'c') for (int i = 0; i < want.links; i++) if (call(links[i])) lose(links[i]);
    for (uint32_t turns = 0; (at = now()) < end;) {
        if (!measuring && at >= measure_at) measuring = 1;
        for (; step && next <= at; next += step) {
            Link *link = links[turns++ % (uint32_t)want.links];
            if (link->fd < 0) continue;
            if (want.mode == 'i' ? send_frame(link, PING, "idle", 4, 1) : link->waiting ? (done.late++, 0) : call(link)) lose(link);
        }
        uint64_t until = step && next < end ? next : end;
        turn_once(!measuring && measure_at < until ? measure_at : until);
    }
    stopping = 1;                          /* whoever still waits for an answer gets 5 seconds */
    uint64_t last_call = now() + 5000000000u;
    for (int waiting = 1; waiting && now() < last_call;) {
        waiting = 0;
        for (int i = 0; i < want.links; i++) waiting += links[i]->fd >= 0 && links[i]->waiting;
        if (waiting) turn_once(now() + 10000000u);
        else break;
    }
    for (int i = 0; i < want.links; i++) done.lost += links[i]->fd >= 0 && links[i]->waiting;
    printf("{\"links\":%d,\"trips\":%lu,\"measured\":%lu,\"rate\":%.0f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"wrong\":%lu,\"lost\":%lu,"
           "\"late\":%lu,\"pongs\":%lu,\"connected\":%.3f}\n",
           want.links, done.trips, done.measured, (double)done.measured / want.seconds, quantile(.5), quantile(.9), quantile(.99), quantile(.999),
           done.wrong, done.lost, done.late, done.pongs, connected);
    return done.wrong || done.lost ? 3 : 0;
}

static void option(const char *text) {
    const char *value = strchr(text, '=');
    int number = value ? atoi(value + 1) : 0;
    if (!value) { fprintf(stderr, "wsload: %s: not key=value\n", text); exit(2); }
    if (!strncmp(text, "links=", 6)) want.links = number;
    else if (!strncmp(text, "seconds=", 8)) want.seconds = number;
    else if (!strncmp(text, "warm=", 5)) want.warm = number;
    else if (!strncmp(text, "rate=", 5)) want.rate = number;
    else if (!strncmp(text, "ping=", 5)) want.ping = number;
    else if (!strncmp(text, "mode=", 5)) want.mode = value[1];
    else { fprintf(stderr, "wsload: unknown option %s\n", text); exit(2); }
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    for (int i = 4; i < argc; i++) option(argv[i]);
    if (argc == 3 && !strcmp(argv[1], "csms")) csms(atoi(argv[2]));
    if (argc >= 4 && !strcmp(argv[1], "load")) return load(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: wsload csms PORT | wsload load HOST PORT [key=value ...]\n");
    return 2;
}

/* Many Modbus TCP devices in one process, on libmodbus: what a benchmark polls. One thread, epoll.
 *
 *     modbus_devices REGISTERS INTERVAL_MS KIND...
 *
 * One device per KIND, each on a free port of 127.0.0.1. A KIND is how it answers:
 *     a number    so many milliseconds after the request (0: at once)
 *     mute        it takes connections and never says a word
 *     gone        it does not even take connections: as a host without power (its backlog is kept full)
 * The ports are printed on one line. Each line on standard input is answered by a line of what happened since the one
 * before: requests answered, connections taken, and the lateness of the requests to devices that answer at once, in us:
 * median, 99th percentile, maximum. Ends when its standard input ends.
 *
 * Lateness is seen from here, so that nobody has to believe the client: it lays its due times on multiples of the
 * interval in UTC, moved by a share of it that follows from the number of the device (edge/poll/schedule.py). How far
 * into its interval a request arrives is how late it is, the way through the kernel included; what is later than a
 * whole interval looks early. Clients with another grid get figures without meaning.
 *
 * Holding and input registers of a device are one memory, alive from 0 on: register 0 has bit 1 set (running), 8 and 9
 * count up once a second as one 32-bit number, high word first; from 16 on lie measurements, which tremble by 1 each
 * second; of a hundred of them CHANGES move by 100. Coils and discrete inputs are on where their address is even.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MUTE = -1, GONE = -2, MOST = 1000, FIRST_MEASURED = 16, CHANGES = 2, MOST_FDS = 4096, NOBODY = -1, INPUT = -2 };
#define NEVER_MS INT64_MAX
#define GOLDEN INT64_C(618033989)
enum { LATE_BUCKETS = 100000, BUCKET_NS = 10000 }; /* up to a second; the last is open */

typedef struct {
    int answers_ms; /* or MUTE, GONE */
    int listener;
    modbus_mapping_t *memory;
} device_t;

static device_t devices[MOST];
static int owner[MOST_FDS];         /* of a socket: its device; NOBODY, or INPUT */
static int64_t answer_at[MOST_FDS]; /* when the request that waits in this socket is answered */
static uint32_t chance = 1;
static long long requests, connections;
static int64_t interval_ns;
static int64_t share_ns[MOST]; /* of a device: how far its due times are moved */
static int64_t late[LATE_BUCKETS], latest_ns;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note_lateness(int device) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ns = ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec - share_ns[device]) % interval_ns;
    int64_t bucket = ns / BUCKET_NS;
    late[bucket < LATE_BUCKETS ? bucket : LATE_BUCKETS - 1]++;
    if (ns > latest_ns) latest_ns = ns;
}

static double lateness_us(double share) {
    int64_t all = 0, seen = 0;
    for (int b = 0; b < LATE_BUCKETS; b++) all += late[b];
    for (int b = 0; b < LATE_BUCKETS; b++) {
        seen += late[b];
        if (seen > 0 && (double)seen >= share * (double)all) return (b + 1) * (BUCKET_NS / 1e3);
    }
    return 0;
}

static uint32_t draw(void) {
    chance = chance * 1664525u + 1013904223u;
    return chance >> 8;
}

static int open_port(device_t *device) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, device->answers_ms == GONE ? 0 : 64)) return -1;
    getsockname(fd, (struct sockaddr *)&address, &size);
    if (device->answers_ms == GONE) { /* one connection fills a backlog of none; whoever comes later hears nothing */
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(filler, (struct sockaddr *)&address, size);
    }
    device->listener = fd;
    return ntohs(address.sin_port);
}

static void live(int count, int registers) {
    for (int d = 0; d < count; d++) {
        uint16_t *memory = devices[d].memory->tab_registers;
        if (++memory[9] == 0) memory[8]++;
        for (int r = FIRST_MEASURED; r < registers; r++) {
            uint32_t drawn = draw();
            memory[r] ^= drawn & 1;
            if (drawn >> 1 & 1 ? 0 : (drawn >> 2) % 50 < CHANGES) memory[r] = (uint16_t)(1000 + (drawn >> 9) % 9 * 100);
        }
        memcpy(devices[d].memory->tab_input_registers, memory, sizeof *memory * (size_t)registers);
    }
}

static void watch(int poll, int fd, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poll, operation, fd, &event);
}

static void answer(modbus_t *context, int fd) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(context, fd);
    int length = modbus_receive(context, query);
    if (length > 0) {
        requests++;
        if (devices[owner[fd]].answers_ms == 0) note_lateness(owner[fd]);
        modbus_reply(context, query, length, devices[owner[fd]].memory);
    } else if (length < 0) {
        owner[fd] = NOBODY;
        close(fd);
    }
}

static void take(int poll, int listener) {
    int device = owner[listener], fd = accept(listener, NULL, NULL);
    if (fd < 0) return;
    if (fd >= MOST_FDS) {
        close(fd);
        return;
    }
    connections++;
    owner[fd] = device;
    answer_at[fd] = NEVER_MS;
    watch(poll, fd, EPOLL_CTL_ADD, devices[device].answers_ms == MUTE ? EPOLLRDHUP : EPOLLIN);
}

static int tell(void) {
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0) return 0;
    printf("%lld %lld %.0f %.0f %.0f\n", requests, connections, lateness_us(0.5), lateness_us(0.99), (double)latest_ns / 1e3);
    fflush(stdout);
    requests = connections = latest_ns = 0;
    memset(late, 0, sizeof late);
    return 1;
}

/* Answer what has waited long enough. Returns when to look again. */
static int64_t answer_late(modbus_t *context, int poll, int64_t now) {
    int64_t next = NEVER_MS;
    for (int fd = 0; fd < MOST_FDS; fd++) {
        if (owner[fd] < 0 || answer_at[fd] == NEVER_MS) continue;
        if (answer_at[fd] > now) {
            if (answer_at[fd] < next) next = answer_at[fd];
            continue;
        }
        answer_at[fd] = NEVER_MS;
        answer(context, fd);
        if (owner[fd] >= 0) watch(poll, fd, EPOLL_CTL_MOD, EPOLLIN);
    }
    return next;
}

static void ready(modbus_t *context, int poll, const struct epoll_event *event, int64_t *next_answer) {
    int fd = event->data.fd, device = owner[fd];
    if (device < 0) return;
    if (fd == devices[device].listener) {
        take(poll, fd);
    } else if (devices[device].answers_ms == MUTE) {
        owner[fd] = NOBODY;
        close(fd);
    } else if (devices[device].answers_ms == 0) {
        answer(context, fd);
    } else if (answer_at[fd] == NEVER_MS) {
        answer_at[fd] = now_ms() + devices[device].answers_ms;
        if (answer_at[fd] < *next_answer) *next_answer = answer_at[fd];
        watch(poll, fd, EPOLL_CTL_MOD, 0);
    }
}

int main(int arguments, char **argument) {
    int registers = arguments > 3 ? atoi(argument[1]) : 0, interval_ms = arguments > 3 ? atoi(argument[2]) : 0;
    int count = arguments - 3;
    int poll = epoll_create1(0);
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    if (registers <= FIRST_MEASURED || registers > 65536 || interval_ms < 1 || count > MOST || !context || poll < 0) {
        fprintf(stderr, "modbus_devices: REGISTERS (17 ... 65536) INTERVAL_MS KIND... (1 ... %d of them)\n", MOST);
        return 2;
    }
    interval_ns = (int64_t)interval_ms * 1000000;
    for (int fd = 0; fd < MOST_FDS; fd++) owner[fd] = NOBODY, answer_at[fd] = NEVER_MS;
    for (int d = 0; d < count; d++) {
        const char *kind = argument[d + 3];
        share_ns[d] = d * GOLDEN % 1000000000 * interval_ns / 1000000000;
        devices[d].answers_ms = !strcmp(kind, "mute") ? MUTE : !strcmp(kind, "gone") ? GONE : atoi(kind);
        devices[d].memory = modbus_mapping_new(registers, registers, registers, registers);
        int port = open_port(&devices[d]);
        if (port < 0 || !devices[d].memory) {
            fprintf(stderr, "modbus_devices: device %d: %s\n", d, strerror(errno));
            return 1;
        }
        for (int r = 0; r < registers; r++) {
            devices[d].memory->tab_registers[r] = r ? r < FIRST_MEASURED ? 0 : 1000 : 2;
            devices[d].memory->tab_bits[r] = devices[d].memory->tab_input_bits[r] = r % 2 == 0;
        }
        printf("%d%c", port, d + 1 < count ? ' ' : '\n');
        if (devices[d].answers_ms == GONE) continue;
        owner[devices[d].listener] = d;
        watch(poll, devices[d].listener, EPOLL_CTL_ADD, EPOLLIN);
    }
    owner[STDIN_FILENO] = INPUT;
    watch(poll, STDIN_FILENO, EPOLL_CTL_ADD, EPOLLIN);
    fflush(stdout);

    int64_t next_tick = now_ms(), next_answer = NEVER_MS;
    for (;;) {
        struct epoll_event events[64];
        int64_t now = now_ms(), next = next_answer < next_tick ? next_answer : next_tick;
        int n = epoll_wait(poll, events, 64, next > now ? (int)(next - now) : 0);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == STDIN_FILENO) {
                if (!tell()) return 0;
            } else {
                ready(context, poll, &events[i], &next_answer);
            }
        }
        now = now_ms();
        if (next_answer <= now) next_answer = answer_late(context, poll, now);
        if (next_tick <= now) {
            live(count, registers);
            next_tick += 1000;
        }
    }
}

/* A foreign Modbus TCP server for the tests: libmodbus, one thread, several clients.
 *
 * Serves addresses 0 ... 199 of every table, or as many as its argument says; anything beyond is answered with exception
 * 2, as libmodbus does.
 * Holding register n is n * 257, input register n is 65535 - n, coil n is on where n is divisible by 3, discrete input n
 * where n is odd. That is unit 1 and, as in many a PLC, every unit id but 2 and 3: there all is shifted by 1 and 2, as
 * foreign.py tells. Listens on a free port of 127.0.0.1 and prints it; ends when its standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNITS = 3, UNIT_ID = 6 };

static modbus_mapping_t *memory(int addresses, int shift) {
    modbus_mapping_t *map = modbus_mapping_new(addresses, addresses, addresses, addresses);
    for (int n = 0; map && n < addresses; n++) {
        map->tab_bits[n] = (n + shift) % 3 == 0;
        map->tab_input_bits[n] = (n + shift) % 2 == 1;
        map->tab_registers[n] = (uint16_t)(n * 257 + shift);
        map->tab_input_registers[n] = (uint16_t)(65535 - n - shift);
    }
    return map;
}

static void print_port(int listener) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    int addresses = count > 1 ? atoi(arguments[1]) : 200;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    const char *address = getenv("LISTEN"); /* where it listens, in place of the loopback address */
    modbus_t *context = modbus_new_tcp(address ? address : "127.0.0.1", 0);
    modbus_mapping_t *maps[UNITS] = {memory(addresses, 0), memory(addresses, 1), memory(addresses, 2)};
    int listener = context && maps[0] && maps[1] && maps[2] ? modbus_tcp_listen(context, 64) : -1;
    if (listener < 0) {
        fprintf(stderr, "libmodbus_server: %s\n", modbus_strerror(errno));
        return 1;
    }
    print_port(listener);

    fd_set watched;
    FD_ZERO(&watched);
    FD_SET(STDIN_FILENO, &watched);
    FD_SET(listener, &watched);
    int highest = listener;
    for (;;) {
        fd_set ready = watched;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        if (FD_ISSET(STDIN_FILENO, &ready)) return 0;
        for (int fd = 1; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client < 0) continue;
                FD_SET(client, &watched);
                if (client > highest) highest = client;
                continue;
            }
            modbus_set_socket(context, fd);
            int length = modbus_receive(context, query);
            if (length > 0) {
                int unit = query[UNIT_ID];
                modbus_reply(context, query, length, maps[unit >= 1 && unit <= UNITS ? unit - 1 : 0]);
            } else if (length < 0) {
                close(fd);
                FD_CLR(fd, &watched);
            }
        }
    }
}

/* Reads 125 holding registers so many times, one request after the other, on libmodbus: the limit.
 *
 *     modbus_client PORT REQUESTS
 *
 * Prints CPU nanoseconds a request.
 */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int arguments, char **argument) {
    uint16_t registers[125];
    int requests = arguments > 2 ? atoi(argument[2]) : 0;
    modbus_t *context = requests > 0 ? modbus_new_tcp("127.0.0.1", atoi(argument[1])) : NULL;
    if (!context || modbus_connect(context)) {
        fprintf(stderr, "modbus_client: %s\n", modbus_strerror(errno));
        return 1;
    }
    struct timespec began, ended;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    for (int n = 0; n < requests; n++) {
        if (modbus_read_registers(context, 0, 125, registers) != 125) {
            fprintf(stderr, "modbus_client: %s\n", modbus_strerror(errno));
            return 1;
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    printf("%.1f\n", ((double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec)) / requests);
    return 0;
}

// A foreign Modbus TCP server for the tests: modbus-serial on Node.
//
// Serves addresses 0 … 199 of every table of the units 1, 2 and 3; anything beyond is answered with exception 2, any other
// unit with exception 11, as a gateway does. What the tables hold is told in foreign.py. Listens on a free port of
// 127.0.0.1 and prints it; ends when its standard input ends.
"use strict";

const net = require("net");
const ServerTCP = require("modbus-serial/servers/servertcp");

const ADDRESSES = 200;
const UNITS = 3;

function refuse(code) {
  throw Object.assign(new Error(`exception ${code}`), { modbusErrorCode: code });
}

function served(value) {
  return (address, unit) => {
    if (unit < 1 || unit > UNITS) refuse(11);
    if (address >= ADDRESSES) refuse(2);
    return value(address, unit - 1);
  };
}

const memory = {
  getHoldingRegister: served((n, shift) => (n * 257 + shift) & 0xffff),
  getInputRegister: served((n, shift) => 65535 - n - shift),
  getCoil: served((n, shift) => (n + shift) % 3 === 0),
  getDiscreteInput: served((n, shift) => (n + shift) % 2 === 1),
  readDeviceIdentification: () => ({ 0: "Seamline tests", 1: "modbus-serial", 2: "1.0" }),
};

// The server takes no port 0, so a free one is found first.
const probe = net.createServer().listen(0, "127.0.0.1", () => {
  const { port } = probe.address();
  probe.close(() => {
    const server = new ServerTCP(memory, { host: "127.0.0.1", port });
    server.on("initialized", () => console.log(port));
  });
});

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

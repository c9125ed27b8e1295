// A foreign OPC UA server for the tests, on node-opcua. One JSON object as argument; one JSON line per event on stdout; JSON
// lines on stdin are commands. It exits when stdin closes, so that no test can leave it behind.
"use strict";
// Debian 12 ships Node 18, which has WebCrypto but not as a global; node-opcua looks for the global.
globalThis.crypto ??= require("node:crypto").webcrypto;

const options = {
  port: 0, items: 0, period: 100, secure: false, shift: 0, types: false, folder: null, clockAhead: 0, numeric: 0,
  maxItems: 0, sessions: 10, perRead: 40, perMonitor: 30, perTranslate: 10, folders: 0, each: 0, history: 0, ...JSON.parse(process.argv[2] || "{}"),
};
const Honest = Date;
let stoppedAt = null; // ms; while it is set, this server's clock stands still
globalThis.Date = class extends Honest { // wrong by `clockAhead` ms
  constructor(...given) { given.length ? super(...given) : super(Date.now()); }
  static now() { return stoppedAt ?? Honest.now() + options.clockAhead; }
};

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const {
  DataType, DataValue, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, Variant,
  VariantArrayType, nodesets, resolveNodeId,
} = require("node-opcua");

const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");

// Knows the clients a person at the server has trusted; its folders' watchers would need seconds to notice.
class Strict extends OPCUACertificateManager {
  known = [];
  async checkCertificate(certificate) {
    const leaf = Array.isArray(certificate) ? certificate[0] : certificate;
    return this.known.some((one) => one.equals(leaf)) ? StatusCodes.Good : StatusCodes.BadCertificateUntrusted;
  }
}

async function main() {
  const certificates = new (options.strict ? Strict : OPCUACertificateManager)({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: path.join(options.folder, "pki"),
  });
  const server = new OPCUAServer({
    port: options.port,
    maxConnectionsPerEndpoint: options.sessions * 2,
    hostname: "127.0.0.1",
    serverCertificateManager: certificates,
    ...(options.certificate ? { certificateFile: options.certificate, privateKeyFile: options.key } : {}),
    ...(options.uri ? { serverInfo: { applicationUri: options.uri } } : {}),
    userCertificateManager: certificates,
    nodeset_filename: options.types ? [nodesets.standard, path.join(__dirname, "count.xml")] : [nodesets.standard],
    securityPolicies: options.secure === "all"
      ? [SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss]
      : options.secure
      ? [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss]
      : [SecurityPolicy.None],
    securityModes: options.secure === "all"
      ? [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt]
      : options.secure ? [MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt] : [MessageSecurityMode.None],
    allowAnonymous: options.secure !== true,
    userManager: { isValidUser: (name, password) => name === "reader" && password === "secret" },
    disableDiscovery: !options.secure, // the endpoints of a secured server are listed over an unsecured channel
    serverCapabilities: {
      maxSessions: options.sessions,
      ...(options.points ? { maxBrowseContinuationPoints: options.points } : {}),
      ...(options.maxItems ? { maxMonitoredItemsPerSubscription: options.maxItems } : {}),
      operationLimits: {
        maxNodesPerRead: options.perRead, maxMonitoredItemsPerCall: options.perMonitor,
        maxNodesPerTranslateBrowsePathsToNodeIds: options.perTranslate,
      },
    },
  });
  const traffic = { requests: {} };
  server.on("request", (request) => {
    const name = request.schema.name;
    traffic.requests[name] = (traffic.requests[name] || 0) + 1;
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  for (let i = 0; i < options.shift; i++) space.registerNamespace("urn:seamline:shift" + i); // other programs came first
  const own = space.registerNamespace("urn:seamline:peer");
  const machine = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Machine" });
  const add = (name, dataType, value, extra = {}) => {
    const node = own.addVariable({
      componentOf: machine, browseName: name, nodeId: "s=" + name, dataType, minimumSamplingInterval: 50, ...extra,
    });
    if (value !== undefined) node.setValueFromSource(value);
    return node;
  };
  const total = add("Total", "UInt32", { dataType: DataType.UInt32, value: 0 });
  add("Speed", "Double", { dataType: DataType.Double, value: 61.5 });
  add("Recipe", "String", { dataType: DataType.String, value: "平面口罩" });
  add("Counts", "Int32", { dataType: DataType.Int32, arrayType: VariantArrayType.Array, value: [7, 8, 9] }, { valueRank: 1 });
  const weld = add("Weld", "Double", { dataType: DataType.Double, value: 180.0 });
  if (options.types) {
    const index = space.getNamespaceIndex("urn:seamline:count");
    const type = space.findDataType(resolveNodeId(`ns=${index};i=3001`));
    const made = (acc) => space.constructExtensionObject(type, {
      iD: 1, name: "good", unit: { namespaceUri: "urn:u", unitId: 4408652, displayName: { text: "pcs" }, description: { text: "pieces" } },
      mode: 1, cycle: 480.5, count: acc % 1000, accCount: acc,
    });
    add("Good", type.nodeId, { dataType: DataType.ExtensionObject, value: made(123456) });
    add("Processed", type.nodeId, {
      dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value: [made(1001), made(2002)],
    }, { valueRank: 1 });
  }
  if (options.numeric) { // numeric ids, as a program download gives them: other ones every time
    own.addVariable({
      componentOf: machine, browseName: "Numbered", nodeId: "i=" + options.numeric, dataType: "UInt32",
    }).setValueFromSource({ dataType: DataType.UInt32, value: 4711 });
    own.addVariable({
      componentOf: machine, browseName: "Other", nodeId: "i=" + (options.numeric - 100), dataType: "UInt32",
    }).setValueFromSource({ dataType: DataType.UInt32, value: 13 });
  }
  if (options.history) space.installHistoricalDataNode(total, { maxOnlineValues: options.history });
  const items = [];
  for (let i = 0; i < options.items; i++) {
    items.push(add("V" + i, "Double", { dataType: DataType.Double, value: 0 }, { minimumSamplingInterval: 0 }));
  }

  // A wide and deep place to browse: folders of variables, one leading back to the top, a name with every awkward letter.
  const deep = options.folders ? own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Plant" }) : null;
  for (let f = 0; f < options.folders; f++) {
    const folder = own.addObject({ organizedBy: deep, browseName: "Line" + f });
    for (let i = 0; i < options.each; i++) {
      own.addVariable({ componentOf: folder, browseName: "T" + i, nodeId: `s=L${f}.T${i}`, dataType: i % 2 ? "Double" : "UInt32" });
    }
    if (f === 0) {
      folder.addReference({ referenceType: "Organizes", nodeId: deep });
      own.addVariable({ componentOf: folder, browseName: "产量/小时: \"A&B\"", nodeId: "s=odd;%", dataType: "Int16", valueRank: 1 });
    }
  }

  let count = 0;
  setInterval(() => {
    count += 1;
    total.setValueFromSource({ dataType: DataType.UInt32, value: count });
    for (const item of items) item.setValueFromSource({ dataType: DataType.Double, value: count });
  }, options.period);

  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.do === "bad") {
      weld.setValueFromSource({ dataType: DataType.Double, value: 0 }, StatusCodes[command.status]);
    } else if (command.do === "weld") {
      weld.setValueFromSource({ dataType: DataType.Double, value: command.value });
    } else if (command.do === "clock") {
      stoppedAt = command.stands ? Date.now() : null;
    } else if (command.do === "add") {
      add(command.name, "UInt32", { dataType: DataType.UInt32, value: command.value });
    } else if (command.do === "trust") {
      certificates.known.push(fs.readFileSync(command.file));
    } else if (command.do === "stats") {
      say({ sessions: server.engine.currentSessionCount, made: server.engine.cumulatedSessionCount, subscriptions: server.engine.currentSubscriptionCount,
        names: Object.values(server.engine._sessions).map((session) => session.sessionName), requests: traffic.requests, count });
    }
  }).on("close", () => process.exit(0));

  await server.start();
  say({ port: server.endpoints[0].port, namespace: own.index });
}

main().catch((error) => { console.error(error); process.exit(1); });

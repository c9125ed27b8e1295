// The OPC Foundation's PackML, Machinery and Jobs models on node-opcua: one PackML machine and one machinery item
// with job management, made from the types of their nodesets (npm node-opcua-nodesets). One JSON line on stdout when it listens;
// JSON lines on stdin set values: {"do": "set", "values": {"path/from/the/machine": value, …}} sets all of them within one turn of the loop.
"use strict";
globalThis.crypto ??= require("node:crypto").webcrypto;

const path = require("node:path");
const readline = require("node:readline");
const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, Variant, VariantArrayType, nodesets,
} = require("node-opcua");

const options = { port: 0, folder: null, ...JSON.parse(process.argv[2] || "{}") };
const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");

async function main() {
  const certificates = new OPCUACertificateManager({ automaticallyAcceptUnknownCertificate: true, rootFolder: path.join(options.folder, "pki") });
  const server = new OPCUAServer({
    port: options.port, hostname: "127.0.0.1",
    serverCertificateManager: certificates, userCertificateManager: certificates,
    nodeset_filename: [
      nodesets.standard, nodesets.di, nodesets.ia, nodesets.packML, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs,
    ],
    securityPolicies: [SecurityPolicy.None], securityModes: [MessageSecurityMode.None], disableDiscovery: true,
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:seamline:companion");
  const index = (uri) => space.getNamespaceIndex(uri);
  const packml = index("http://opcfoundation.org/UA/PackML/");
  const machinery = index("http://opcfoundation.org/UA/Machinery/");
  const objects = space.rootFolder.objects;

  const filler = space.findObjectType("PackMLBaseObjectType", packml).instantiate({
    browseName: "Filler", organizedBy: objects, namespace: own,
    optionals: ["Status", "Admin", "BaseStateMachine", "BaseStateMachine.CurrentState.Number", "BaseStateMachine.MachineState",
      "BaseStateMachine.MachineState.CurrentState.Number", "BaseStateMachine.MachineState.ExecuteState",
      "BaseStateMachine.MachineState.ExecuteState.CurrentState.Number",
      ...["StateChangeInProcess", "Product"].map((name) => "Status." + name),
      ...["ProdProcessedCount", "ProdDefectiveCount", "ProdConsumedCount", "StopReason", "AccTimeSinceReset", "MachDesignSpeed",
        "StateCurrentTime", "StateCumulativeTime", "ModeCurrentTime", "ModeCumulativeTime"].map((name) => "Admin." + name)],
  });
  const press = own.addObject({ browseName: "Press", organizedBy: objects });
  const blocks = own.addObject({ browseName: { name: "MachineryBuildingBlocks", namespaceIndex: machinery }, componentOf: press });
  for (const [type, name] of [["MachineryItemState_StateMachineType", "MachineryItemState"], ["MachineryOperationModeStateMachineType", "MachineryOperationMode"]]) {
    space.findObjectType(type, machinery).instantiate({
      browseName: { name, namespaceIndex: machinery }, componentOf: blocks, namespace: own, optionals: ["CurrentState.Number"],
    });
  }
  space.findObjectType("MachineryOperationCounterType", machinery).instantiate({
    browseName: { name: "OperationCounters", namespaceIndex: index("http://opcfoundation.org/UA/DI/") }, componentOf: blocks, namespace: own,
    optionals: ["PowerOnDuration", "OperationDuration", "OperationCycleCounter"],
  });

  const jobs = index("http://opcfoundation.org/UA/Machinery/Jobs/");
  space.findObjectType("JobManagementType", jobs).instantiate({
    browseName: { name: "JobManagement", namespaceIndex: jobs }, componentOf: blocks, namespace: own,
    optionals: ["JobOrderResults.JobOrderResponseList"],
  });

  const child = (node, name) => {
    const refs = node.findReferencesExAsObject("HierarchicalReferences").concat(node.findReferencesExAsObject("Aggregates"));
    return refs.find((one) => one.browseName.name === name);
  };
  const find = (where) => where.split("/").reduce((node, name) => {
    const next = node && child(node, name);
    if (!next) throw new Error(`${where}: no ${name} under ${node && node.browseName} (${node && node.findReferencesExAsObject("Aggregates").map((one) => one.browseName.name)})`);
    return next;
  }, objects);
  const types = { UInt32: DataType.UInt32, Double: DataType.Double, Float: DataType.Float, Int32: DataType.Int32, Boolean: DataType.Boolean };
  // A value is [type, value]; "PackMLCountDataType[]" is an array of structures, "Int32[,]" a matrix {dimensions, values}.
  const structures = { PackML: packml, ISA95: index("http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/") };
  const { lowerFirstLetter } = require("node-opcua-utils"); // how the library names fields
  const lower = (one) => Array.isArray(one) ? one.map(lower) : one && typeof one === "object"
    ? Object.fromEntries(Object.entries(one).map(([name, inner]) => [lowerFirstLetter(name), lower(inner)])) : one;
  const made = (type, fields) => {
    const namespace = structures[Object.keys(structures).find((start) => type.startsWith(start))];
    return space.constructExtensionObject(space.findDataType(type, namespace), lower(fields));
  };
  const variant = (type, value) => {
    if (type.endsWith("[,]")) return { dataType: types[type.slice(0, -3)], arrayType: VariantArrayType.Matrix, dimensions: value.dimensions, value: value.values };
    const [plain, many] = type.endsWith("[]") ? [type.slice(0, -2), true] : [type, false];
    const arrayType = many ? VariantArrayType.Array : VariantArrayType.Scalar;
    if (types[plain]) return { dataType: types[plain], arrayType, value };
    return { dataType: DataType.ExtensionObject, arrayType, value: many ? value.map((one) => made(plain, one)) : made(plain, value) };
  };
  const set = (where, [type, value]) => find(where).setValueFromSource(new Variant(variant(type, value)));

  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    for (const [where, value] of Object.entries(command.values || {})) {
      try { set(where, value); } catch (error) { console.error(String(error)); say({ error: String(error) }); return; }
    }
    say({ set: Object.keys(command.values || {}).length });
  }).on("close", () => process.exit(0));

  await server.start();
  say({ port: server.endpoints[0].port });
}

main().catch((error) => { console.error(error); process.exit(1); });

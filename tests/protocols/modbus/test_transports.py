"""Every transport against a foreign server: TCP with RTU and ASCII frames, UDP, TLS with real certificates."""

import asyncio
import datetime as dt
import ipaddress
import os
import socket
import ssl
import threading
import warnings
from contextlib import asynccontextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fixtures.ports import free_port
from peers.modbus import running
from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from protocols.errors import Fault
from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusConnectionError, ModbusExceptionReply, ModbusProtocolError, ModbusTimeout
from protocols.modbus.plan import Request
from protocols.modbus.rtu import crc16
from protocols.modbus.tags import Framing, Table, TcpEndpoint, TlsFiles, UdpEndpoint

MS = 1_000_000
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def ask(address=10, quantity=4, unit=1):
    return Request(Table.HOLDING_REGISTERS, unit, address, quantity, 10**9, 0, 1)


def device():
    return SimDevice(id=1, simdata=[SimData(0, count=50, values=7, datatype=SimType.REGISTERS)])


def port_of(server):
    transport = server.transport
    sock = transport.sockets[0] if hasattr(transport, "sockets") else transport.get_extra_info("socket")
    return sock.getsockname()[1]


@asynccontextmanager
async def serving(speak):
    """A server that speaks as told on every connection, then hangs up; yields its port."""

    async def serve(reader, writer):
        try:
            await speak(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def check(endpoint):
    """Data, a refusal, data again."""
    client = ModbusClient(endpoint)
    await client.connect()
    assert await client.read(ask()) == b"\0\7" * 4
    with pytest.raises(ModbusExceptionReply):
        await client.read(ask(49, 2))
    assert await client.read(ask(0, 1)) == b"\0\7"
    assert client.counters.dropped_frames == 0
    client.close()


@pytest.mark.parametrize("framing", [Framing.RTU, Framing.ASCII])
async def test_serial_frames_over_tcp(framing):
    """Gateways that pass serial frames through."""
    server = ModbusTcpServer(device(), framer=FramerType(framing.value), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    await check(TcpEndpoint("127.0.0.1", port_of(server), framing=framing))
    await server.shutdown()


async def test_damaged_frame_over_tcp():
    """Behind a transparent gateway there is no silence to be heard: a damaged answer is told at the deadline."""

    async def speak(reader, writer):
        await reader.read(8)
        frame = b"\x01\x03\x02\x00\x05"
        writer.write(frame + bytes(byte ^ 1 for byte in crc16(frame)))
        await reader.read(8)
        writer.write(frame + crc16(frame))

    async with serving(speak) as port:
        client = ModbusClient(TcpEndpoint("127.0.0.1", port, framing=Framing.RTU, deadline_ns=100 * MS))
        await client.connect()
        with pytest.raises(ModbusProtocolError) as raised:
            await client.read(ask(0, 1))
        assert raised.value.reason == "damaged"
        assert await client.read(ask(0, 1)) == b"\0\5"
        client.close()


async def test_half_open_sockets_are_noticed(libmodbus_server):
    """Keep-alive when idle, a limit on unacknowledged bytes when not; and small requests leave at once."""
    async with running(libmodbus_server) as port:
        client = ModbusClient(TcpEndpoint("127.0.0.1", port))
        await client.connect()
        sock = client._connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        idle_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        probe_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        probes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        assert idle_s + probe_s * probes <= 30
        assert 0 < sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000
        client.close()


async def test_identification_of_a_foreign_server():
    """43/14: vendor, product and the rest, as pymodbus's server tells them."""
    told = ModbusDeviceIdentification(
        info_name={"VendorName": "Inovance", "ProductCode": "H5U", "MajorMinorRevision": "1.2", "ModelName": "H5U-1614"}
    )
    server = ModbusTcpServer(device(), identity=told, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    client = ModbusClient(TcpEndpoint("127.0.0.1", port_of(server)))
    await client.connect()
    identity = await client.identify(1)
    said = (identity.vendor, identity.product, identity.revision, identity.model)
    assert said == ("Inovance", "H5U", "1.2", "H5U-1614")
    client.close()
    await server.shutdown()


async def test_identification_in_parts():
    """More follows: the next part is asked for where the device says; one that does not know 43/14 says so."""

    def part(*objects, conformity=1, more=0, following=0):
        body = b"".join(bytes((number, len(text))) + text for number, text in objects)
        pdu = bytes((0x2B, 0x0E, 1, conformity, more, following, len(objects))) + body
        return lambda request, _: request[:5] + bytes((len(pdu) + 1,)) + request[6:7] + pdu

    async def speak(reader, writer):
        for reply in replies:
            request = await reader.readexactly(11)
            asked.append(request[7:])
            writer.write(reply(request, b""))

    asked = []
    replies = [
        part((0, b"Inovance"), more=0xFF, following=1, conformity=0x82),
        part((1, b"H5U"), (2, b"1.2"), conformity=0x82),
        part((0, b"Inovance"), (5, b"H5U-1614"), conformity=0x82),
        part((0, b"a"), more=0xFF, following=0),
        lambda request, _: request[:5] + b"\x03" + request[6:7] + b"\xab\x01",
    ]
    async with serving(speak) as port:
        client = ModbusClient(TcpEndpoint("127.0.0.1", port))
        await client.connect()
        identity = await client.identify(1)
        said = (identity.vendor, identity.product, identity.revision, identity.model)
        assert said == ("Inovance", "H5U", "1.2", "H5U-1614")
        assert asked == [bytes.fromhex(pdu) for pdu in ("2B0E0100", "2B0E0101", "2B0E0200")]
        with pytest.raises(ModbusProtocolError, match="goes back"):
            await client.identify(1)
        with pytest.raises(ModbusExceptionReply) as raised:
            await client.identify(1)
        assert raised.value.code == 1
        client.close()


# UDP


async def test_udp():
    """Datagrams, against a foreign server."""
    server = ModbusUdpServer(device(), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    await check(UdpEndpoint("127.0.0.1", port_of(server)))
    await server.shutdown()


class Datagrams(asyncio.DatagramProtocol):
    """Register n holds n; `replies` says which datagrams a request is answered with."""

    def __init__(self):
        self.replies = lambda honest: [honest]

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        honest = data[:4] + b"\0\5" + data[6:8] + b"\2" + data[8:10]
        for reply in self.replies(honest):
            self.transport.sendto(reply, addr)


@pytest.fixture
async def datagrams():
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()


async def test_lost_doubled_and_damaged_datagrams(datagrams):
    """A lost datagram costs its deadline, a doubled one is counted, and one that is no frame harms nothing else."""
    port = datagrams.transport.get_extra_info("sockname")[1]
    client = ModbusClient(UdpEndpoint("127.0.0.1", port, depth=2, deadline_ns=100 * MS))
    await client.connect()
    datagrams.replies = lambda _: []
    with pytest.raises(ModbusTimeout):
        await client.read(ask(1, 1))
    datagrams.replies = lambda honest: [honest, honest]
    assert await client.read(ask(2, 1)) == b"\0\2"
    datagrams.replies = lambda honest: [b"HTTP/1.1 400", honest[:9], honest + b"\0\1\0", honest]
    assert await client.read(ask(3, 1)) == b"\0\3"
    counters, wanted = client.counters, (2, 2, 12)
    async with asyncio.timeout(30):
        while (counters.duplicates, counters.truncated, counters.noise_bytes) != wanted:  # noqa: ASYNC110 - figures
            await asyncio.sleep(0.005)
    assert client.connected
    client.close()


async def test_udp_to_nobody():
    """Where nobody listens the network says so, and the request does not wait for its deadline."""
    client = ModbusClient(UdpEndpoint("127.0.0.1", free_port(), deadline_ns=10_000 * MS))
    await client.connect()
    with pytest.raises(ModbusConnectionError) as raised:
        await client.read(ask())
    assert raised.value.reason == "refused"
    client.close()


# TLS


class Authority:
    """A CA of our own, and certificates it signs; all as PEM files."""

    def __init__(self, folder, name="plant CA"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self.subject, self.key, NOW - DAY, NOW + DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = self._write("ca.pem", builder.sign(self.key, hashes.SHA256()))

    def _builder(self, subject, key, begins, ends):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )

    def _write(self, name, certificate):
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def issue(self, name, begins=NOW - DAY, ends=NOW + DAY, address="127.0.0.1", password=None):
        """Certificate and key file of one party."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
        builder = self._builder(subject, key, begins, ends)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        key_file = self.folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret),
        )
        return self._write(f"{name}.pem", builder.sign(self.key, hashes.SHA256())), str(key_file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


class TlsServer:
    """pymodbus's server behind a certificate; with `demand`, it wants one of the client, too."""

    def __init__(self, files, demand=None, version=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*files)
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        if demand:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(demand)

    async def __aenter__(self):
        self.server = ModbusTlsServer(device(), framer=FramerType.SOCKET, address=("127.0.0.1", 0), sslctx=self.context)
        await self.server.serve_forever(background=True)
        return port_of(self.server)

    async def __aexit__(self, *_):
        await self.server.shutdown()


def over_tls(port, host="127.0.0.1", **files):
    return TcpEndpoint(host, port, tls=TlsFiles(**files), deadline_ns=2000 * MS)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
async def test_tls_with_certificates_of_both_sides(authority, version):
    """Modbus/TCP Security as specified, in TLS 1.2 and 1.3, with a CA of the plant."""
    certificate, key = authority.issue("gateway")
    async with TlsServer(authority.issue("plc"), demand=authority.ca, version=version) as port:
        await check(over_tls(port, ca=authority.ca, certificate=certificate, key=key))


async def test_tls_by_name_and_by_one_certificate(authority):
    """A name other than the host's, and trust in the certificate of this one device instead of a CA."""
    files = authority.issue("plc", address="192.0.2.1")
    async with TlsServer(files) as port:
        await check(over_tls(port, ca=authority.ca, server_name="plc"))
        await check(over_tls(port, ca=files[0], server_name="plc"))


async def reason_of(endpoint):
    """Why no reading is possible: at the connection, or, in TLS 1.3, right after it."""
    client = ModbusClient(endpoint)

    async def connect_and_read():
        await client.connect()
        await client.read(ask())

    with pytest.raises(ModbusConnectionError) as raised:
        await connect_and_read()
    client.close()
    assert raised.value.zh.startswith(endpoint.peer)
    return raised.value.reason, raised.value.fault


async def test_tls_certificates_that_are_not_good(authority, tmp_path):
    """Each failure has its own name and its own remedy."""
    stranger = Authority(tmp_path / "other", "another CA")
    for files, reason, fault in (
        (authority.issue("old", NOW - 3 * DAY, NOW - DAY), "tls-expired", Fault.DEVICE),
        (authority.issue("early", NOW + DAY, NOW + 3 * DAY), "tls-not-yet-valid", Fault.CONFIG),
        (authority.issue("elsewhere", address="192.0.2.1"), "tls-name", Fault.CONFIG),
        (stranger.issue("plc"), "tls-unknown-ca", Fault.CONFIG),
    ):
        async with TlsServer(files) as port:
            assert await reason_of(over_tls(port, ca=authority.ca)) == (reason, fault)
    async with TlsServer(authority.issue("plc")) as port:
        wrong_name = over_tls(port, ca=authority.ca, server_name="press")
        assert await reason_of(wrong_name) == ("tls-name", Fault.CONFIG)
        assert (await reason_of(over_tls(port)))[0] == "tls-unknown-ca"  # the system's store knows no plant CA


@asynccontextmanager
async def handshakes(context, linger=True):
    """A server on OpenSSL that shakes hands and tells its reasons (asyncio's own swallows the alert of TLS 1.2)."""

    def serve():
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secured:
                with suppress(OSError):
                    secured.do_handshake()
                    secured.recv(1)
                with suppress(OSError):
                    secured.shutdown(socket.SHUT_WR)
                    while linger and os.read(secured.fileno(), 1000):  # or the alert would be lost with a reset
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_thread = threading.Thread(target=serve, daemon=True)
        serving_thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(serving_thread.join)


@pytest.mark.parametrize("version", VERSIONS)
async def test_tls_client_certificates(authority, tmp_path, version):
    """A server that demands a certificate, and one that does not accept ours."""
    certificate, key = Authority(tmp_path / "other", "another CA").issue("gateway")
    context = TlsServer(authority.issue("plc"), demand=authority.ca, version=version).context
    async with handshakes(context) as port:
        assert await reason_of(over_tls(port, ca=authority.ca)) == ("tls-client-certificate", Fault.CONFIG)
        foreign = over_tls(port, ca=authority.ca, certificate=certificate, key=key)
        assert await reason_of(foreign) == ("tls-refused", Fault.DEVICE)
    async with handshakes(context, linger=False) as port:  # in a hurry: the alert may or may not get through
        reason, _ = await reason_of(over_tls(port, ca=authority.ca))
        assert reason in ("tls-client-certificate", "tls-closed")


async def test_tls_too_old(authority):
    """Nothing below TLS 1.2 is spoken."""
    context = TlsServer(authority.issue("plc")).context
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with handshakes(context) as port:
        assert await reason_of(over_tls(port, ca=authority.ca)) == ("tls-version", Fault.DEVICE)


async def test_tls_where_there_is_none(libmodbus_server, authority):
    """A plain Modbus server makes nothing of random bytes, or a refusal; others hang up, greet, or are mute."""

    async def hang_up(reader, _):
        await reader.read(1)

    async def greet(reader, writer):
        writer.write(b"220 ready\r\n" * 9)
        await reader.read()

    async def listen(reader, _):
        await reader.read()

    async with running(libmodbus_server) as port:
        endpoint = TcpEndpoint("127.0.0.1", port, tls=TlsFiles(), deadline_ns=500 * MS)
        assert (await reason_of(endpoint))[0] in ("tls-closed", "tls-mute", "tls-plain", "timeout")
    for speak, reason in ((hang_up, "tls-closed"), (greet, "tls-plain"), (listen, "tls-mute")):
        async with serving(speak) as port:
            endpoint = TcpEndpoint("127.0.0.1", port, tls=TlsFiles(ca=authority.ca), deadline_ns=1000 * MS)
            assert await reason_of(endpoint) == (reason, Fault.CONFIG)


async def test_tls_files(authority, tmp_path):
    """Files that are missing, no pair, not PEM, or locked, are named; nothing asks for a password on a terminal."""
    (tmp_path / "empty.pem").write_text("")
    certificate, _ = authority.issue("gateway")
    _, other = authority.issue("other")
    locked = authority.issue("locked", password=b"secret")
    for files, words, chinese in (
        ({"ca": str(tmp_path / "none.pem")}, "none.pem", "none.pem"),
        ({"ca": str(tmp_path / "empty.pem")}, "PEM", "不是 PEM"),
        ({"certificate": certificate, "key": other}, "no pair", "不成对"),
        ({"certificate": certificate, "key": str(tmp_path / "none.key")}, "none.key", "none.key"),
        ({"certificate": locked[0], "key": locked[1]}, "password", "打不开"),
    ):
        with pytest.raises(ModbusConnectionError, match=words) as raised:
            await ModbusClient(over_tls(1, **files)).connect()
        assert (raised.value.reason, raised.value.fault) == ("tls-files", Fault.CONFIG)
        assert chinese in raised.value.zh
    async with TlsServer(authority.issue("plc")) as port:
        await check(over_tls(port, ca=authority.ca, certificate=locked[0], key=locked[1], key_password="secret"))
    assert "secret" not in repr(TlsFiles(key_password="secret"))

"""The listener: takes calls over mutual TLS, and reads and writes no more than admission allows.

It waits for slow callers in one thread (asyncio), whatever they are; only a message that has
arrived whole costs a thread of the pool in which OpenFL answers. gRPC's other server gives each
open call a thread, also one that sends nothing. On the wire a call of one message is a stream of
one, so that every method is read and written here by the same few lines.
"""

import asyncio
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import grpc
from openfl.protocols import base_pb2

from src.errors import Busy, Refused, RunFailed
from src.network import ports
from src.refusal import marked
from src.rounds import clocks
from src.rounds.admission import Admission, Stream
from src.rounds.instances import METADATA, spoken_by
from src.trust.certificate import utc_now

logger = logging.getLogger(__name__)

THREADS = 8  # in which OpenFL answers; as many as OpenFL 1.9's own server has
AT_WORK = 2  # of these, for one site
MOST_PIECE_BYTES = 2 * 2**20 + 4096  # OpenFL 1.9 sends streams in pieces of 2 MiB
IN_MEMORY_BYTES = 2**20  # of an upload that is on its way; what is larger waits on the disk
OPTIONS = (
    ("grpc.max_receive_message_length", MOST_PIECE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16_384),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.so_reuseport", 0),  # a second aggregator is told that the port is taken
)
MOST_DETAILS = 2000  # characters of what a caller is told


@dataclass(frozen=True)
class Caller:
    """Who calls, as much of gRPC's context as OpenFL's handlers ask for."""

    identity: Mapping[str, Any]
    site: str
    instance: str | None = None  # which process of the site it is; None: not told

    def auth_context(self) -> Mapping[str, Any]:
        """What TLS has proved."""
        return self.identity

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call: OpenFL does not let this caller in."""
        raise Refused(marked(details))


@dataclass(frozen=True)
class Method:
    """answer: from a message and who calls to the answer. stream: the message comes in pieces, and
    is handed over as a file. quick: it is answered beside the others, never waits for them,
    and the answer tells the time.
    """

    answer: Callable[[Any, Caller], bytes]
    stream: bool = False
    quick: bool = False


def _answer(method: Method, message: Any, caller: Caller) -> bytes:
    """The answer, made in this thread while it is known which process has called."""
    with spoken_by(caller.instance):
        return method.answer(message, caller)


class Listener:
    """`with Listener(…):` calls are answered inside the block, in threads of its own.

    folder: where uploads wait. unkept: told of an error of this machine while one is written.
    PortTaken, RunFailed: nothing can listen there.
    """

    def __init__(
        self,
        address: str,
        credentials: grpc.ServerCredentials,
        service: str,
        methods: Mapping[str, Method],
        admission: Admission,
        folder: Path,
        unkept: Callable[[str, OSError], object],
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._service = service
        self._methods = methods
        self._admission = admission
        self._folder = folder
        self._unkept = unkept
        self._at_work: dict[str, asyncio.Semaphore] = {}
        self._listening = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> "Listener":
        self._door = ThreadPoolExecutor(1, "door")
        self._pool = ThreadPoolExecutor(THREADS, "answer")
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            ports.refuse_taken(int(self._address.rpartition(":")[2]), patience_s=0)
            raise RunFailed(f"Cannot listen on {self._address}: {self._failure}")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        for executor in (self._door, self._pool):
            executor.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, RuntimeError) as error:  # gRPC's, where the port is taken
            self._failure = error
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(options=OPTIONS)
        handlers = {
            name: grpc.stream_stream_rpc_method_handler(self._handler(method))
            for name, method in self._methods.items()
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self._service, handlers),)
        )
        server.add_secure_port(self._address, self._credentials)
        await server.start()
        self._listening.set()
        await self._over.wait()
        await server.stop(None)

    # -- one call --------------------------------------------------------------------------------

    def _handler(self, method: Method) -> Callable[..., Awaitable[None]]:
        async def handle(_: Any, context: Any) -> None:
            """One call; whatever goes wrong in it is told to the caller, and ends nothing else."""
            try:
                await self._call(method, context)
                return
            except Refused as refusal:
                code, text = grpc.StatusCode.PERMISSION_DENIED, str(refusal)
            except Busy as busy:  # the status at which a site tries again
                code, text = grpc.StatusCode.DEADLINE_EXCEEDED, str(busy)
            except Exception as error:  # the top of a call: it must not end the listener
                logger.exception("A call has failed.")
                code = grpc.StatusCode.UNKNOWN
                text = f"Exception calling application: {error}"
            await context.abort(code, text[:MOST_DETAILS])

        return handle

    async def _call(self, method: Method, context: Any) -> None:
        caller = await self._caller(context)
        with self._admission.call(caller.site) as wait_s:
            await asyncio.sleep(wait_s)
            if not method.stream:
                message = await self._next(context, self._admission.stream(small=True))
                await self._answered(method, message or b"", caller, context)
                return
            with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._folder)) as upload:
                await self._uploaded(upload, caller.site, context)
                await self._answered(method, upload, caller, context)

    async def _caller(self, context: Any) -> Caller:
        """Who calls. Refused: nobody that may; nothing of the call has been read then."""
        identity = context.auth_context()
        names = list(identity.get("x509_common_name", ()))
        common_name = names[0].decode(errors="replace") if len(names) == 1 else ""
        metadata = dict(context.invocation_metadata() or ())
        instance = metadata.get(METADATA)
        if instance is not None and not isinstance(instance, str):
            raise Refused(marked(f"metadata {METADATA!r} is no text."))
        self._admission.refuse_again(common_name, instance)
        found = self._loop.run_in_executor(
            self._door, self._admission.caller, common_name, instance
        )
        return Caller(identity, await found, instance)

    # -- reading and writing, within bounds ------------------------------------------------------

    async def _next(self, context: Any, stream: Stream) -> bytes | None:
        """The next piece; None: there is none. Refused: too much. Busy: too slow."""
        try:
            piece = await asyncio.wait_for(context.read(), max(stream.seconds_left(), 0.001))
        except TimeoutError:
            raise stream.too_slow() from None
        if piece is grpc.aio.EOF:  # type: ignore[attr-defined]
            return None
        stream.took(len(piece))
        return piece

    async def _uploaded(self, upload: IO[bytes], site: str, context: Any) -> None:
        """The whole message is in the file. Busy: a newer upload of the site has begun."""
        reading = asyncio.ensure_future(self._read(upload, site, context))
        replaced = asyncio.Event()

        def give_way() -> None:
            replaced.set()
            reading.cancel()

        with self._admission.upload(site, give_way):
            try:
                await reading
            except asyncio.CancelledError:
                if not replaced.is_set():
                    raise
                raise Busy("a newer upload of this site has begun.") from None
            finally:
                reading.cancel()

    async def _read(self, upload: IO[bytes], site: str, context: Any) -> None:
        stream = self._admission.stream()
        while (piece := await self._next(context, stream)) is not None:
            try:
                upload.write(base_pb2.DataStream.FromString(piece).npbytes)
            except OSError as error:
                self._unkept(site, error)
                raise
        upload.seek(0)

    async def _answered(self, method: Method, message: Any, caller: Caller, context: Any) -> None:
        """Have the message answered in a thread, and write the answer."""
        if method.quick:
            context.set_trailing_metadata((clocks.told(utc_now()),))
            answer = await self._loop.run_in_executor(self._door, _answer, method, message, caller)
            await self._write(answer, context)
            return
        turns = self._at_work.setdefault(caller.site, asyncio.Semaphore(AT_WORK))
        await turns.acquire()
        work = self._loop.run_in_executor(self._pool, _answer, method, message, caller)
        try:
            answer = await asyncio.shield(work)
        except asyncio.CancelledError:  # the caller is gone; the thread is still at work
            work.add_done_callback(lambda _: turns.release())
            raise
        except BaseException:
            turns.release()
            raise
        try:
            await self._write(answer, context)
        finally:
            turns.release()

    async def _write(self, answer: bytes, context: Any) -> None:
        stream = self._admission.stream()
        try:
            await asyncio.wait_for(context.write(answer), stream.seconds_left(len(answer)))
        except TimeoutError:
            raise stream.too_slow() from None

"""A process that hands an encoded stream on to the network.

PyAV holds Python's lock while it connects and shakes hands, which may take minutes: in this process
that would stop the picture. Here encoded packets only go into a pipe, and a relay that hangs is
ended. Run as a program, this module is the relay: NUT on standard input, packets to an address.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import av
import av.error

import rtstyle

COMMAND = [sys.executable, "-m", "rtstyle.sinks.streams.relay"]
PIPE = "nut"
"""Written packet by packet, with no need to go back."""
QUICK = {"analyzeduration": "0", "probesize": "65536", "fpsprobesize": "0"}
CONNECTED = "connected"


class Relay:
    """A running relay to `url`: `container` takes what is to be sent. Raises `OSError`."""

    def __init__(self, url: str, kind: str, options: dict[str, str]) -> None:
        # Not among the arguments, which everyone on the machine can read: it holds a key.
        asked = json.dumps({"url": url, "kind": kind, "options": options})
        self._start(COMMAND, f"{asked}\n".encode(), subprocess.DEVNULL)

    def _start(self, command: list[str], first: bytes, errors: int) -> None:
        """Run `command`, with `first` and then NUT as its input; `errors` is where those go."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            cwd=Path(rtstyle.__file__).parents[1],
            # Ctrl-C is ours to take: the stream is ended in order.
            start_new_session=True,
        )
        self.connected, self.problem = False, ""
        pipe = self._process.stdin
        assert pipe is not None
        self._pipe = WholeWrites(pipe)
        self._reader = threading.Thread(target=self._read, name="rtstyle-relay", daemon=True)
        self._reader.start()
        try:
            self._pipe.write(first)
            self.container: Any = av.open(
                self._pipe, "w", format=PIPE, options={"flush_packets": "1"}
            )
        except OSError:
            self.kill()
            self.why()
            raise

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        with output:
            for line in output:
                self._hear(line.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        """Take in a line that the process wrote."""
        if line == CONNECTED:
            self.connected = True
        else:
            self.problem = line

    def why(self) -> str:
        """Return why the relay ended, '' if it does not say; waits for it to end."""
        self.finish()
        return self.problem

    def finish(self) -> None:
        """Have what is on its way sent, and wait for the end."""
        with suppress(OSError):
            self._pipe.close()
        self._process.wait()
        self._reader.join()

    def kill(self) -> None:
        """End it at once, whatever it is waiting for; may be called from any thread."""
        self._process.kill()


class WholeWrites:
    """A pipe whose `write` takes all of the data."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Write all of it. Raises `OSError`."""
        left = memoryview(data)
        while left:
            left = left[self._pipe.write(left) :]
        return len(data)

    def close(self) -> None:
        """Close the pipe."""
        self._pipe.close()


def hand_on(source: IO[bytes], url: str, kind: str, options: dict[str, str]) -> None:
    """Send the packets of `source` to `url`, and say on standard output when it is connected."""
    arriving: Any = av.open(source, format=PIPE, options=QUICK)
    leaving: Any = av.open(url, "w", format=kind, options=options)
    with arriving as incoming, leaving as outgoing:
        streams = {one.index: outgoing.add_stream_from_template(one) for one in incoming.streams}
        said = False
        for packet in incoming.demux():
            if packet.dts is None:
                continue
            packet.stream = streams[packet.stream.index]
            outgoing.mux(packet)
            if not said:
                print(CONNECTED, flush=True)
                said = True


def main() -> None:
    """Read what to do from the first line, then hand on; a problem goes to standard output."""
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        hand_on(sys.stdin.buffer, asked["url"], asked["kind"], asked["options"])
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Not the whole of it: that has the address in it, with its key.
        print(getattr(error, "strerror", None) or type(error).__name__, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

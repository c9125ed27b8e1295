// The page's own link to the gateway: server-sent events, and the knowledge of when they stop.
//
// A browser reports a cut connection at once but a silent one (gateway unplugged, Wi-Fi gone) only after minutes. So silence is
// judged here: an event is due every second, and LATE_MS without one means the figures on the screen are history.

const LATE_MS = 4000;
const RETRY_MS = 2000;

/** Call `onSnapshot(snapshot)` per event and `onState("live" | "wait" | "lost")` when the link changes. */
export function openLink(onSnapshot, onState) {
  let source = null;
  let retry = 0;
  let last = performance.now();
  let state = "wait";

  function become(next) {
    if (next === state) return;
    state = next;
    onState(state);
  }

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/api/events");
    source.addEventListener("snapshot", (event) => {
      last = performance.now();
      onSnapshot(JSON.parse(event.data));
      become("live");
    });
    source.addEventListener("error", () => {
      // CONNECTING: the browser tries again by itself. CLOSED: it was refused and gave up; we do not.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  setInterval(() => {
    if (!document.hidden && performance.now() - last > LATE_MS) become("lost");
  }, 500);

  // A page nobody looks at asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else {
      last = performance.now();
      open();
    }
  });
  open();
}

// A socket.io server that does nothing but broadcast: POST /publish?messages=N&bytes=B emits N events to everybody, each
// with its number, as one loop. It prints its address when it listens.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http); // its defaults: no compression, no recovery
http.on("request", (req, res) => {
  const url = new URL(req.url, "http://localhost");
  if (url.pathname !== "/publish") return; // socket.io's own
  const pad = "x".repeat(Number(url.searchParams.get("bytes")));
  const from = Number(url.searchParams.get("from"));
  for (let n = from; n < from + Number(url.searchParams.get("messages")); n++) io.emit("e", { n, pad, seq: n }, String(n));
  res.end("ok");
});
http.listen(0, "127.0.0.1", () => console.log(`ready on http://127.0.0.1:${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));

// The function on Node's standard library only.
const http = require("http");

http
  .createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const body = JSON.stringify(JSON.parse(Buffer.concat(pieces).toString()));
      response.writeHead(200, {
        "Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(body),
      });
      response.end(body);
    });
  })
  .listen(9000, "0.0.0.0");

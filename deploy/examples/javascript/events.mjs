// Who feels what, from now on:  npm install && node events.mjs [events | smoothed] [redis://...]
// smoothed: steady people, while `emotion-events --publish` runs. See contract/asyncapi.yaml.
import { decode } from "@msgpack/msgpack";
import { createClient, RESP_TYPES } from "redis";

const [name = "events", url = "redis://127.0.0.1:6379"] = process.argv.slice(2);
const client = await createClient({ url }).on("error", console.error).connect();
const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const partitions = Number((await client.hGet("emotion:config", "partitions")) ?? 1);
const ids = new Map(); // stream -> the last entry that was read; "$" would lose what comes meanwhile
for (let p = 0; p < partitions; p++) {
  const key = `emotion:{${p}}:${name}`;
  ids.set(key, (await client.xRevRange(key, "+", "-", { COUNT: 1 }))[0]?.id ?? "0-0");
}
for (;;) {
  const streams = [...ids].map(([key, id]) => ({ key, id }));
  for (const stream of (await binary.xRead(streams, { BLOCK: 1000 })) ?? []) {
    for (const { id, message } of stream.messages) {
      ids.set(String(stream.name), String(id));
      print(decode(message.m, { useBigInt64: true })); // nanoseconds are too large for a double
    }
  }
}

function print(m) {
  const ns = BigInt(m.captured_at_ns ?? m.at_ns);
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
  const line = (...words) =>
    console.log(`${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`, m.source, ...words);
  const feels = ({ label, scores }) => `${label} ${(scores[label] * 100).toFixed(0)} %`;
  for (const face of m.faces ?? []) line(feels(face));
  for (const one of m.people ?? []) line(`person ${one.track}`, feels(one));
  if (m.kind === "transition") line(`person ${m.track}`, m.change, m.label);
  if (m.kind === "source") line(m.state);
}

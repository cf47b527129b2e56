// OpenAI's client for Node.
import OpenAI from "openai";
import { ANSWER, KEY, MODEL, QUESTION, URL, capability } from "./report.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};

await capability("chat", async () => {
  const done = await client.chat.completions.create({ model: MODEL, messages });
  return done.choices[0].message.content.trim() === ANSWER;
});
await capability("stream", async () => {
  const runner = client.chat.completions.stream({ model: MODEL, messages });
  return (await runner.finalContent()).trim() === ANSWER;
});
await capability("tools", async () => {
  const get_weather = (args) => `21 degrees in ${args.city}`;
  const tools = [
    { type: "function", function: { function: get_weather, name: "get_weather", parse: JSON.parse, parameters } },
  ];
  const runner = client.chat.completions.runTools({ model: MODEL, messages, tools });
  return (await runner.finalContent()).trim() === ANSWER;
});
await capability("responses", async () => {
  const tools = [{ type: "function", name: "get_weather", parameters }];
  const stream = client.responses.stream({ model: MODEL, input: QUESTION, tools });
  const response = await stream.finalResponse();
  const call = response.output.find((item) => item.type === "function_call");
  const output = { type: "function_call_output", call_id: call.call_id, output: "21" };
  const input = [...messages, ...response.output, output];
  return (await client.responses.create({ model: MODEL, input, tools })).output_text.trim() === ANSWER;
});

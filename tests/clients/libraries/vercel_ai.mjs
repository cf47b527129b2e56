// Vercel's AI SDK with its providers for OpenAI (chats and responses) and Anthropic.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { ANSWER, KEY, MODEL, QUESTION, URL, capability } from "./report.mjs";

const openai = createOpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const anthropic = createAnthropic({ baseURL: `${URL}/v1`, apiKey: KEY });
const tools = {
  get_weather: tool({
    description: "Tell the weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `21 degrees in ${city}`,
  }),
};
const common = { prompt: QUESTION, maxRetries: 0 };

async function agent(model, work = generateText) {
  const run = await work({ model, tools, stopWhen: stepCountIs(3), ...common });
  return (await run.text).trim() === ANSWER && (await run.steps).length === 2;
}

async function conversation(model, providerOptions = {}) {
  const first = await generateText({ model, providerOptions, ...common });
  const history = [{ role: "user", content: QUESTION }, ...first.response.messages];
  const messages = [...history, { role: "user", content: QUESTION }];
  const second = await generateText({ model, providerOptions, messages, maxRetries: 0 });
  return second.text.trim() === ANSWER;
}

await capability("chat", async () => {
  const { text } = await generateText({ model: openai.chat(MODEL), ...common });
  return text.trim() === ANSWER;
});
await capability("stream", async () => {
  const run = streamText({ model: openai.chat(MODEL), ...common });
  return (await run.text).trim() === ANSWER;
});
await capability("tools", () => agent(openai.chat(MODEL)));
await capability("structured", async () => {
  const schema = z.object({ city: z.string() });
  const { object } = await generateObject({ model: openai.chat(MODEL), schema, ...common });
  return typeof object.city === "string";
});
await capability("responses", async () => {
  const model = openai(MODEL);
  // Without this it sends ids in place of its earlier texts, since OpenAI's server stores them.
  const stateless = { openai: { store: false } };
  return (await agent(model)) && (await agent(model, streamText)) && conversation(model, stateless);
});
await capability("messages", async () => {
  const model = anthropic(MODEL);
  return (await agent(model)) && (await agent(model, streamText)) && (await conversation(model));
});

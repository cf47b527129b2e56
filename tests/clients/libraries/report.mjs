// What the scripts for Node have in common; see report.py.
export const { LLAMASERVE_URL: URL, LLAMASERVE_KEY: KEY, LLAMASERVE_MODEL: MODEL } = process.env;
export const QUESTION = "What is the weather in Paris?";
export const ANSWER = "All went well.";

export async function capability(name, work) {
  let line = { capability: name, ok: true };
  try {
    if (!(await work())) throw new Error("another answer was expected");
  } catch (error) {
    line = { capability: name, ok: false, detail: `${error}`.slice(0, 2000) };
  }
  console.log(JSON.stringify(line));
}

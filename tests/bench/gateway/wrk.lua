-- For wrk: posts one body, and prints what came of it as a line of JSON.
--
--   wrk … -s wrk.lua URL -- BODY HEADERS KEYS
--
-- Three files: the body; lines `Name: value`; lines with a bearer key each. Of several keys each
-- request has the next one.

local function lines_of(path)
  local found = {}
  for line in io.lines(path) do
    found[#found + 1] = line
  end
  return found
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = "application/json"
  for _, line in ipairs(lines_of(args[2])) do
    local name, value = line:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  local ready, last = {}, 0
  for _, key in ipairs(lines_of(args[3])) do
    wrk.headers["Authorization"] = "Bearer " .. key
    ready[#ready + 1] = wrk.format()
  end
  -- Where there is no such function, wrk sends the same bytes each time, which costs it less.
  if #ready > 1 then
    request = function()
      last = last % #ready + 1
      return ready[last]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "median_ms": %.6f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
